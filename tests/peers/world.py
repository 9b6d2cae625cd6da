"""The world around some desks: every mail that they send is carried to its recipient, desk or robot, and so is what that answers.

world.robot("gone.example", lambda mail: [Mail("", mail.sender, bounce(mail))])
world.write(Mail("ann@gone.example", "support@one.example", ...))
world.rest()  # until nothing moves any more
"""

from __future__ import annotations

import smtplib
import sqlite3
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from peers.daemon import Daemon
from peers.smarthost import Smarthost

import postroom

HERE = Path(__file__).parent
CONFIG = """
[smtp]
listen = ["127.0.0.1:{{port}}"]
[processing]
workers = 1
[queue.support]
agents = ["ann"]
[agent.ann]
address = "ann@agents.example"
[mailbox.support]
address = "support@{domain}"
queue = "support"
[outgoing]
courier = "smtp"
[outgoing.smtp]
host = "127.0.0.1"
port = {smarthost}
"""
QUIET_SECONDS = 0.3  # without anything that waits: longer than a mail is between two queues
REST_SECONDS = 90.0
WAITING = (
    "SELECT (SELECT count(*) FROM inbound_email WHERE state IN ('pending', 'processing'))"
    " + (SELECT count(*) FROM delivery WHERE state IN ('pending', 'sending'))"
)


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail under way: its envelope and its bytes."""

    sender: str
    recipient: str
    content: bytes


Robot = Callable[[Mail], Iterable[Mail]]


def clock_environment(clock: Path) -> dict[str, str]:
    """The environment of a program whose clock runs ahead by the seconds that stand in that file."""
    path = f"{HERE / 'clock'}:{Path(postroom.__file__).parent.parent}"
    return {"TEST_CLOCK": str(clock), "PYTHONPATH": path}


class World:
    """Carries mail between desks (daemons) and robots, each known by its domain."""

    def __init__(self, smarthost: Smarthost, folder: Path) -> None:
        self._smarthost, self._folder = smarthost, folder
        self._desks: dict[str, Daemon] = {}
        self._robots: dict[str, Robot] = {}
        self._carried = 0
        self.clock = folder / "clock"
        self.clock.write_text("0")
        self.sent: list[Mail] = []  # what desks sent, in order

    def desk(self, domain: str, start: Callable[..., Daemon]) -> Daemon:
        """A desk at that domain: a real daemon whose clock is the world's."""
        text = CONFIG.format(domain=domain, smarthost=self._smarthost.port)
        self._desks[domain] = start(text, name=domain, env=clock_environment(self.clock))
        return self._desks[domain]

    def robot(self, domain: str, robot: Robot) -> None:
        """Whoever answers for all addresses of a domain."""
        self._robots[domain] = robot

    def write(self, mail: Mail) -> None:
        """Carry a mail to its recipient, and what robots answer to that."""
        domain = mail.recipient.rpartition("@")[2]
        if domain in self._desks:
            with smtplib.SMTP("127.0.0.1", self._desks[domain].smtp_port, timeout=30) as client:
                client.sendmail(mail.sender, [mail.recipient], mail.content)
            return
        robot = self._robots.get(domain)
        for answer in robot(mail) if robot else ():
            self.write(answer)

    def rest(self) -> None:
        """Carry what desks send until nothing waits anywhere. Raises TimeoutError where that never ends."""
        deadline, quiet = time.monotonic() + REST_SECONDS, 0.0
        while not quiet or time.monotonic() - quiet < QUIET_SECONDS:
            if time.monotonic() > deadline:
                raise TimeoutError(f"mail still moves after {REST_SECONDS:g} s; {len(self.sent)} were sent")
            time.sleep(0.02)
            if self._carry() or any(self._waits(desk) for desk in self._desks.values()):
                quiet = 0.0
            elif not quiet:
                quiet = time.monotonic()

    def pass_hours(self, hours: float) -> None:
        """Let every desk's clock go on."""
        self.clock.with_suffix(".new").write_text(str(float(self.clock.read_text()) + hours * 3600))
        self.clock.with_suffix(".new").replace(self.clock)
        time.sleep(0.1)  # five looks of every program at its clock

    def _carry(self) -> bool:
        new = self._smarthost.messages[self._carried :]
        self._carried += len(new)
        for taken in new:
            for recipient in taken.recipients:
                mail = Mail(taken.sender, recipient, taken.content)
                self.sent.append(mail)
                self.write(mail)
        return bool(new)

    def _waits(self, desk: Daemon) -> bool:
        with closing(sqlite3.connect(f"file:{desk.folder}/var/postroom.db?mode=ro", uri=True)) as database:
            return bool(database.execute(WAITING).fetchone()[0])
