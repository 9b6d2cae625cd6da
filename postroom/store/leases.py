"""By whose clock is a lease judged?

Daemons that share a PostgreSQL may have clocks minutes apart: one would take over what another is still sending. So there
the database's own clock dates every lease, and judges it. An SQLite file serves one machine, whose clock it is.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, bindparam, func
from sqlalchemy.dialects.postgresql import INTERVAL

from postroom.store.tables import Utc


def until(connection: Connection, machine: datetime, lease: timedelta) -> Any:
    """When a lease ends that begins now; `machine` is the caller's own clock. To be used as a value in a statement."""
    if connection.dialect.name == "sqlite":
        return machine + lease
    return func.clock_timestamp(type_=Utc()) + bindparam(None, lease, INTERVAL())


def until_then(connection: Connection) -> Any:
    """`until` in a prepared statement, whose parameters are `until`, by the caller's own clock, and `lease`."""
    if connection.dialect.name == "sqlite":
        return bindparam("until", type_=Utc())
    return func.clock_timestamp(type_=Utc()) + bindparam("lease", type_=INTERVAL())


def now(connection: Connection, machine: Any) -> Any:
    """What leases are compared with; `machine` is a time or, in a prepared statement, the parameter for one."""
    return machine if connection.dialect.name == "sqlite" else func.clock_timestamp(type_=Utc())
