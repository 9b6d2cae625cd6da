"""Dovecot's configuration: 2.3 (Debian 12) and 2.4 (Debian 13) have different settings for the same things."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from peers.certificates import Certificate

TOKENS = "xoauth2 oauthbearer"
TOKENS_BEFORE_2_4 = """
passdb {{
  driver = oauth2
  mechanisms = {mechanisms}
  args = {folder}/oauth2.conf
}}
"""
INTROSPECTION = """
introspection_mode = post
introspection_url = {url}
username_attribute = username
active_attribute = active
active_value = true
"""
TOKENS_SINCE_2_4 = """
passdb oauth2 {{
  mechanisms_filter = {mechanisms}
}}
oauth2 {{
  introspection_mode = post
  introspection_url = {url}
  username_attribute = username
  active_attribute = active
  active_value = true
}}
"""

EITHER = """
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/dovecot.log
default_internal_user = {internal_user}
default_internal_group = {internal_group}
default_login_user = {login_user}
listen = 127.0.0.1
auth_mechanisms = plain login {tokens}
auth_failure_delay = 0
mail_max_userip_connections = 100
mail_uid = {mail_user}
mail_gid = {mail_group}
first_valid_uid = 0
namespace inbox {{
  inbox = yes
  separator = /
}}
service imap-login {{
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = {tls_port}
    ssl = yes
  }}
  process_min_avail = 1
  {no_limit}
  {no_chroot}
}}
service anvil {{
  {no_chroot}
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service stats {{
  {no_chroot}
}}
"""
LMTP = """
service lmtp {{
  inet_listener lmtp {{
    port = {lmtp_port}
  }}
  unix_listener lmtp {{
    mode = 0600
  }}
}}
"""
BEFORE_2_4 = """
protocols = imap {lmtp}
disable_plaintext_auth = no
mail_location = maildir:{folder}/mail/%u
passdb {{
  driver = passwd-file
  args = scheme=PLAIN {folder}/users
}}
userdb {{
  driver = static
  args = home={folder}/home/%u
}}
"""
SINCE_2_4 = """
protocols {{
  imap = yes
  {lmtp}
}}
auth_allow_cleartext = yes
mail_driver = maildir
mail_path = {folder}/mail/%{{user}}
passdb passwd-file {{
  passwd_file_path = {folder}/users
  default_password_scheme = PLAIN
}}
userdb static {{
  fields {{
    home = {folder}/home/%{{user}}
  }}
}}
"""


@dataclass(frozen=True, slots=True)
class Accounts:
    """The users of the machine that Dovecot runs as."""

    internal_user: str
    internal_group: str
    login_user: str
    mail_user: str
    mail_group: str
    may_chroot: bool  # root may


def configuration(
    binary: str,
    folder: Path,
    port: int,
    tls_port: int,
    accounts: Accounts,
    certificate: Certificate | None,
    lmtp_port: int = 0,
    introspection: str = "",
) -> str:
    """The text of dovecot.conf for the version that `binary` is. `introspection`: the URL that says whose a token is."""
    version = subprocess.run([binary, "--version"], check=True, capture_output=True, text=True).stdout
    since_2_4 = tuple(int(part) for part in version.split("-")[0].split()[0].split(".")[:2]) >= (2, 4)
    text = ""
    if since_2_4:
        text += "dovecot_config_version = 2.4.0\ndovecot_storage_version = 2.4.0\n"
    local_part = "%{user | username | lower}" if since_2_4 else "%Ln"  # LMTP's recipients have a domain, our users none
    lmtp = ("lmtp = yes" if since_2_4 else "lmtp") if lmtp_port else ""
    text += (EITHER + (SINCE_2_4 if since_2_4 else BEFORE_2_4) + (LMTP if lmtp_port else "")).format(
        lmtp=lmtp,
        tokens=TOKENS if introspection else "",
        lmtp_port=lmtp_port,
        folder=folder,
        port=port,
        tls_port=tls_port,
        internal_user=accounts.internal_user,
        internal_group=accounts.internal_group,
        login_user=accounts.login_user,
        mail_user=accounts.mail_user,
        mail_group=accounts.mail_group,
        no_chroot="" if accounts.may_chroot else "chroot =",
        no_limit="restart_request_count = unlimited" if since_2_4 else "service_count = 0",
    )
    if introspection:
        (folder / "oauth2.conf").write_text(INTROSPECTION.format(url=introspection))
        tokens = TOKENS_SINCE_2_4 if since_2_4 else TOKENS_BEFORE_2_4
        text += tokens.format(mechanisms=TOKENS, folder=folder, url=introspection)
    if lmtp_port:
        text += f"auth_username_format = {local_part}\n"
    if certificate is None:
        return text + "ssl = no\n"
    if since_2_4:
        return f"{text}ssl = yes\nssl_server_cert_file = {certificate.certificate}\nssl_server_key_file = {certificate.key}\n"
    return f"{text}ssl = yes\nssl_cert = <{certificate.certificate}\nssl_key = <{certificate.key}\n"
