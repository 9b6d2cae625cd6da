"""Mail to whoever runs Postroom: of what is no ticket's, such as quarantine and alarms."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection

from postroom.logger import structlog
from postroom.outbound.told import Post
from postroom.parsers.parsed import Address
from postroom.saying import Saying
from postroom.store import addressing, counters, outbox
from postroom.store.engine import once_committed

log = structlog.get_logger("outbound")


def tell_operator(post: Post, connection: Connection, title: str, text: Sequence[str]) -> bool:
    """Enqueue a notice, in the caller's transaction: a line that says what it is about, and paragraphs.

    False where `operator.address` is empty. How often the same may be told is the caller's to bound.
    """
    return write(post, connection, "operator", {"title": title, "text": list(text)})


def tell_of_agent(post: Post, connection: Connection, recipient: str, reason: str) -> None:
    """Tell the operator, once a day for each, that an agent does not get what we send him. Nothing for whoever is no agent."""
    address = recipient.lower()
    agent = next((one for one in addressing.agents(connection) if one.address == address), None)
    if agent is None or not post.config.operator.address or address == post.config.operator.address.lower():
        return
    once = counters.Limit(f"agent-bounce:{address}", counters.DAY, 1)
    if counters.take(connection, [once], post.clock()) is None:
        text = (
            Saying("What we send to the agent %(name)s at %(address)s comes back:", name=agent.name, address=recipient),
            reason,
            Saying("Until it is mended he hears of no ticket by mail. His tickets: postroom tickets list --assignee %(name)s", name=agent.name),
        )  # fmt: skip
        tell_operator(post, connection, Saying("%(name)s does not get our mail", name=agent.name), text)


def write(post: Post, connection: Connection, purpose: str, data: dict[str, Any]) -> bool:
    """Enqueue a mail to the operator by templates of its own; they are told the host beside the desk and `data`."""
    settings = post.config.operator
    if not settings.address:
        return False
    host = post.config.smtp.hostname or platform.node()
    mail = post.letters.to_address(
        purpose, {"host": host, **data}, Address("", settings.address), settings.language or None
    )
    outbox.enqueue(connection, [mail])
    once_committed(connection, lambda: log.info("operator told", purpose=purpose))
    return True
