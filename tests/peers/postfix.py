"""A private Postfix: an MX that relays our domains to the daemon, and the smarthost that takes our mail.

    with Postfix(relay={"example.com": ("127.0.0.1", daemon_port)}, default=("127.0.0.1", sink.port)) as postfix:
        smtplib.SMTP("127.0.0.1", postfix.port).sendmail(...)

Needs root. It never looks up DNS and never connects to any other host than those given.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from peers.processes import PeerMissing, Program, Server, accepts, free_port, need, private_folder

PACKAGE = "postfix"

MAIN_CF = """
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
command_directory = /usr/sbin
daemon_directory = {daemons}
mail_owner = postfix
setgid_group = postdrop
maillog_file = {folder}/log/maillog
maillog_file_prefixes = {folder}/log
myhostname = mx.test
mydomain = test
myorigin = mx.test
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
smtp_dns_support_level = disabled
smtp_host_lookup = native
relay_domains = {domains}
transport_maps = texthash:{folder}/etc/transport
default_transport = {default}
relay_transport = error:no route
local_transport = error:no local mail here
local_recipient_maps =
alias_maps =
alias_database =
smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination
smtpd_peername_lookup = no
smtpd_client_connection_count_limit = 0
smtpd_client_connection_rate_limit = 0
message_size_limit = 52428800
mailbox_size_limit = 0
in_flow_delay = 0
minimal_backoff_time = 2s
maximal_backoff_time = 4s
queue_run_delay = 2s
smtp_connect_timeout = 5s
initial_destination_concurrency = 10
smtp_destination_concurrency_failed_cohort_limit = 0
bounce_queue_lifetime = 1d
bounce_template_file =
biff = no
smtpd_banner = mx.test ESMTP
smtp_tls_security_level =
"""

# No service is chrooted: the private queue directory holds no copies of system files. They are started in this order,
# so where smtpd listens, all the others do.
MASTER_CF = """
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
lmtp unix - - n - - lmtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
127.0.0.1:{port} inet n - n - - smtpd
"""

QUEUE_FOLDERS = (
    "active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming", "maildrop", "pid", "private",
    "public", "saved", "trace",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Queued:
    """A message that waits in Postfix's queue."""

    queue_id: str
    queue: str  # active, deferred, ...
    sender: str
    recipients: tuple[str, ...]
    reasons: tuple[str, ...]  # why it waits, one for each recipient that has one


class Postfix(Server):
    """Runs while the `with` block does."""

    def __init__(
        self,
        relay: Mapping[str, tuple[str, int]] | None = None,
        default: tuple[str, int] | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        """`relay`: where the mail of each domain goes; `default`: of all others (None: it bounces).

        `settings` are lines of main.cf that override ours.
        """
        self.relay = dict(relay or {})
        self.default = default
        self.settings = dict(settings or {})
        self.host = "127.0.0.1"
        self.port = 0
        self._program: Program | None = None
        super().__init__()

    def _open(self) -> None:
        self._postfix = need("postfix", PACKAGE)
        if os.geteuid() != 0:
            raise PeerMissing("Postfix needs root")
        self.folder = self._closing.enter_context(private_folder("postfix"))
        self._closing.callback(self.stop)
        self.port = free_port()
        self._configure()
        self.start()

    def _configure(self) -> None:
        self._daemons = Path(_postconf("daemon_directory"))
        for name in ("etc", "queue", "data", "log"):
            (self.folder / name).mkdir()
        for name in QUEUE_FOLDERS:
            made = self.folder / "queue" / name
            made.mkdir(mode=0o700)
            if name != "pid":
                shutil.chown(made, "postfix", "postdrop" if name in {"maildrop", "public"} else "root")
        (self.folder / "queue" / "maildrop").chmod(0o730)
        (self.folder / "queue" / "public").chmod(0o710)
        (self.folder / "queue" / "pid").chmod(0o755)
        shutil.chown(self.folder / "data", "postfix", "root")
        main = MAIN_CF.format(
            folder=self.folder,
            daemons=self._daemons,
            domains=", ".join(self.relay),
            default=_transport(self.default) if self.default else "error:5.4.4 no route",
        )
        main += "".join(f"{name} = {value}\n" for name, value in self.settings.items())
        (self.folder / "etc" / "main.cf").write_text(main)
        (self.folder / "etc" / "master.cf").write_text(MASTER_CF.format(port=self.port))
        lines = [f"{domain} {_transport(to)}\n" for domain, to in self.relay.items()]
        (self.folder / "etc" / "transport").write_text("".join(lines))
        for path in (
            self.folder / "etc"
        ).iterdir():  # it waits until its files are seconds old, lest they be half written
            os.utime(path, (0, 0))

    def start(self) -> None:
        """Start it, and return when it takes connections."""
        if self._program is None:
            # The master alone, in the foreground: `postfix start` checks an installation, and this is none.
            command = [str(self._daemons / "master"), "-c", str(self.folder / "etc"), "-s"]
            program = Program(command, self.folder / "output", cwd=self.folder / "queue", env=_environment())
            self._program = program
            program.wait_until_ready(lambda: accepts(self.port), f"Postfix listens on port {self.port}")

    def stop(self) -> None:
        """Stop it; its queue stays."""
        if self._program is not None:
            self._program.stop()
            self._program = None

    def log(self) -> str:
        """What it logged so far."""
        path = self.folder / "log" / "maillog"
        return path.read_text("utf-8", "replace") if path.exists() else ""

    def queue(self) -> list[Queued]:
        """What waits in its queue."""
        output = self._command("postqueue", "-j")
        queued = []
        for line in output.splitlines():
            entry = json.loads(line)
            recipients = entry["recipients"]
            queued.append(
                Queued(
                    entry["queue_id"],
                    entry["queue_name"],
                    entry["sender"],
                    tuple(recipient["address"] for recipient in recipients),
                    tuple(recipient["delay_reason"] for recipient in recipients if "delay_reason" in recipient),
                )
            )
        return queued

    def flush(self) -> None:
        """Try again at once what waits."""
        self._command("postqueue", "-f")

    def _command(self, name: str, *arguments: str) -> str:
        command = [need(name, PACKAGE), "-c", str(self.folder / "etc"), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True, env=_environment()).stdout


def _transport(to: tuple[str, int]) -> str:
    return f"smtp:[{to[0]}]:{to[1]}"


def _postconf(name: str) -> str:
    command = [need("postconf", PACKAGE), "-d", "-h", name]
    return subprocess.run(command, check=True, capture_output=True, text=True, env=_environment()).stdout.strip()


def _environment() -> dict[str, str]:
    """Without the variables that Postfix takes for settings of its own."""
    return {"PATH": os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin", "LC_ALL": "C"}
