"""What would a mail about this ticket say? Rendered from what the store holds; nothing is sent, counted or written."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection

from postroom.desk.happened import Happened, What
from postroom.outbound import wording
from postroom.outbound.readers import readers
from postroom.outbound.samples import SAMPLES, Data
from postroom.outbound.told import Post, Told
from postroom.store import addressing


def data_of(post: Post, connection: Connection, ticket_id: int, purpose: str) -> Data:
    """What the templates of a purpose would be told of that ticket; what no ticket can tell is as in the example."""
    told = Told(connection, Happened(What.FOLLOW_UP, ticket_id, "postroom"))
    case, sample = told.case, SAMPLES[purpose]
    zone = wording.zone_of(post.config, case.queue)
    row, last = addressing.last_of_customer(connection, ticket_id), addressing.last_of_agent(connection, ticket_id)
    is_private = "subject" in sample.get("ticket", {})
    known: dict[str, Any] = {
        "desk": post.letters.desk_of(case),
        "ticket": wording.private_ticket_data(post.config, case) if is_private else wording.ticket_data(post.config, case),
        "readers": [wording.author_line(person.name, person.address) for person in readers(post, told)],
        "last_answer": wording.message_of_row(last, (), zone) if last is not None else None,
        "resolution": case.resolution_summary or "", "recipient": case.requester,
        "assigned_to": next((a.title or a.name for a in told.agents() if a.id == case.assigned_to), ""),
        "is_answered": bool(case.first_responded_at), "quoted": wording.quoted(row, zone),
    }  # fmt: skip
    if row is not None:
        known["message"] = wording.message_of_row(row, addressing.files(connection, row.id), zone)
    if "html" in sample.get("message", {}):  # an agent's own words to the customer
        known["message"] = {**(known["last_answer"] or sample["message"]), "html": ""}
    if case.sla_due_at is not None:
        known["due"] = case.sla_due_at.astimezone(zone)
    return {name: known.get(name, value) for name, value in sample.items()}
