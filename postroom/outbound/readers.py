"""Who gets an agent's answer? The requester, and whoever takes part and was agreed to."""

from __future__ import annotations

from collections.abc import Iterator

from postroom.desk.happened import What
from postroom.outbound.addresses import is_sendable
from postroom.outbound.told import Post, Told
from postroom.parsers.parsed import Address
from postroom.store import addressing


def readers(post: Post, told: Told) -> Iterator[Address]:
    """The requester, then the others; no agent, none of our own addresses, each once."""
    case = told.case
    not_told = {a.address for a in told.agents()}
    people = [(case.requester, case.contact_name or "")]
    if not _is_alone(post, told):
        people += [(p.address, p.name) for p in addressing.participants(told.connection, case.id)]
    for address, name in people:
        if address not in not_told and is_sendable(address) and not post.mailboxes.is_ours(address):
            not_told.add(address)
            yield Address(name, address)


def _is_alone(post: Post, told: Told) -> bool:
    """Whether the mail that has just opened the ticket names nobody but its author and us: then nobody need be asked for."""
    origin = told.happened.origin
    if told.happened.what is not What.OPENED or origin is None or len(origin.email.from_) != 1:
        return False
    return all(post.mailboxes.is_ours(who.address) for who in (*origin.email.to, *origin.email.cc))
