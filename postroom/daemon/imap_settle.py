"""Telling an IMAP server which messages were taken: flagged, moved or deleted as configured, after the commit.

Each message has a row that stays unsettled until this is done, so what a crash or a refusal interrupts is done again.
"""

from __future__ import annotations

from collections.abc import Sequence

from postroom.config import Imap
from postroom.daemon.failpoint import failpoint
from postroom.daemon.imap_session import Refused, Session
from postroom.logger import structlog
from postroom.store import imap as rows
from postroom.store.engine import Store
from postroom.store.imap import Folder

ACT_MESSAGES = 200  # flagged, moved or deleted at once

log = structlog.get_logger()


class Settler:
    """Does what `after` says."""

    def __init__(self, imap: Imap, name: str, store: Store) -> None:
        self._imap = imap
        self._store = store
        self._log = log.bind(mailbox=name)

    def untold(self, folder: Folder) -> set[int]:
        """The UIDs of which the server has yet to be told."""
        with self._store.read() as connection:
            return set(rows.unsettled(connection, folder))

    def tell(self, session: Session, folder: Folder, present: set[int], untold: set[int]) -> str | None:
        """Do with the messages taken as configured; what the server refused of that, in words.

        `present` is what the folder holds, and `untold` what was to be told before that was asked: of these, what is
        there no more needs nothing. (Another daemon may have taken since what came since.) Doing it again after a
        crash is harmless.
        """
        self._settled(folder, sorted(untold - present), "it was gone")
        with self._store.read() as connection:
            unsettled = rows.unsettled(connection, folder)
        left = {uid: reason for uid, reason in unsettled.items() if uid in present}
        try:
            for start in range(0, len(left), ACT_MESSAGES):
                self._act(session, folder, dict(list(left.items())[start : start + ACT_MESSAGES]))
        except Refused as error:
            self._log.warning("not settled", error=str(error))
            return str(error)
        return None

    def _act(self, session: Session, folder: Folder, left: dict[int, str | None]) -> None:
        uids = list(left)
        match self._imap.after:
            case "flag":
                session.flag(uids)
            case "delete":
                session.delete(uids)
            case "move" if session.can_move():
                session.move(uids, self._imap.move_to)
            case "move":
                self._copy_and_delete(session, folder, left)
                return
        failpoint("imap-told")
        self._settled(folder, uids)

    def _copy_and_delete(self, session: Session, folder: Folder, left: dict[int, str | None]) -> None:
        """Move in three steps, on servers that cannot do it in one.

        The copy is announced in the store first. One that was cut off is not made again: elsewhere such copies
        filled the disk. The message then stays where it is, and nothing is lost by that.
        """
        doubtful = [uid for uid, reason in left.items() if reason == rows.COPYING]
        if doubtful:
            self._log.warning("left in place, copied perhaps", uids=doubtful, to=self._imap.move_to)
            self._settled(folder, doubtful, "left in place: the server may have copied it already")
        uids = [uid for uid in left if uid not in doubtful]
        if not uids:
            return
        with self._store.write() as connection:
            rows.mark_copying(connection, folder, uids)
        try:
            session.copy(uids, self._imap.move_to)
        except Refused:
            with self._store.write() as connection:
                rows.unmark_copying(connection, folder, uids)
            raise
        session.delete(uids)
        self._settled(folder, uids)

    def _settled(self, folder: Folder, uids: Sequence[int], reason: str | None = None) -> None:
        if uids:
            with self._store.write() as connection:
                rows.settle(connection, folder, uids, reason)
