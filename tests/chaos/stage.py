"""Where the daemon is killed: the peers that stay, and for each point a fresh store with work to be done.

In the store that each point begins with, a customer's ticket waits, and an agent's answer to it lies in the outbox: people's
mail. Two mails lie in an IMAP folder. Two customers and the agent write by SMTP while the daemon runs, and come
again until they have their 250. All that is sent goes to a smarthost that records it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import signal
import smtplib
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from chaos import ledger
from chaos.killer import Killer, Struck
from peers.dovecot import Dovecot
from peers.house import answer, mail
from peers.postgresql import PostgreSQL
from peers.processes import Server, accepts, free_port, wait_until
from peers.smarthost import Smarthost
from peers.zygote import Child, Zygote, environment

from postroom.parsers.email import parse

CONFIG = """
[store]
url = "{url}"
[smtp]
listen = ["127.0.0.1:{port}"]
min_free_disk = 1
[answers]
per_domain_hour = 1000
[processing]
workers = 1
[outgoing]
courier = "smtp"
[outgoing.smtp]
port = {smarthost}
[queue.support]
agents = ["ann"]
[agent.ann]
address = "ann@example.com"
[mailbox.support]
address = "support@example.com"
queue = "support"
"""
IMAP = """
[mailbox.support.imap]
host = "127.0.0.1"
port = {port}
security = "none"
user = "support"
password_env = "IMAP_PASSWORD"
folder = "{folder}"
after = "{after}"
move_to = "Taken-{folder}"
poll_seconds = 1
"""
ANN = "ann@example.com"
CUSTOMER = "cy@customer.example"
ACT_SECONDS = 45.0  # for all that is to be done, on a machine that others use too
ENDING_SECONDS = 35.0


@dataclass
class Play:
    """One point: what is sent and asked for, and what the peers know of it."""

    number: int
    folder: Path
    url: str
    by_smtp: list[tuple[str, str, bytes]]  # envelope's sender, recipient, content
    by_imap: list[bytes]
    after: str
    acknowledged: list[str] = field(default_factory=list)  # digests that got a 250
    gone: threading.Event = field(default_factory=threading.Event)
    senders: list[threading.Thread] = field(default_factory=list)
    server: psycopg.Connection[Any] | None = None  # for looking into PostgreSQL

    @property
    def imap_folder(self) -> str:
        """The IMAP folder that is this point's own."""
        return f"P{self.number}"

    @property
    def log(self) -> Path:
        """What the daemons of this point wrote."""
        return self.folder / "daemon.log"


