"""The third door: mail from files, stored in groups, and processed to the end while more of it is being stored.

Taking the same files again changes nothing: each mail is one row by its mailbox, recipient and bytes. Where a
daemon holds the store, it does the processing, and this waits for it; else this processes, holding the lock.
"""

from __future__ import annotations

import hashlib
import re
import threading
import time
from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass, field

from postroom.config import Config
from postroom.daemon import envelope
from postroom.daemon.house import House, now
from postroom.daemon.mailfiles import Found
from postroom.daemon.presence import Presence
from postroom.daemon.process import Processor
from postroom.daemon.workers import Workers
from postroom.desk.mailboxes import Mailboxes
from postroom.errors import ConfigError, UserError
from postroom.store import inbound, ingested, raw_mail
from postroom.store.inbound import Accepted, NewInbound

GROUP_COUNT = 100  # mails in one commit: a sync of the disk costs as much for one as for a hundred
GROUP_SIZE = 8 << 20  # octets in one commit
# for a transaction of ours: no sender waits on the wire, and a batch may take long on a busy machine
PATIENT_SECONDS = 60.0
LOOK_SECONDS = 0.2  # how often it looks whether the daemon is through

ADDRESSED_SCANNED = 16 << 10  # octets of a header in which the mailbox is looked for
ADDRESS = re.compile(rb"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9.-]{1,255}")
ADDRESSED = re.compile(
    rb"^(?:delivered-to|x-original-to|envelope-to|to|cc):(.*(?:\n[ \t].*)*)", re.IGNORECASE | re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class Options:
    """How the mail is to be taken."""

    mailbox: str | None = None  # None: the one that serves the recipient, or whom the mail is addressed to
    recipient: str | None = None  # the envelope's
    sender: str | None = None  # the envelope's; "" is the null sender, None is what the mail's Return-Path says
    quiet: bool = False
    archive: bool = False


@dataclass(slots=True)
class Summary:
    """What became of the mail that was found."""

    found: int = 0
    known: int = 0  # taken before, byte for byte
    new: array[int] = field(default_factory=lambda: array("q"))  # the rows of the others; eight octets each
    problems: list[Found] = field(default_factory=list)
    passed_over: list[str] = field(default_factory=list)
    outcomes: Counter[str] = field(
        default_factory=Counter
    )  # of the new ones: opened, added, settled, duplicate, quarantined

    @property
    def duplicate(self) -> int:
        """Mail that is here already: the same bytes, or the same mail by another way."""
        return self.known + self.outcomes["duplicate"]

    @property
    def accepted(self) -> int:
        """Mail that was not here before."""
        return self.found - self.duplicate

    def take(self, accepted: Sequence[Accepted], left: Collection[int]) -> None:
        """Count mails taken; those in `left` were taken before, by a run that ended before their processing."""
        for one in accepted:
            self.found += 1
            at = bisect_left(self.new, one.id)  # nearly always its end
            if self.new[at : at + 1] == array("q", [one.id]) or not (one.is_new or one.id in left):
                self.known += 1
            else:
                self.new.insert(at, one.id)


class Watching:
    """Who watches how it goes on; this one does not."""

    looks = False  # whether it shows what it is told: counting what is left costs a query

    def took(self, octets: int) -> None:
        """Mail of so many octets was stored."""

    def processing(self, done: int, of: int) -> None:
        """So many of the new mails are settled."""


def ingest(house: House, mails: Iterable[Found], options: Options, watching: Watching) -> Summary:
    """Store all of this mail and process it to the end.

    Raises UserError where no mailbox serves the recipient, TemporaryFailure where the database does not take it:
    then what was committed before stays, and the same call goes on from there.
    """
    summary = Summary()
    house.store.busy_seconds = PATIENT_SECONDS
    destination = Destination(house.config, house.mailboxes, options)
    with ExitStack() as held:
        beside = _begin_beside(house, held)
        for group in _groups(_sound(mails, summary)):
            deliveries = [destination.delivery(raw) for raw in group]
            places = raw_mail.put_aside(house.store.objects, {d.digest: d.raw for d in deliveries})
            with house.store.write(
                urgent=True
            ) as connection:  # else the processor has the lock again before we wake up
                accepted = inbound.accept(connection, deliveries, places)
                left = ingested.waiting(connection, [a.id for a in accepted if not a.is_new])
            summary.take(accepted, left)
            watching.took(sum(map(len, group)))
            if beside:
                beside.wake()
        if beside:
            beside.finish()
        if summary.new:
            _process(house, beside, summary.new, watching)
            with house.store.read() as connection:
                summary.outcomes = ingested.outcomes(connection, summary.new)
    return summary


def _sound(mails: Iterable[Found], summary: Summary) -> Iterator[bytes]:
    """The mails that are there; the others are noted."""
    for found in mails:
        if found.raw is not None:
            yield found.raw
        elif found.passed_over:
            summary.passed_over.append(found.name)
        else:
            summary.problems.append(found)


def _groups(mails: Iterable[bytes]) -> Iterator[list[bytes]]:
    group: list[bytes] = []
    size = 0
    for raw in mails:
        group.append(raw)
        size += len(raw)
        if len(group) >= GROUP_COUNT or size >= GROUP_SIZE:
            yield group
            group, size = [], 0
    if group:
        yield group


class Destination:
    """Says for each mail which mailbox it is for, and with which envelope."""

    def __init__(self, config: Config, mailboxes: Mailboxes, options: Options) -> None:
        self._config, self._mailboxes, self._options = config, mailboxes, options
        self._first = next(iter(config.mailbox))
        self._mailbox = self._said()

    def _said(self) -> str | None:
        """The mailbox that the options name, or that there is only one of."""
        name, recipient, there_are = self._options.mailbox, self._options.recipient, ", ".join(self._config.mailbox)
        if name is not None:
            if name not in self._config.mailbox:
                raise UserError(f"there is no mailbox {name}; there are: {there_are}")
            return name
        if recipient is not None:
            served = self._mailboxes.find(recipient)
            if served is None:
                raise UserError(f"no mailbox serves {recipient}; name one with --mailbox: {there_are}")
            return served.mailbox
        return self._first if len(self._config.mailbox) == 1 else None

    def delivery(self, raw: bytes) -> NewInbound:
        """The mail with its envelope."""
        o = self._options
        mailbox = self._mailbox or self._addressed(raw)
        default = self._config.mailbox[mailbox].address
        recipient = o.recipient or envelope.recipient(raw, self._mailboxes, mailbox, default)
        sender = envelope.sender(raw) if o.sender is None else o.sender
        return NewInbound(
            mailbox, recipient.lower(), raw, hashlib.sha256(raw).hexdigest(), "ingest", sender, now(),
            archive=o.archive, quiet=o.quiet or o.archive,
        )  # fmt: skip

    def _addressed(self, raw: bytes) -> str:
        """The mailbox that the mail is addressed to by its own word, or the first of the configuration."""
        header = re.split(rb"\r?\n\r?\n", raw[:ADDRESSED_SCANNED], maxsplit=1)[0]
        for line in ADDRESSED.finditer(header):
            for address in ADDRESS.findall(line[1]):
                if served := self._mailboxes.find(address.decode("ascii")):
                    return served.mailbox
        return self._first


class _Beside:
    """Processes what is stored while more is being stored: parsing and the database keep both cores busy."""

    def __init__(self, processor: Processor) -> None:
        self.processor = processor
        self._stored, self._ends = threading.Event(), threading.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="beside")
        self._done = self._thread.submit(self._run)

    def wake(self) -> None:
        """More was stored. Raises what processing has failed with."""
        if self._done.done():
            self._done.result()
        self._stored.set()

    def finish(self) -> None:
        """Nothing more will be stored."""
        self._ends.set()
        self._stored.set()

    def is_done(self, seconds: float) -> bool:
        """Whether all that was stored had its turn, within so many seconds. Raises what processing has failed with."""
        wait([self._done], seconds)
        if self._done.done():
            self._done.result()
        return self._done.done()

    def leave(self) -> None:
        """End after the batch at hand; what was claimed beyond it is given back."""
        self.processor.stop()
        self.finish()
        self._thread.shutdown()

    def _run(self) -> None:
        ends = False
        while not ends:
            self._stored.wait()
            ends = self._ends.is_set()
            self._stored.clear()
            self.processor.drain()


