"""Processing: claim a batch, parse it apart from the daemon, and give each message its whole effect.

A batch is claimed, and the attempt counted, in a transaction of its own before anything is parsed. Its
effects are one transaction: tickets, messages, index, activity, outbox and `processed` on the inbound row, all or nothing.
That no message breaks is taken for granted; where one does, all of them are taken back and written anew, each in a savepoint of
its own, so that it breaks nothing beside itself. Where a sender waits for his mail to be taken meanwhile (SQLite has one writer), the
transaction ends behind a message, and the next takes up the rest: between two groups of senders a message at least, and as many as
their turn left time for. While one batch is being written, the next is being parsed.

What it writes need not be on disk before anything else is (`synced=False`): nothing of it leaves the house before the courier's claim, which
is synced, and what a power cut undoes is done again from the raw mail, which stays.

Daemons on one database claim and parse side by side and write one after the other, so each decides by
everything that was decided before.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from datetime import datetime, timedelta

from sqlalchemy import Connection
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, OperationalError, StatementError

from postroom.config import Config
from postroom.daemon.failpoint import failpoint
from postroom.daemon.log import together
from postroom.daemon.metrics import Metrics
from postroom.daemon.receive import Reception, Settled, ask_ahead, receive
from postroom.daemon.workers import Broken, Workers
from postroom.desk.authentication import Authentication
from postroom.errors import PermanentFailure, TemporaryFailure, described
from postroom.logger import structlog
from postroom.parsers.parsed import ParsedEmail
from postroom.store import inbound, raw_mail
from postroom.store.engine import Store
from postroom.store.inbound import Claimed
from postroom.store.prepared import savepoint
from postroom.store.waiting import gathering

# longer than a batch of messages that all run into their time limit, one by one; a daemon's death ends it
LEASE = timedelta(minutes=10)
# messages of which is asked at once what each will ask; a transaction that ends early has asked for few in vain
AHEAD = 16
CLAIMS_MAX = 10  # attempts that ended with the daemon itself, before a message is taken for the cause
RETRY_FIRST = timedelta(seconds=5)
AWAY = timedelta(seconds=30)  # until mail is tried again whose bytes could not be fetched
IDLE_SECONDS = 5.0  # how often it looks for mail whose time has come, though nobody woke it
REASON_MAX = 500  # characters
DATA_STATES = ("22", "54")  # SQLSTATE classes: data exception, program limit exceeded
BACKOFF_SECONDS = 5.0  # after trouble with the database
YIELD_SECONDS = 0.002  # of writing, after which mail that waits on the wire to be taken goes first
# at most; where so many senders come that taking their mail takes longer, processing has as long
CROWD_YIELD_SECONDS = 0.02

log = structlog.get_logger("process")
Checked = Authentication | None
Batch = list[tuple[Claimed, ParsedEmail | Broken, Checked]]
Check = Callable[[Sequence[tuple[Claimed, ParsedEmail | Broken]]], Sequence[Checked]]


class Processor:
    """Turns pending deliveries into tickets, in a thread of its own or until nothing is left."""

    def __init__(
        self, config: Config, store: Store, workers: Workers, reception: Callable[[Connection], Reception],
        clock: Callable[[], datetime], on_enqueued: Callable[[], None] = lambda: None, check: Check | None = None,
        beat: Callable[[], None] = lambda: None, metrics: Metrics | None = None,
    ) -> None:  # fmt: skip
        """`reception` is asked once for each batch; `on_enqueued` is called when there may be mail to send.

        `check` says of each message of a batch what vouches for its sender, outside of any transaction. `beat` is
        called as it goes on.
        """
        self._beat, self._metrics = beat, metrics or Metrics()
        workers.beat = beat
        self._config, self._store, self._workers, self._reception = config, store, workers, reception
        self._clock, self._on_enqueued, self._check = clock, on_enqueued, check
        self._name = f"{store.node} {secrets.token_hex(3)}"
        self._awake, self._stopping = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Process in a thread of its own, for ever."""
        self._thread = threading.Thread(target=self._run, name="process", daemon=True)
        self._thread.start()

    def use(self, config: Config, reception: Callable[[Connection], Reception], check: Check | None) -> None:
        """From the next batch on, work by this configuration."""
        self._config, self._reception, self._check = config, reception, check

    def wake(self) -> None:
        """There is mail to process."""
        self._awake.set()

    def stop(self, timeout: float | None = None) -> None:
        """End after the batch at hand; what was claimed beyond it is given back."""
        self._stopping.set()
        self._awake.set()
        if self._thread is not None:
            self._thread.join(timeout)

    @property
    def alive(self) -> bool:
        """Whether its thread runs."""
        return self._thread is not None and self._thread.is_alive()

    def drain(self) -> Counter[str]:
        """Process until nothing is pending; how many messages ended in which way."""
        counts: Counter[str] = Counter()
        self._release()
        with closing(self._batches()) as batches:
            for batch in batches:
                counts += self._apply(batch)
                self._on_enqueued()
        if self._stopping.is_set():
            with suppress(TemporaryFailure):  # else the leases run out by themselves
                self._release()
        return counts

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._awake.clear()
            self._beat()
            try:
                self.drain()
            except TemporaryFailure as error:
                log.warning("deferred", why=str(error))
                self._stopping.wait(BACKOFF_SECONDS)
            except Exception:
                log.exception("failed")
                self._stopping.wait(BACKOFF_SECONDS)
            else:
                self._awake.wait(IDLE_SECONDS)

    def _release(self) -> None:
        """Give back what we claimed and did not finish, as if it had not been claimed."""
        with self._store.write() as connection:
            inbound.release(connection, self._name)

    def _batches(self) -> Generator[Batch, None, None]:
        """Claimed and parsed batches; the next one is claimed and parsed while its predecessor is written."""
        with ThreadPoolExecutor(1, thread_name_prefix="parse") as ahead:
            coming = ahead.submit(self._next)
            while (batch := coming.result()) and not self._stopping.is_set():
                coming = ahead.submit(self._next)
                yield batch

    def _next(self) -> Batch:
        """The next batch; empty where nothing can be worked on now."""
        while not self._stopping.is_set():
            with self._store.write(synced=False) as connection:
                ids = inbound.claim(connection, self._name, self._clock(), LEASE, self._config.processing.batch)
            if not ids:
                break
            with self._store.read() as connection:  # not in the same: many octets, for which nobody should wait
                claimed = inbound.load_claimed(connection, ids)
            failpoint("process-claimed")
            if claimed[0].attempts > CLAIMS_MAX:  # it comes alone, and is not touched again
                return [(claimed[0], Broken(f"taken {claimed[0].attempts} times without an end"), None)]
            if parsed := self._parse(claimed):
                checked = self._check(parsed) if self._check else [None] * len(parsed)
                return [(one, email, found) for (one, email), found in zip(parsed, checked, strict=True)]
            self._beat()
        return []

    def _parse(self, claimed: Sequence[Claimed]) -> list[tuple[Claimed, ParsedEmail | Broken]]:
        """What each of these says. Whose bytes cannot be had now is put off, and is not among them."""
        whole = raw_mail.fetched(self._store.objects, claimed)
        found = iter(self._workers.parse_all([one.raw for one in whole if isinstance(one, Claimed)]))
        late = {c.id: one for c, one in zip(claimed, whole, strict=True) if isinstance(one, TemporaryFailure)}
        if late:
            reason = str(next(iter(late.values())))
            with self._store.write() as connection:
                inbound.put_off(connection, list(late), _plain(reason), self._clock() + AWAY)
            log.warning("deferred", inbound=sorted(late), why=reason)
        return [
            (one, next(found)) if isinstance(one, Claimed) else (claim, Broken(str(one)))
            for claim, one in zip(claimed, whole, strict=True)
            if claim.id not in late
        ]

    def _apply(self, batch: Batch) -> Counter[str]:
        """Write the effects of a batch: in one transaction, or in several where mail waits to be taken."""
        counts: Counter[str] = Counter()
        began = time.monotonic()
        while batch:
            settled, batch = self._apply_some(batch, counts)
            counts.update(one.outcome for one in settled)
            said = log.bind()
            with together():
                for one in settled:
                    said.info(one.outcome, inbound=one.id, ticket=one.ticket_id, why=one.reason)
        self._metrics.took("batch_seconds", [time.monotonic() - began])
        for outcome, count in counts.items():
            self._metrics.count("processed", outcome, by=count)
        self._beat()
        return counts

    def _apply_some(self, batch: Batch, counts: Counter[str]) -> tuple[list[Settled], Batch]:
        """What was settled in one transaction, and what is left of the batch. Each message is whole, so it may end behind any."""
        with self._store.write(alone=True, synced=False) as connection:
            enough = time.monotonic() + max(YIELD_SECONDS, min(self._store.urgent_seconds, CROWD_YIELD_SECONDS))
            reception = self._reception(connection)
            held = inbound.held(connection, self._name, [claimed.id for claimed, *_ in batch])
            written = self._write_trusting(connection, reception, batch, held, enough)
            if written is None:
                written = self._write_apart(connection, reception, batch, held, enough, counts)
            failpoint("process-written")
        failpoint("process-committed")
        settled, done = written
        return settled, batch[done:]

    def _write_trusting(
        self, connection: Connection, reception: Reception, batch: Batch, held: set[int], enough: float
    ) -> tuple[list[Settled], int] | None:
        """What was settled, and of how many messages; None, and nothing written or said, where one of them breaks."""
        settled: list[Settled] = []
        whole = [(claimed, parsed, checked) for claimed, parsed, checked in batch if not isinstance(parsed, Broken)]
        if len(held) < len(batch) or len(whole) < len(batch):
            return None
        try:
            with savepoint(connection), gathering(connection):
                keys: dict[int, str] = {}
                for number, (claimed, parsed, checked) in enumerate(whole):
                    if number % AHEAD == 0:
                        keys = ask_ahead(connection, [(one, email) for one, email, _ in whole[number : number + AHEAD]])
                    key = keys.get(claimed.id)
                    settled.append(receive(connection, reception, claimed, parsed, self._clock(), checked, key))
                    failpoint("process-between")
                    if self._is_enough(enough):
                        break
                inbound.settle(connection, [one.row(self._clock()) for one in settled])
        except Exception as error:  # the edge: it is found out which, one by one
            if _is_the_databases(error):
                raise
            return None
        return settled, len(settled)

    def _write_apart(
        self, connection: Connection, reception: Reception, batch: Batch, held: set[int], enough: float,
        counts: Counter[str],
    ) -> tuple[list[Settled], int]:  # fmt: skip
        """What was settled, and what became of how many messages, each in a savepoint of its own."""
        settled: list[Settled] = []
        done = 0
        for claimed, parsed, checked in batch:
            if claimed.id not in held:
                log.warning("lease lost", inbound=claimed.id)
            elif isinstance(parsed, Broken) and claimed.attempts > CLAIMS_MAX:
                self._quarantine(connection, claimed, parsed.reason, counts)
            elif isinstance(parsed, Broken):
                self._fail(connection, claimed, parsed.reason, counts)
            elif (one := self._receive(connection, reception, claimed, parsed, checked, counts)) is not None:
                settled.append(one)
            failpoint("process-between")
            done += 1
            if self._is_enough(enough):
                break
        self._settle(connection, settled)
        return settled, done

    def _is_enough(self, enough: float) -> bool:
        """Whether mail waits on the wire to be taken, and the time for writing before it is over."""
        return self._store.is_wanted and time.monotonic() > enough

    def _settle(self, connection: Connection, settled: list[Settled]) -> None:
        """Mark them processed, all at once; where one cannot be written as it is, it is written without its words."""
        rows = [one.row(self._clock()) for one in settled]
        try:
            with savepoint(connection):
                inbound.settle(connection, rows)
        except (OperationalError, TemporaryFailure):
            raise
        except Exception:
            log.exception("broken", inbound=[one.id for one in settled])
            for row in rows:
                try:
                    with savepoint(connection):
                        inbound.settle(connection, [row])
                except (DataError, StatementError, ValueError):
                    bare = {"decision": None, "reason": "its decision cannot be kept in the database"}
                    inbound.settle(connection, [row | bare])

    def _receive(
        self, connection: Connection, reception: Reception, claimed: Claimed, parsed: ParsedEmail, checked: Checked,
        counts: Counter[str],
    ) -> Settled | None:  # fmt: skip
        """One message in its own savepoint: whatever it breaks, the rest of the batch flows on."""
        try:
            with suppress(IntegrityError), savepoint(connection):
                return receive(connection, reception, claimed, parsed, self._clock(), checked)
            # a copy of the same mail was faster: now it is there, and this one is its duplicate
            with savepoint(connection):
                return receive(connection, reception, claimed, parsed, self._clock(), checked)
        except Exception as error:  # the edge: one message, whatever is wrong with it
            if _is_the_databases(error):
                raise
            log.exception("broken", inbound=claimed.id)
            why = str(error) if isinstance(error, PermanentFailure) else described(error)
            self._fail(connection, claimed, f"processing failed: {why}", counts)
        return None

    def _fail(self, connection: Connection, claimed: Claimed, reason: str, counts: Counter[str]) -> None:
        """A message that broke its attempt is tried again, alone; after the last attempt it is quarantined."""
        if claimed.failures + 1 >= self._config.processing.attempts:
            self._quarantine(connection, claimed, reason, counts)
            return
        reason = _plain(reason)
        inbound.fail(connection, claimed.id, reason, self._clock() + RETRY_FIRST * claimed.failures)
        log.warning("deferred", inbound=claimed.id, attempt=claimed.attempts, why=reason)

    def _quarantine(self, connection: Connection, claimed: Claimed, reason: str, counts: Counter[str]) -> None:
        reason = _plain(reason)
        inbound.quarantine(connection, claimed.id, reason, self._clock())
        log.error("quarantined", inbound=claimed.id, attempts=claimed.attempts, why=reason)
        counts["quarantined"] += 1


def _is_the_databases(error: Exception) -> bool:
    """Whether it is in trouble, and not a message; also where PostgreSQL has ended a session that hung."""
    if isinstance(error, DBAPIError):
        return error.connection_invalidated or not _is_about_data(error)
    return isinstance(error, TemporaryFailure)


def _is_about_data(error: DBAPIError) -> bool:
    """Whether what was written is at fault, and not the database: it is too long, too large, or no such value."""
    if isinstance(error, OperationalError):
        return str(getattr(error.orig, "sqlstate", None) or "")[:2] in DATA_STATES
    return True


def _plain(reason: str) -> str:
    """Words that every database can keep, whatever an exception quotes."""
    return "".join(char if char.isprintable() else "?" for char in reason)[:REASON_MAX]
