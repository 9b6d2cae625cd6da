"""Which jobs of the calendar were done, and for which moment? Of two daemons one does each, once."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Connection, and_, or_, update

from postroom.store.engine import insert_new
from postroom.store.tables import Recurring

CLOCK_WENT_BACK = timedelta(days=2)  # a run so far in the future was a wrong clock's, and does not count


def claim(connection: Connection, name: str, moment: datetime, now: datetime) -> bool:
    """Whether the job is this caller's to do for that moment of the calendar; at most one caller hears yes.

    What is done for it belongs into the same transaction. A job that nobody knew is planned: it begins with the next
    moment, and makes nothing up.
    """
    went_back = and_(Recurring.done_for != moment, Recurring.last_run_at > now + CLOCK_WENT_BACK)
    is_new = or_(Recurring.done_for < moment, went_back)
    done = update(Recurring).where(Recurring.name == name, is_new).values(done_for=moment, last_run_at=now)
    if connection.execute(done).rowcount:
        return True
    connection.execute(insert_new(connection, Recurring), {"name": name, "done_for": moment})
    return False
