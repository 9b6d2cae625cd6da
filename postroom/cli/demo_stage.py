"""The stage of the demo: a real daemon in a temporary directory, the mail that goes in, and the mail that comes out."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import smtplib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from postroom import config
from postroom.cli import ticket_json
from postroom.store import inbound, outbox, reports
from postroom.store.engine import Store

POLL_SECONDS = 0.05
STEP_SECONDS = 20.0  # how long a step may take before it counts as failed
STOP_SECONDS = 25.0  # the daemon promises to be gone before
LOG_SHOWN = 12  # lines of the daemon's log, where a step failed

T = TypeVar("T")

CONFIG = """\
[smtp]
listen = ["127.0.0.1:0"]              # any free port
hostname = "mail.example.com"

[queue.support]
title = "Example Support"
agents = ["ann"]

[agent.ann]
name = "Ann Agent"
address = "ann@example.com"

[mailbox.support]
address = "support@example.com"
queue = "support"

[log]
format = "json"
"""


class StepFailed(Exception):
    """A step did not happen; the message says what was waited for."""


class Stage:
    """Runs while the `with` block does; then the daemon is stopped and the directory removed, unless it is kept."""

    def __init__(self, keep: bool) -> None:
        self._keep = keep
        self._seen: set[str] = set()
        self._closing = contextlib.ExitStack()

    def __enter__(self) -> Self:
        self.folder = Path(tempfile.mkdtemp(prefix="postroom-demo-"))
        if not self._keep:
            self._closing.callback(shutil.rmtree, self.folder, ignore_errors=True)
        self.config = self.folder / "postroom.toml"
        self.config.write_text(CONFIG, "utf-8")
        self._log = self.folder / "daemon.log"
        with self._log.open("wb") as log:
            self._daemon = subprocess.Popen(  # noqa: S603 - a session of its own: Ctrl-C is ours, and we tell it
                [sys.executable, "-m", "postroom", "-c", str(self.config), "run"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder, start_new_session=True,
            )  # fmt: skip
        self._closing.callback(self.stop)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.close()

    @property
    def pid(self) -> int:
        """The daemon's process id."""
        return self._daemon.pid

    def stop(self) -> int:
        """Ask the daemon to end, as systemd does, and make sure that it has; its exit status."""
        self._daemon.terminate()
        try:
            return self._daemon.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._daemon.kill()
            return self._daemon.wait()
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._daemon.pid, signal.SIGKILL)  # whatever it may have left behind

    def wait_until_ready(self) -> int:
        """The port on which the daemon takes mail, once it says so."""
        self.port = self.wait_for("the daemon is ready", self._ready_port)
        self._store = Store(config.load(str(self.config)).store_url())
        self._closing.callback(self._store.dispose)
        return self.port

    def _ready_port(self) -> int | None:
        for line in self._log.read_text("utf-8", "replace").splitlines():
            with contextlib.suppress(ValueError):
                event = json.loads(line)
                if event.get("event") == "ready":
                    return int(event["smtp"][0].rpartition(":")[2])
        return None

    def hand_in(self, sender: str, recipient: str, raw: bytes) -> str:
        """Hand a mail to the daemon by SMTP; its answer to the final dot."""
        try:
            with smtplib.SMTP("127.0.0.1", self.port, timeout=STEP_SECONDS) as client:
                client.ehlo("client.example.org")
                for code, answer in (client.mail(sender), client.rcpt(recipient)):
                    if code != 250:
                        raise StepFailed(f"the daemon said {code} {answer.decode('ascii', 'replace')} to the envelope")
                code, answer = client.data(raw)
        except (OSError, smtplib.SMTPException) as error:
            raise StepFailed(f"SMTP to port {self.port}: {error}") from error
        if code != 250:
            raise StepFailed(f"the daemon said {code} {answer.decode('ascii', 'replace')} to the mail")
        return f"{code} {answer.decode('ascii', 'replace')}"

    def wait_for_mail(self, to: str, what: str) -> EmailMessage:
        """The next mail to `to` that the daemon delivers into its Maildir."""
        return self.wait_for(what, lambda: self._new_mail(to))

    def _new_mail(self, to: str) -> EmailMessage | None:
        for path in sorted(
            (self.folder / "var" / "outgoing" / "new").glob("*"), key=lambda path: path.stat().st_mtime_ns
        ):
            if path.name not in self._seen:
                mail = message_from_bytes(path.read_bytes(), policy=policy.default)
                if mail["Delivered-To"] == to:
                    self._seen.add(path.name)
                    return mail
        return None

    def delivered(self) -> int:
        """How many mails the daemon has delivered in all."""
        return len(list((self.folder / "var" / "outgoing" / "new").glob("*")))

    def wait_for_ticket(self, what: str, is_so: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The first ticket of the export of which `is_so` holds."""
        return self.wait_for(what, lambda: next(filter(is_so, self.tickets()), None))

    def wait_for(self, what: str, look: Callable[[], T | None]) -> T:
        """What `look` finds in the end. StepFailed, naming `what`, where it finds nothing in time, or the daemon dies."""
        deadline = time.monotonic() + STEP_SECONDS
        while (found := look()) is None:
            if (status := self._daemon.poll()) is not None:
                raise StepFailed(f"the daemon ended with status {status}, before: {what}")
            if time.monotonic() > deadline:
                raise StepFailed(f"waited {STEP_SECONDS:g} s for: {what}")
            time.sleep(POLL_SECONDS)
        return found

    def run(self, *arguments: str) -> str:
        """What `postroom ARGUMENTS` prints."""
        command = [sys.executable, "-m", "postroom", "-c", str(self.config), *arguments]
        ran = subprocess.run(command, capture_output=True, timeout=STEP_SECONDS, check=False)  # noqa: S603
        if ran.returncode != 0:
            raise StepFailed(f"postroom {' '.join(arguments)}: {ran.stderr.decode('utf-8', 'replace').strip()}")
        return ran.stdout.decode("utf-8")

    def tickets(self) -> list[dict[str, Any]]:
        """What `postroom tickets export` would print; read here, since starting a program takes its time."""
        return [ticket_json.whole(whole) for whole in reports.every_ticket(self._store, reports.Filter())]

    def mails_in(self) -> list[Any]:
        """The rows of the mail received, the newest first."""
        with self._store.read() as connection:
            return list(inbound.find(connection))

    def mails_out(self) -> list[Any]:
        """The rows of the outbox, the newest first; once nothing in it waits any more."""

        def settled() -> list[Any] | None:
            with self._store.read() as connection:
                rows = list(outbox.find(connection))
            return rows if all(row.state == "sent" for row in rows) else None

        return self.wait_for("every mail in the outbox is sent", settled)

    def log_tail(self) -> list[str]:
        """The last lines of the daemon's log."""
        return self._log.read_text("utf-8", "replace").splitlines()[-LOG_SHOWN:]
