"""A private Dovecot: IMAP on ports of its own, mail in a folder of its own, users with one password.

with Dovecot(users=["support", "sales"]) as dovecot:
    uid = dovecot.append("support", raw)
    dovecot.messages("support")  # [Stored(uid=1, flags=frozenset(), digest=...)]
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from imapclient import IMAPClient
from peers.certificates import Certificate
from peers.dovecot_config import Accounts, configuration
from peers.processes import Program, Server, accepts, free_port, need, private_folder

PACKAGE = "dovecot-imapd"


@dataclass(frozen=True, slots=True)
class Stored:
    """A message in a folder."""

    uid: int
    flags: frozenset[str]  # without \\Recent, which depends on who looked first
    digest: str  # SHA-256 of its bytes, in hex


class Dovecot(Server):
    """Runs while the `with` block does; `stop()` and `start()` take it down and up on the same ports."""

    password = "secret"  # of every user

    def __init__(
        self, users: Iterable[str] = ("support", "sales"), certificate: Certificate | None = None, lmtp: bool = False,
        introspection: str = "",
    ) -> None:  # fmt: skip
        """`introspection`: the URL that says whose a token is; tokens are then taken, too. `lmtp`: it takes mail, too, by a port (`lmtp_port`) and a socket (`lmtp_socket`)."""
        self.lmtp, self.introspection = lmtp, introspection
        self.lmtp_port = 0
        self.users = tuple(users)
        self.certificate = certificate
        self.host = "127.0.0.1"
        self.port = 0
        self.tls_port = 0  # implicit TLS; 0 without a certificate
        self._program: Program | None = None
        super().__init__()

    def _open(self) -> None:
        self._binary = need("dovecot", PACKAGE)
        self._doveadm = need("doveadm", PACKAGE)
        if self.lmtp:
            need("lmtp", "dovecot-lmtpd", ["/usr/lib/dovecot", "/usr/libexec/dovecot"])
        self.folder = self._closing.enter_context(private_folder("dovecot"))
        self._closing.callback(self.kill)
        self.port = free_port()
        self.tls_port = free_port() if self.certificate else 0
        self.lmtp_port = free_port() if self.lmtp else 0
        self._configure()
        self.start()

    def _configure(self) -> None:
        as_root = os.geteuid() == 0
        me, mine = _me()
        self._accounts = (
            Accounts("dovecot", "dovecot", "dovenull", "nobody", "nogroup", True)
            if as_root
            else Accounts(me, mine, me, me, mine, False)
        )
        self.config = self.folder / "dovecot.conf"
        self.config.write_text(
            configuration(
                self._binary,
                self.folder,
                self.port,
                self.tls_port,
                self._accounts,
                self.certificate,
                self.lmtp_port,
                self.introspection,
            )
        )
        (self.folder / "users").write_text("".join(f"{user}:{{PLAIN}}{self.password}\n" for user in self.users))
        for name in ("mail", "home"):
            for user in self.users:
                (self.folder / name / user).mkdir(parents=True)
            if as_root:
                _give(self.folder / name, self._accounts.mail_user, self._accounts.mail_group)

    @property
    def lmtp_socket(self) -> Path:
        """Where it takes mail by LMTP on this machine."""
        return self.folder / "run" / "lmtp"

    def start(self) -> None:
        """Start it, and return when it takes connections."""
        if self._program is None:
            program = Program([self._binary, "-F", "-c", self.config], self.folder / "output")
            self._program = program
            program.wait_until_ready(lambda: accepts(self.port), f"Dovecot listens on port {self.port}")

    def stop(self) -> None:
        """Stop it; clients see their connections end."""
        if self._program is not None:
            self._program.stop()
            self._program = None

    def kill(self) -> None:
        """Stop it without a word to anyone."""
        if self._program is not None:
            self._program.stop(signal.SIGKILL)
            self._program = None

    def processes(self) -> list[int]:
        """The ids of its living processes."""
        return self._program.group() if self._program else []

    def log(self) -> str:
        """What it logged so far."""
        path = self.folder / "dovecot.log"
        return path.read_text("utf-8", "replace") if path.exists() else ""

    def logins(self) -> int:
        """How often somebody logged in since it was first started."""
        return len(re.findall(r"imap-login: Info: (?:Login|Logged in): ", self.log()))  # 2.3 and 2.4 word it so

    def doveadm(self, *arguments: str, stdin: bytes = b"") -> str:
        """Run `doveadm` on this instance; its standard output. Raises CalledProcessError."""
        command = [self._doveadm, "-c", str(self.config), *arguments]
        return subprocess.run(command, input=stdin, check=True, capture_output=True).stdout.decode()

    def client(self, user: str) -> IMAPClient:
        """A logged-in IMAP connection, for `with`."""
        client = IMAPClient(self.host, self.port, ssl=False, timeout=30)
        client.login(user, self.password)
        return client

    def append(self, user: str, raw: bytes, folder: str = "INBOX", flags: Sequence[str] = ()) -> int:
        """Put a message into a folder by IMAP; its UID."""
        return self.append_all(user, [raw], folder, flags)[0]

    def append_all(
        self, user: str, raws: Iterable[bytes], folder: str = "INBOX", flags: Sequence[str] = ()
    ) -> list[int]:
        """Put many messages into a folder over one connection; their UIDs, in order."""
        uids = []
        with self.client(user) as client:
            if not client.folder_exists(folder):
                client.create_folder(folder)
            for raw in raws:
                answer = client.append(folder, raw, flags)
                uids.append(int(answer.split(b"APPENDUID", 1)[1].split()[1].rstrip(b"]")))
        return uids

    def deliver(self, user: str, raw: bytes, name: str | None = None) -> None:
        """Put a message into a user's INBOX on disk, as a local delivery does; works while Dovecot is down."""
        name = name or f"{time.time():.6f}.{os.urandom(8).hex()}.localhost"
        for part in ("tmp", "new", "cur"):
            (self.folder / "mail" / user / part).mkdir(exist_ok=True)
        written = self.folder / "mail" / user / "tmp" / name
        written.write_bytes(raw)
        if os.geteuid() == 0:
            _give(self.folder / "mail" / user, self._accounts.mail_user, self._accounts.mail_group, recursive=False)
            shutil.chown(written, self._accounts.mail_user, self._accounts.mail_group)
        written.rename(self.folder / "mail" / user / "new" / name)

    def messages(self, user: str, folder: str = "INBOX") -> list[Stored]:
        """What is in a folder, by UID; looked at without touching it. Empty where there is no such folder."""
        with self.client(user) as client:
            if not client.folder_exists(folder):
                return []
            client.select_folder(folder, readonly=True)
            uids = client.search("ALL")
            stored = []
            for at in range(0, len(uids), 100):
                for uid, data in client.fetch(uids[at : at + 100], ["FLAGS", "BODY.PEEK[]"]).items():
                    flags = frozenset(flag.decode() for flag in data[b"FLAGS"]) - {"\\Recent"}
                    stored.append(Stored(uid, flags, hashlib.sha256(data[b"BODY[]"]).hexdigest()))
            return sorted(stored, key=lambda message: message.uid)

    def set_flags(self, user: str, uids: Sequence[int], flags: Sequence[str], folder: str = "INBOX") -> None:
        """Add flags, as another client would (`\\Seen`, `\\Flagged`)."""
        with self.client(user) as client:
            client.select_folder(folder)
            client.add_flags(list(uids), list(flags))

    def expunge(self, user: str, uids: Sequence[int], folder: str = "INBOX") -> None:
        """Remove messages, as another client would."""
        query = ",".join(map(str, uids))
        self.doveadm("expunge", "-u", user, "mailbox", folder, "uid", query)

    def move(self, user: str, uids: Sequence[int], folder: str, to: str) -> None:
        """Move messages to another folder, as another client would."""
        with self.client(user) as client:
            if not client.folder_exists(to):
                client.create_folder(to)
            client.select_folder(folder)
            client.move(list(uids), to)

    def uidvalidity(self, user: str, folder: str = "INBOX") -> int:
        """The folder's UIDVALIDITY."""
        with self.client(user) as client:
            return int(client.folder_status(folder, ["UIDVALIDITY"])[b"UIDVALIDITY"])

    def set_uidvalidity(self, user: str, value: int, folder: str = "INBOX") -> None:
        """Change the folder's UIDVALIDITY, as a server restored from a backup does."""
        self.doveadm("mailbox", "update", "-u", user, "--uid-validity", str(value), folder)

    def folders(self, user: str) -> list[str]:
        """The names of the user's folders."""
        with self.client(user) as client:
            return sorted(name for _flags, _separator, name in client.list_folders())

    def kick(self, user: str) -> None:
        """Cut every connection of a user (the server says BYE)."""
        with contextlib.suppress(subprocess.CalledProcessError):  # it fails where the user has none
            self.doveadm("kick", user)


def _me() -> tuple[str, str]:
    import grp
    import pwd

    return pwd.getpwuid(os.geteuid()).pw_name, grp.getgrgid(os.getegid()).gr_name


def _give(path: Path, user: str, group: str, recursive: bool = True) -> None:
    for item in (path, *(path.rglob("*") if recursive else path.iterdir())):
        shutil.chown(item, user, group)
