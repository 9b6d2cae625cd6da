"""What is told by the calendar: a queue's digest to its agents, the quarantine to the operator, a month to whom it may concern.

Each writes to the outbox in the caller's transaction, and says whether there was anything to say.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from postroom.desk import performance, workflow
from postroom.outbound import chart, to_operator
from postroom.outbound.compose import File
from postroom.outbound.report_pages import Pages
from postroom.outbound.told import Post
from postroom.outbound.wording import queue_title
from postroom.parsers.parsed import Address
from postroom.store import addressing, inbound, outbox
from postroom.store import digest as stored

QUARANTINE_LISTED = 50  # mails that the operator's report names
SUBJECT_MAX = 120  # characters of a ticket's subject
CHART = "chart.png"


def digest(post: Post, connection: Connection, queue: str, now: datetime) -> bool:
    """Tell a queue's agents what is open, overdue, waiting and unassigned there, and each what is his."""
    by_agent = {row.agent: row for row in stored.counts(connection, queue, workflow.waiting(post.config), now)}
    if not by_agent:
        return False
    total = {name: sum(int(getattr(row, name)) for row in by_agent.values()) for name in ("open", "overdue", "waiting")}
    total["unassigned"] = by_agent[None].open if None in by_agent else 0
    late = [
        {"ref": row.ref, "subject": row.subject[:SUBJECT_MAX], "due": row.due, "agent": row.agent or ""}
        for row in stored.overdue(connection, queue, now)
    ]
    mails = []
    for agent in addressing.agents(connection):
        if queue not in agent.queues:
            continue
        row: Any = by_agent.get(agent.id)
        mine = {"open": row.open, "overdue": int(row.overdue)} if row else {"open": 0, "overdue": 0}
        data = {"queue": queue_title(post.config, queue), "total": total, "mine": mine, "late": late}
        mails.append(post.letters.to_address("digest", data, Address(agent.title or agent.name, agent.address), None))
    if mails:
        outbox.enqueue(connection, mails)
    return bool(mails)


def quarantine(post: Post, connection: Connection) -> bool:
    """Tell the operator what waits in quarantine, every day until nothing does."""
    rows = inbound.quarantined(connection, limit=QUARANTINE_LISTED + 1)
    if not rows:
        return False
    listed = [
        {"id": row.id, "received": row.received_at, "mailbox": row.mailbox, "sender": row.sender or "<>", "why": row.reason or ""}
        for row in rows[:QUARANTINE_LISTED]
    ]  # fmt: skip
    more = inbound.count_by_state(connection)["quarantined"] - len(listed)
    return to_operator.write(post, connection, "quarantine", {"mails": listed, "more": more})


def monthly(post: Post, connection: Connection, moment: datetime) -> bool:
    """Send the report on the month before that moment to everybody whom the configuration names."""
    config = post.config
    if not config.reports.monthly_to:
        return False
    month = performance.month_before(moment, ZoneInfo(config.reports.time_zone))
    report = performance.report_on(connection, config, month)
    picture = File(CHART, "image/png", chart.bars(report.opened_by_day, report.resolved_by_day), CHART)
    languages = {agent.address.lower(): agent.language for agent in config.agent.values()}
    mails = []
    for address in config.reports.monthly_to:
        pages = Pages(config, report, post.letters.words(languages.get(address.lower())))
        files = picture, File(f"report-{month}.csv", "text/csv", pages.csv())
        mails.append(post.letters.document(
            "monthly_report", Address("", address), pages.title, pages.text(), pages.html(f"cid:{CHART}"), files
        ))  # fmt: skip
    outbox.enqueue(connection, mails)
    return True
