"""One look into an IMAP folder: what the server has against what we have, and what is done about the difference.

Take what is missing, oldest first, then have the server told what was taken. The comparison is of whole UID sets: never of
\\Seen, which people set, and never of the last few days, which an outage outlasts. What cannot be fetched in company
is fetched alone, and what cannot be fetched alone waits, with growing pauses, while everything else flows on.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from postroom.config import Config, Imap
from postroom.daemon import envelope
from postroom.daemon.failpoint import failpoint
from postroom.daemon.imap_session import UIDS_IN_COMMAND, Fetched, Refused, Session
from postroom.daemon.imap_settle import Settler
from postroom.daemon.imap_wire import TooLarge
from postroom.daemon.intake import Intake
from postroom.desk.mailboxes import Mailboxes
from postroom.errors import TemporaryFailure
from postroom.logger import structlog
from postroom.store import imap as rows
from postroom.store.engine import Store
from postroom.store.imap import Folder
from postroom.store.inbound import Accepted, NewInbound

BATCH_MESSAGES = 200  # fetched at once: five times as fast as one at a time
BATCH_OCTETS = 16 << 20  # fetched at once; two such batches are in memory
LYING_SIZES = 2  # a batch may be so many times as large as its sizes said; some servers only estimate them
COMMIT_CHECK_SECONDS = 0.2  # how soon a stop is noticed while a commit runs
PAUSE_MAX_SECONDS = 3600.0  # between attempts at a message that cannot be fetched

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Doubt:
    """A message that is to be fetched alone, from the monotonic time `again` on."""

    failures: int  # when it was alone
    again: float
    reason: str


class Reconciler:
    """Keeps one mailbox's folder and the store alike; outlives connections."""

    def __init__(
        self, config: Config, name: str, store: Store, intake: Intake, clock: Callable[[], datetime],
        stopping: threading.Event, beat: Callable[[], None] = lambda: None,
    ) -> None:  # fmt: skip
        self._name = name
        self._address = config.mailbox[name].address
        self._imap = imap_of(config, name)
        self._max_size = int(config.smtp.max_size)
        self._mailboxes = Mailboxes(config)
        self._settler = Settler(self._imap, name, store)
        self._store = store
        self._intake = intake
        self._clock = clock
        self._stopping = stopping
        self._beat = beat
        self._folder: Folder | None = None
        self._doubts: dict[int, Doubt] = {}  # by UID
        self._log = log.bind(mailbox=name)

    def reconcile(self, session: Session) -> None:
        """Take every message that is missing here, then tell the server about each that was taken.

        Raises TemporaryFailure where the connection or the store is of no use; what was taken until then stays taken.
        """
        folder = self._select(session)
        untold = self._settler.untold(folder)
        present = session.uids()
        with self._store.read() as connection:
            known = rows.known(connection, folder, present[0]) if present else set()
        missing = [uid for uid in present if uid not in known]
        self._doubts = {uid: self._doubts[uid] for uid in missing if uid in self._doubts}
        self._take(session, folder, missing)
        remark = self._settler.tell(session, folder, set(present), untold) or self._doubtful()
        with self._store.write() as connection:
            rows.note_success(connection, self._name, folder.uidvalidity, self._clock(), remark)

    def _select(self, session: Session) -> Folder:
        """Open the folder anew each time: it may have been replaced."""
        uidvalidity = session.select(readonly=self._imap.after == "leave")
        folder = Folder(self._imap.account, self._imap.folder, uidvalidity)
        if folder != self._folder:
            self._doubts = {}
            with self._store.write() as connection:
                if self._folder is None:
                    rows.forget_refused(connection, folder.account, folder.name)
                before = rows.state(connection, self._name)
            if before and before.uidvalidity not in (None, uidvalidity):
                self._log.warning("uidvalidity changed: looking at every message again", uidvalidity=uidvalidity)
            self._folder = folder
        return folder

    def _take(self, session: Session, folder: Folder, missing: Sequence[int]) -> None:
        """Fetch and hand over; while one batch is committed, the next is fetched."""
        handed: Future[list[Accepted]] | None = None
        for uids, octets in self._batches(session, folder, missing):
            found = self._fetch(session, folder, uids, octets)
            failpoint("imap-fetched")
            before, handed = handed, self._hand_over(folder, found)
            self._await_commit(before)
        self._await_commit(handed)

    def _batches(self, session: Session, folder: Folder, missing: Sequence[int]) -> Iterator[tuple[list[int], int]]:
        """UIDs to be fetched at once, with the octets to be read at most: the doubtful ones last, each alone, the worst at the end."""
        fresh = [uid for uid in missing if uid not in self._doubts]
        for start in range(0, len(fresh), UIDS_IN_COMMAND):
            sizes = self._acceptable(session, folder, fresh[start : start + UIDS_IN_COMMAND])
            yield from _packed(sizes)
        for uid in sorted(self._doubts, key=lambda uid: (self._doubts[uid].failures, uid)):
            if self._doubts[uid].again <= time.monotonic():
                for alone in self._acceptable(session, folder, [uid]):
                    yield [alone], self._max_size

    def _acceptable(self, session: Session, folder: Folder, uids: Sequence[int]) -> dict[int, int]:
        """The sizes of those that are still there and not too large; asked before anything is fetched."""
        try:
            sizes = session.sizes(uids)
        except Refused as error:
            self._doubt(uids, str(error))
            return {}
        except TemporaryFailure as error:
            self._doubt(uids, str(error))
            raise
        acceptable: dict[int, int] = {}
        for uid in sorted(sizes):
            size = sizes[uid]
            if size is None:
                self._doubt([uid], "the server does not tell its size", alone=True)
            elif size > self._max_size:
                self._refuse(folder, uid, size)
            else:
                acceptable[uid] = size
        return acceptable

    def _fetch(self, session: Session, folder: Folder, uids: Sequence[int], octets: int) -> dict[int, Fetched]:
        try:
            return session.bodies(uids, octets)
        except TooLarge as error:
            if len(uids) == 1 and error.size > self._max_size:
                self._refuse(folder, uids[0], error.size)
            else:
                self._doubt(uids, str(error))
            raise TemporaryFailure(f"cannot fetch: {session.where}: {error}") from error
        except Refused as error:
            self._doubt(uids, str(error))
            return {}
        except TemporaryFailure as error:
            self._doubt(uids, str(error))
            raise

    def _hand_over(self, folder: Folder, found: dict[int, Fetched]) -> Future[list[Accepted]] | None:
        """Give them to the intake: the bytes and the UIDs are committed together."""
        deliveries: dict[int, NewInbound] = {}
        for uid, fetched in sorted(found.items()):
            if not fetched.raw:
                self._doubt([uid], "the server gave no body", alone=True)
            elif len(fetched.raw) > self._max_size:
                self._refuse(folder, uid, len(fetched.raw))
            else:
                self._doubts.pop(uid, None)
                deliveries[uid] = self._delivery(folder, uid, fetched)
        if not deliveries:
            return None
        settled = self._imap.after == "leave"

        def also(connection: Connection, accepted: list[Accepted]) -> None:
            taken = {uid: one.id for uid, one in zip(deliveries, accepted, strict=True)}
            rows.record(connection, folder, taken, settled)

        return self._intake.submit(list(deliveries.values()), also)

    def _delivery(self, folder: Folder, uid: int, fetched: Fetched) -> NewInbound:
        peer = {"account": folder.account, "folder": folder.name, "uidvalidity": folder.uidvalidity, "uid": uid}
        if fetched.internal_date:
            peer["internaldate"] = fetched.internal_date.isoformat().replace("+00:00", "Z")
        return NewInbound(
            mailbox=self._name,
            recipient=envelope.recipient(fetched.raw, self._mailboxes, self._name, self._address),
            raw=fetched.raw,
            digest=hashlib.sha256(fetched.raw).hexdigest(),
            source="imap",
            sender=envelope.sender(fetched.raw),
            received_at=self._clock(),
            peer=peer,
        )

    def _await_commit(self, handed: Future[list[Accepted]] | None) -> None:
        while handed is not None:
            try:
                accepted = handed.result(COMMIT_CHECK_SECONDS)
            except TimeoutError:
                self._beat()  # if the intake hangs, it is the intake that is named
                if self._stopping.is_set():
                    raise TemporaryFailure("stopped before the commit") from None
            else:
                failpoint("after-imap-commit")
                new = sum(one.is_new for one in accepted)
                self._log.info("accepted", messages=len(accepted), known_before=len(accepted) - new)
                return

    def _refuse(self, folder: Folder, uid: int, size: int) -> None:
        """Leave a message on the server, visibly."""
        reason = f"its {size} octets are more than smtp.max_size, {self._max_size}"
        self._doubts.pop(uid, None)
        with self._store.write() as connection:
            rows.refuse(connection, folder, uid, reason)
        self._log.warning("refused, left on the server", uid=uid, reason=reason)

    def _doubt(self, uids: Sequence[int], reason: str, alone: bool = False) -> None:
        """Have these fetched alone: at once after a failure in company, else after a pause that doubles."""
        now = time.monotonic()
        for uid in uids:
            before = self._doubts.get(uid)
            if before is None and not alone:
                self._doubts[uid] = Doubt(0, now, reason)
                continue
            failures = before.failures + 1 if before else 1
            pause = min(self._imap.poll_seconds * 2**failures, PAUSE_MAX_SECONDS)
            self._doubts[uid] = Doubt(failures, now + pause, reason)
            self._log.warning("not fetched", uid=uid, reason=reason, retry_in=round(pause))

    def _doubtful(self) -> str | None:
        """What could not be fetched, in words."""
        failing = {uid: doubt for uid, doubt in self._doubts.items() if doubt.failures}
        if not failing:
            return None
        uid = min(failing)
        return f"{len(failing)} messages cannot be fetched, the first is UID {uid}: {failing[uid].reason}"


def _packed(sizes: dict[int, int]) -> Iterator[tuple[list[int], int]]:
    """Batches in order, each with the octets that it may have; a message larger than a batch goes alone."""
    batch: list[int] = []
    octets = 0
    for uid, size in sizes.items():
        if batch and (len(batch) == BATCH_MESSAGES or octets + size > BATCH_OCTETS):
            yield batch, octets * LYING_SIZES
            batch, octets = [], 0
        batch.append(uid)
        octets += size
    if batch:
        yield batch, octets * LYING_SIZES


def imap_of(config: Config, name: str) -> Imap:
    """The IMAP side of a mailbox that has one."""
    imap = config.mailbox[name].imap
    if imap is None:
        raise ValueError(f"mailbox.{name} has no imap")
    return imap