class Stage(Server):
    """The peers, for the time of a `with` block; `database` is "sqlite" or "postgresql"."""

    def __init__(self, database: str, after: str = "flag") -> None:
        super().__init__()
        self.database, self.after = database, after
        self.last_status = 0
        self._port = free_port()
        self._number = 0

    def _open(self) -> None:
        opening = self._closing
        self.root = Path(tempfile.mkdtemp(prefix="chaos."))
        opening.callback(shutil.rmtree, self.root, ignore_errors=True)
        self._dovecot = opening.enter_context(Dovecot(users=["support"]))
        self._imap = opening.enter_context(self._dovecot.client("support"))
        self._postgresql = opening.enter_context(PostgreSQL()) if self.database == "postgresql" else None
        self.smarthost = opening.enter_context(Smarthost())
        self._zygote = opening.enter_context(Zygote())
        self._set_up()

    # -- the store that each point begins with

    def _set_up(self) -> None:
        """A ticket whose customer was answered: the answer waits in the outbox."""
        self._template = self.root / "template"
        self._template.mkdir()
        self._template_url = "sqlite:///var/postroom.db"
        if self._postgresql:
            self._template_url = self._postgresql.create_database()
        self._write_config(self._template, self._template_url, "")
        self._command("migrate")
        daemon = self._start(self._template, self._template / "log", {}, None)
        try:
            letter = mail(f"Cy <{CUSTOMER}>", Message_ID="<first@customer.example>")
            wait_until(lambda: accepts(self._port), "the daemon listens")
            with contextlib.closing(smtplib.SMTP("127.0.0.1", self._port, timeout=20)) as client:
                client.sendmail(CUSTOMER, ["support@example.com"], letter)
            notice = wait_until(lambda: self.smarthost.to(ANN), "the agent's notice")[0]
            self.smarthost.wait_for(2)
            self._notice = parse(notice.content)
        except TimeoutError as error:
            raise RuntimeError(f"{error}; its log:\n{(self._template / 'log').read_text()}") from error
        finally:
            daemon.send_signal(signal.SIGTERM)
            daemon.wait()
        self._command("tickets", "reply", "T-1001", "Turn it off.")

    def _command(self, *arguments: str) -> None:
        command = [sys.executable, "-m", "postroom", "-c", str(self._template / "postroom.toml"), *arguments]
        subprocess.run(command, check=True, capture_output=True, cwd=self._template, env=environment())

    def _write_config(self, folder: Path, url: str, imap_folder: str) -> None:
        config = CONFIG.format(url=url, port=self._port, smarthost=self.smarthost.port)
        if imap_folder:
            config += IMAP.format(port=self._dovecot.port, folder=imap_folder, after=self.after)
        (folder / "postroom.toml").write_text(config)

    # -- a point

    @contextlib.contextmanager
    def play(self) -> Iterator[Play]:
        """A fresh store, mail in an IMAP folder, and mail to be sent; all of it is removed afterwards."""
        self._number += 1
        n = self._number
        folder = self.root / f"p{n}"
        folder.mkdir()
        url = self._copy(folder)
        self._write_config(folder, url, f"P{n}")
        by_smtp = [_letter(f"s{n}a"), (ANN, self._notice.reply_to[0].address, self._answer(n)), _letter(f"s{n}b")]
        play = Play(n, folder, url, by_smtp, [_letter(f"i{n}{x}")[2] for x in "ab"], self.after)
        self._imap.create_folder(play.imap_folder)
        for raw in play.by_imap:
            self._imap.append(play.imap_folder, raw)
        try:
            yield play
        finally:
            play.gone.set()
            for sender in play.senders:
                sender.join()
            if play.server:
                play.server.close()
            if self._postgresql:
                self._postgresql.drop_database(url)
            self._imap.delete_folder(play.imap_folder)
            shutil.rmtree(folder)

    def _copy(self, folder: Path) -> str:
        (folder / "var").mkdir()
        for source in (self._template / "var").iterdir():
            if source.is_file() and not source.name.endswith(".lock"):
                shutil.copy(source, folder / "var" / source.name)
        if not self._postgresql:
            return "sqlite:///var/postroom.db"
        name = self._template_url.rpartition("/")[2]
        copy = f"{name}_{folder.name}"
        self._postgresql.query(f'CREATE DATABASE "{copy}" TEMPLATE "{name}"')
        return self._postgresql.url(copy)

    def _answer(self, n: int) -> bytes:
        return answer(self._notice, f"Answer {n}.\n", Message_ID=f"<answer-{n}@example.com>")

    def strike(
        self, play: Play, k: int = 0, failpoint: str = "", number: signal.Signals = signal.SIGKILL
    ) -> tuple[Struck | None, Killer | None]:
        """Run the daemon until it is killed at its k-th call, or at a failpoint; or to the end of the work and its own end."""
        env = {"IMAP_PASSWORD": self._dovecot.password}
        killer: list[Killer] = []
        if failpoint:
            env["POSTROOM_FAILPOINT"] = failpoint
        daemon = self._start(
            play.folder,
            play.log,
            env,
            None if failpoint else lambda p, listener: killer.append(_started(Killer(p, listener, k, number))),
        )
        try:
            self._send(play)
            wait_until(lambda: daemon.has_ended() or self._is_played(play), "the end of the work", ACT_SECONDS)
            daemon.send_signal(signal.SIGTERM)
            wait_until(daemon.has_ended, "the daemon's end", ENDING_SECONDS)
        finally:
            self._end(daemon)
        if failpoint:
            return Struck(failpoint, 1, 0) if self.last_status == -signal.SIGKILL else None, None
        killer[0].join()
        return killer[0].struck, killer[0]

    def recover(self, play: Play) -> None:
        """Start it anew, let it finish the work, and end it."""
        if self._postgresql:  # as if the time had passed after which other daemons take over
            for table in ("inbound_email", "delivery"):
                self._postgresql.query(
                    f"UPDATE {table} SET claimed_until = now() - interval '1 second' WHERE claimed_until IS NOT NULL",
                    play.url.rpartition("/")[2],
                )
        daemon = self._start(play.folder, play.log, {"IMAP_PASSWORD": self._dovecot.password}, None)
        try:
            wait_until(lambda: self._are_answered(play) and ledger.is_settled(play), "all is settled", ACT_SECONDS)
        finally:
            self._end(daemon)

    def seen_by_dovecot(self, play: Play) -> tuple[dict[int, bool], int]:
        """The messages that are left in the folder, by UID, and whether they bear \\Seen; and how many were moved."""
        self._imap.select_folder(play.imap_folder, readonly=True)
        flags = self._imap.get_flags(self._imap.search("ALL")) if self._imap.search("ALL") else {}
        left = {uid: b"\\Seen" in found for uid, found in flags.items()}
        moved = 0
        if self.after == "move" and self._imap.folder_exists(f"Taken-{play.imap_folder}"):
            moved = int(self._imap.folder_status(f"Taken-{play.imap_folder}", ["MESSAGES"])[b"MESSAGES"])
        self._imap.unselect_folder()
        return left, moved

    # -- daemons and senders

    def _start(self, folder: Path, log: Path, env: dict[str, str], watch: Callable[[int, int], None] | None) -> Child:
        prepare = "chaos.killer:install" if watch else ""
        with log.open("ab") as output, open(os.devnull, "rb") as nothing:
            streams = nothing.fileno(), output.fileno(), output.fileno()
            arguments = ["-c", str(folder / "postroom.toml"), "run"]
            daemon = self._zygote.start(
                arguments, cwd=folder, env={**environment(), **env}, streams=streams, prepare=prepare
            )
        if watch:
            watch(daemon.pid, daemon.told)
            daemon.go()
        return daemon

    def _end(self, daemon: Child) -> None:
        daemon.kill()
        self.last_status = daemon.wait()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(daemon.pid, signal.SIGKILL)

    def _send(self, play: Play) -> None:
        for sender, recipient, raw in play.by_smtp:
            thread = threading.Thread(target=self._persist, args=[play, sender, recipient, raw], daemon=True)
            play.senders.append(thread)
            thread.start()

    def _persist(self, play: Play, sender: str, recipient: str, raw: bytes) -> None:
        """Send it until it is acknowledged, as a real mail server does, though sooner."""
        while not play.gone.is_set():
            with contextlib.suppress(smtplib.SMTPException, OSError):
                with contextlib.closing(smtplib.SMTP("127.0.0.1", self._port, timeout=10)) as client:
                    client.sendmail(sender, [recipient], raw)
                    play.acknowledged.append(hashlib.sha256(raw).hexdigest())
                return
            play.gone.wait(0.02)

    def _are_answered(self, play: Play) -> bool:
        return len(play.acknowledged) == len(play.by_smtp)

    def _is_played(self, play: Play) -> bool:
        return self._are_answered(play) and ledger.is_settled(play)


def _started(killer: Killer) -> Killer:
    killer.start()
    return killer


def _letter(name: str) -> tuple[str, str, bytes]:
    sender = f"{name}@customer.example"
    return (
        sender,
        "support@example.com",
        mail(sender, subject=f"Question {name}", Message_ID=f"<{name}@customer.example>"),
    )
