"""A mailbox's watcher: connect, look, wait until there is news, look again; and after any failure begin anew, for ever.

IDLE only says when to look. A look comes at every `poll_seconds` all the same, for a server may forget to tell.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime

from postroom.config import Config
from postroom.daemon.credentials import Secret
from postroom.daemon.imap_reconcile import Reconciler, imap_of
from postroom.daemon.imap_session import Refused, Session
from postroom.daemon.imap_wire import Plug
from postroom.daemon.intake import Intake
from postroom.errors import PostroomError, TemporaryFailure, UserError, described
from postroom.logger import structlog
from postroom.store import imap as rows
from postroom.store import nodes
from postroom.store.engine import Store

IDLE_RENEW = 29 * 60.0  # seconds; servers may drop an idle client at 30 minutes (RFC 2177)
GATHER_SECONDS = 0.05  # between news and a look: mail comes in bursts, and a server may cry news without end
RETRY_FIRST_SECONDS = 1.0  # the most that the first pause after a failure lasts; each following may be twice as long
RETRY_MAX_SECONDS = 300.0
ELSEWHERE_SECONDS = 2.0  # between looks whether a folder that another daemon watches is free
STEADY_SECONDS = 60.0  # a connection that lasted so long had nothing to do with the failure before it

log = structlog.get_logger()


def _now() -> datetime:
    return datetime.now(UTC)


class Watcher:
    """One thread and one connection for one mailbox."""

    def __init__(
        self, config: Config, name: str, secret: Secret, store: Store, intake: Intake,
        clock: Callable[[], datetime] = _now, chance: Callable[[], float] = random.random,
        beat: Callable[[], None] = lambda: None,
    ) -> None:  # fmt: skip
        """`beat` is called as it goes on, at least every `longest_wait()`. `chance` gives numbers from 0 to 1: pauses are jittered, so that servers are not stormed all at once."""
        self.name = name
        self._config = config
        self._imap = imap_of(config, name)
        self._secret = secret
        self._store = store
        self._clock = clock
        self._chance = chance
        self._stopping = threading.Event()
        self._beat = beat
        self._plug = Plug(beat)
        self._reconciler = Reconciler(config, name, store, intake, clock, self._stopping, beat)
        self._thread = threading.Thread(target=self._run, name=f"imap-{name}", daemon=True)
        self._elsewhere: str | None = ""  # the daemon that watches the folder; None: we do; "": not known yet
        self._log = log.bind(mailbox=name)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """Begin to end; returns at once. Whatever waits on the network is interrupted, a commit is not."""
        self._stopping.set()
        self._plug.pull()

    def join(self, timeout: float | None = None) -> bool:
        """Wait for the end, at most `timeout` seconds; whether it came."""
        if self._thread.ident is not None:
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            self._beat()
            began = time.monotonic()
            try:
                self._watch()
            except Exception as error:  # whatever it is, a watcher that ended would be a mailbox gone deaf
                if self._stopping.is_set():
                    break
                failures = 1 if time.monotonic() - began > STEADY_SECONDS else failures + 1
                pause = self._chance() * min(RETRY_FIRST_SECONDS * 2.0 ** min(failures - 1, 30), RETRY_MAX_SECONDS)
                self._note_failure(error, pause)
                self._beat()
                self._stopping.wait(pause)
        self._give_back()

    def _is_ours(self) -> bool:
        """Whether the folder is this daemon's to watch; of those on one database one does, the others wait for its end."""
        if self._store.is_sqlite:
            return True
        with self._store.write() as connection:
            holder = nodes.lease_folder(connection, *self._lease())
        if holder != self._elsewhere:
            self._elsewhere = holder
            if holder:
                self._log.info("watched elsewhere", node=holder)
            else:
                self._log.info("watching", folder=self._imap.folder)
        return holder is None

    def _lease(self) -> tuple[str, str, str, datetime]:
        return self._imap.account, self._imap.folder, self._store.node, self._clock()

    def _give_back(self) -> None:
        if self._elsewhere is None:
            with suppress(PostroomError), self._store.write() as connection:  # else it ends with this daemon
                nodes.give_folder_back(connection, *self._lease()[:3])

    def _watch(self) -> None:
        """One connection's life; none where another daemon watches the folder."""
        if not self._is_ours():
            self._stopping.wait(ELSEWHERE_SECONDS)
            return
        with Session(self._config, self._imap, self._plug) as session:
            session.open(self._secret)
            self._log.debug("connected", server=session.where)
            while not self._stopping.is_set() and self._is_ours():
                self._reconciler.reconcile(session)
                self._beat()
                self._wait(session)

    def _wait(self, session: Session) -> None:
        """Until the server tells of mail, or it is time to look all the same."""
        seconds = min(self._imap.poll_seconds, IDLE_RENEW)
        if self._imap.idle and session.idles():
            self._idle(session, seconds)
        else:
            self._stopping.wait(seconds)

    def _idle(self, session: Session, seconds: float) -> None:
        try:
            session.idle(seconds)
        except Refused as refusal:
            self._log.debug("no IDLE, polling", error=str(refusal))
            self._stopping.wait(seconds)
        else:
            self._stopping.wait(GATHER_SECONDS)

    def _note_failure(self, error: Exception, pause: float) -> None:
        text = str(error) if isinstance(error, PostroomError) else described(error)
        unexpected = None if isinstance(error, PostroomError) else error
        self._log.warning("mailbox fails", error=text, retry_in=round(pause, 1), exc_info=unexpected)
        try:
            with self._store.write() as connection:
                rows.note_failure(connection, self.name, self._clock(), text)
        except TemporaryFailure as failure:  # the store may be what failed; it is told of when it is back
            self._log.warning("failure not noted", error=str(failure))


def longest_wait(config: Config, name: str) -> float:
    """Seconds for which a healthy watcher may have nothing to say: a poll, a silent server, a pause after failures."""
    imap = imap_of(config, name)
    return max(min(imap.poll_seconds, IDLE_RENEW) + imap.timeout_seconds, RETRY_MAX_SECONDS)


def probe(config: Config, name: str, secret: Secret) -> datetime | None:
    """Connect, log in and look at the folder as the watcher does, leaving no trace; until when the certificate is valid.

    UserError with one line where that cannot be: an unreachable host, a wrong password, a certificate that is not
    verified, a folder that is not there.
    """
    try:
        with Session(config, imap_of(config, name), Plug()) as session:
            session.open(secret)
            session.select(readonly=True)
            return session.certificate_ends
    except TemporaryFailure as failure:
        raise UserError(f"mailbox.{name}.imap: {failure}") from failure
