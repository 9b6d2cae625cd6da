"""What the store says of a point, against what senders, Dovecot and the smarthost know: what is lost, what is there twice."""

from __future__ import annotations

import hashlib
import sqlite3
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import psycopg
from peers.smarthost import Taken

from postroom.parsers.email import parse

if TYPE_CHECKING:
    from chaos.stage import Play

UNSETTLED = """
SELECT (SELECT count(*) FROM inbound_email WHERE state IN ('pending', 'processing')),
       (SELECT count(*) FROM delivery WHERE state IN ('pending', 'sending', 'retry')),
       (SELECT count(*) FROM imap_message WHERE NOT settled),
       (SELECT count(*) FROM inbound_email), (SELECT count(*) FROM imap_message)
"""
INBOUND = "SELECT digest, state, failures, attempts, reason FROM inbound_email"
TICKETS = "SELECT email_message_id FROM ticket"
MESSAGES = "SELECT email_message_id FROM message WHERE inbound_id IS NOT NULL"
DELIVERIES = (
    "SELECT email_message_id, state, automatic, purpose, recipient, ticket_id, message_id, reason FROM delivery"
)
BEFORE = 1  # mails that the store holds when a point begins
IN_DOUBT = "in doubt"


def rows(play: Play, query: str) -> list[tuple[Any, ...]]:
    """A query's rows, read beside the daemon without touching a thing."""
    if play.url.startswith("sqlite"):
        # read-only: else the last to close it would do the recovering that the daemon is to do
        connection = sqlite3.connect(f"file:{play.folder}/var/postroom.db?mode=ro", uri=True, timeout=5)
        try:
            return connection.execute(query).fetchall()
        finally:
            connection.close()
    if play.server is None:
        play.server = psycopg.connect(play.url.replace("+psycopg", ""), autocommit=True)
    return play.server.execute(query.encode()).fetchall()


def is_settled(play: Play) -> bool:
    """Whether every mail was taken and nothing waits."""
    expected = len(play.by_smtp) + len(play.by_imap) + BEFORE
    try:
        ((inbound, outgoing, untold, taken, from_imap),) = rows(play, UNSETTLED)
    except (sqlite3.OperationalError, psycopg.OperationalError):
        return False
    return (inbound, outgoing, untold) == (0, 0, 0) and taken >= expected and from_imap >= len(play.by_imap)


def faults(play: Play, taken: Sequence[Taken], left: dict[int, bool], moved: int) -> list[str]:
    """What is wrong after a point, each in words that begin with `lost`, `double` or `stuck`; nothing, if all is well."""
    return [*_incoming(play), *_tickets(play), *_outgoing(play, taken), *_imap(play, left, moved)]


def _incoming(play: Play) -> list[str]:
    found = []
    inbound = rows(play, INBOUND)
    kept = Counter(row[0] for row in inbound)
    for digest in [*play.acknowledged, *(hashlib.sha256(raw).hexdigest() for raw in play.by_imap)]:
        if kept[digest] != 1:
            found.append(f"{'lost' if not kept[digest] else 'double'}: mail {digest[:8]} is kept {kept[digest]} times")
    found += [f"stuck: a mail is {row[1]}: {row[4]}" for row in inbound if row[1] != "processed" or row[2]]
    return found


def _tickets(play: Play) -> list[str]:
    found = []
    tickets, messages = Counter(r[0] for r in rows(play, TICKETS)), Counter(r[0] for r in rows(play, MESSAGES))
    for raw in [*(raw for _, _, raw in play.by_smtp), *play.by_imap]:
        id_ = parse(raw).message_id
        opens = 0 if str(id_).startswith("answer-") else 1
        for what, count, wanted in (("ticket", tickets[id_], opens), ("message", messages[id_], 1)):
            if count != wanted:
                found.append(f"{'lost' if count < wanted else 'double'}: {count} {what}s of <{id_}>")
    total = sum(tickets.values())
    if total != len(play.by_smtp) - 1 + len(play.by_imap) + BEFORE:
        found.append(f"double: {total} tickets in all")
    return found


def _outgoing(play: Play, taken: Sequence[Taken]) -> list[str]:
    found = []
    deliveries = rows(play, DELIVERIES)
    ids = {row[0] for row in deliveries}
    arrived: dict[str, list[bytes]] = {}
    for mail in taken:
        arrived.setdefault(mail.message["Message-ID"].strip("<> "), []).append(mail.content)
    found += [f"double: a mail that no delivery knows: <{id_}>" for id_ in arrived if id_ not in ids]
    same = Counter((purpose, to, ticket, message) for _, _, _, purpose, to, ticket, message, _ in deliveries)
    found += [f"double: {count} deliveries {what}" for what, count in same.items() if count > 1]
    for id_, state, automatic, purpose, recipient, ticket, _message, reason in deliveries:
        copies = arrived.get(id_, [])
        what = f"{purpose} to {recipient}, {state} ({reason})"
        if len(set(copies)) > 1:
            found.append(f"double: {what}: copies differ")
        if ticket == 1 and purpose in ("confirmation", "new_ticket"):
            continue  # sent before this point began
        if not automatic and (state != "sent" or not copies):
            found.append(f"lost: {what}: arrived {len(copies)} times")
        if automatic and len(copies) > 1:
            found.append(f"double: {what}: arrived {len(copies)} times")
        if automatic and not copies and not (state == "failed" and IN_DOUBT in str(reason)) and state != "suppressed":
            found.append(f"lost: {what}: did not arrive")
    return found


def _imap(play: Play, left: dict[int, bool], moved: int) -> list[str]:
    count = len(play.by_imap)
    if play.after == "move":
        return [] if not left and moved == count else [f"stuck: {len(left)} left in the folder, {moved} moved"]
    if sorted(left) != list(range(1, count + 1)):
        return [f"lost: the folder holds {sorted(left)}"]
    return [f"stuck: UID {uid} is not flagged" for uid, is_seen in left.items() if not is_seen]
