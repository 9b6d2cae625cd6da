"""A support address at a provider that takes tokens only: a person logs in, mail flows, tokens rotate, the daemon is killed, and nobody sees a secret."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from peers.certificates import Certificate
from peers.daemon import Daemon
from peers.dovecot import Dovecot
from peers.house import mail
from peers.processes import wait_until
from peers.smarthost import Smarthost
from peers.tokenserver import CLIENT, TokenServer

pytestmark = [pytest.mark.xdist_group("journeys"), pytest.mark.servers]

CONFIG = """
[smtp]
listen = []
[log]
level = "debug"
[processing]
workers = 1
[answers]
per_sender_hour = 100
[queue.support]
agents = ["ann"]
[agent.ann]
address = "ann@example.com"
[mailbox.support]
address = "support@example.com"
queue = "support"
[mailbox.support.imap]
host = "127.0.0.1"
port = {imap}
user = "support"
oauth = "work"
ca_file = "{ca_file}"
[outgoing]
courier = "smtp"
[outgoing.smtp]
host = "127.0.0.1"
port = {smtp}
security = "starttls"
user = "support"
oauth = "work"
ca_file = "{ca_file}"
"""


def log_in(daemon: Daemon, tokens: TokenServer) -> dict[str, Any]:
    """As a person does: read the code, and allow it elsewhere."""
    command = [sys.executable, "-m", "postroom", "-c", str(daemon.path), "mailboxes", "login", "support", "--json"]
    with subprocess.Popen(
        command, env=daemon._environment(), stdout=subprocess.PIPE, stdin=subprocess.DEVNULL
    ) as typed:
        assert typed.stdout is not None
        prompt = json.loads(typed.stdout.readline())
        assert (prompt["url"], prompt["code"]) == (f"{tokens.url}/verify", "WDJB-MJHT")
        tokens.allow("support")
        said: dict[str, Any] = json.loads(typed.stdout.read())
    assert typed.returncode == 0
    return said


def test_from_the_login_through_rotation_and_kills_to_a_login_that_is_refused(
    start_daemon: Callable[..., Daemon], certificate: Certificate
) -> None:
    with (
        TokenServer(rotation="on use") as tokens,
        Dovecot(certificate=certificate, introspection=f"{tokens.url}/introspect") as dovecot,
        Smarthost(certificate, {"support": tokens.takes("support")}, mechanisms="XOAUTH2 OAUTHBEARER") as smarthost,
    ):
        text = (
            CONFIG.format(imap=dovecot.tls_port, smtp=smarthost.port, ca_file=certificate.certificate) + tokens.toml()
        )
        daemon = start_daemon(text, env={"CLIENT_SECRET": CLIENT[1]})
        shown: list[str] = []

        def see() -> dict[str, Any]:
            ran = daemon.cli("status", "--json")
            shown.append(ran.out + ran.err)
            [login] = json.loads(ran.out)["logins"]
            return dict(login)

        daemon.wait_for_log("nobody has logged in as support")
        assert see()["state"] == "missing"
        assert log_in(daemon, tokens)["loggedIn"] is True
        daemon.restart()  # it would come by itself, after its pause

        sent = 0

        def write() -> None:
            nonlocal sent
            sent += 1
            dovecot.append("support", mail(f"c{sent}@customer.example"))
            wait_until(lambda: len(smarthost.to("ann@example.com")) >= sent, f"the notice of mail {sent}", 30)

        write()
        assert smarthost.messages[0].user == "support"
        login = see()
        shown.extend(daemon.cli(*words).out for words in (["status"], ["check"], ["mailboxes", "list", "--json"]))
        assert (login["state"], login["usedBy"]) == ("good", ["mailbox.support.imap", "outgoing.smtp"])

        for step, rotation in (("oauth-answered", "on use"), ("oauth-written", "strict"), ("oauth-stored", "strict")):
            tokens.rotation = rotation  # type: ignore[assignment]
            daemon.kill()
            tokens.expire()  # the next use is refused, and asks for another
            daemon.env["POSTROOM_FAILPOINT"] = step
            daemon.start(wait=False)
            assert daemon.wait() == -9, step
            del daemon.env["POSTROOM_FAILPOINT"]
            daemon.start()
            write()
            shown.append(daemon.log_path.read_text("utf-8"))

        daemon.kill()
        tokens.revoke()
        daemon.start()
        daemon.wait_for_log("login refused")
        wait_until(lambda: see()["state"] == "refused", "status says so")
        assert see()["detail"].endswith("log in again: postroom mailboxes login support")
        log_in(daemon, tokens)
        assert see()["state"] == "good"
        shown.append(daemon.log_path.read_text("utf-8"))

        shown.append(dump(daemon))
        secrets = [word for word in (*tokens.given, CLIENT[1]) if any(word in text for text in shown)]
        assert (secrets, sum(map(len, shown)) > 5000) == ([], True)


def dump(daemon: Daemon) -> str:
    """All that the database says, mail too."""
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(daemon.folder / "var/postroom.db")) as database:
        return "\n".join(str(line) for line in database.iterdump())