def _begin_beside(house: House, held: ExitStack) -> _Beside | None:
    """What processes here, holding the store; None where a daemon holds it, and does that."""
    try:
        held.enter_context(house.store.daemon_lock("ingest"))
    except ConfigError:
        return None
    if house.store.is_sqlite:  # nobody else can be working on it
        with house.store.write() as connection:
            inbound.recover(connection)
    held.enter_context(Presence(house.store))
    workers = held.enter_context(Workers(house.config.processing))
    beside = _Beside(Processor(house.config, house.store, workers, house.reception, now))
    held.callback(beside.leave)
    return beside


def _process(house: House, beside: _Beside | None, new: Sequence[int], watching: Watching) -> None:
    """Return when none of these rows waits any more: processed here, or by the daemon that holds the store."""

    first, last = new[0], new[-1]

    def look() -> int:
        with house.store.read() as connection:
            left = ingested.unsettled(connection, first, last)
        watching.processing(max(len(new) - left, 0), len(new))
        return left

    while beside and not beside.is_done(LOOK_SECONDS):
        if watching.looks:
            look()
    while look():
        with ExitStack() as held:
            here = beside or _begin_beside(house, held)
            if here is None:
                time.sleep(LOOK_SECONDS)  # the daemon does it; should it end meanwhile, the lock is free
            elif not here.processor.drain():
                time.sleep(LOOK_SECONDS)  # another try is not due yet, or another daemon has taken it
