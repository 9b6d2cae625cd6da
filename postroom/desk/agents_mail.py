"""What does a proven agent's mail do? It answers a customer, notes, commands, or hands a customer's mail in.

An answer comes to the address that was signed for the agent and a ticket. His own address, signed for no ticket, opens
one: for the customer whose mail he forwards, else for himself.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, Row

from postroom.desk import actions, solution, tickets
from postroom.desk.commanding import Obeyed, obey
from postroom.desk.commands import Reading, begins_with, read
from postroom.desk.happened import Happened, Placed, What
from postroom.desk.tickets import Desk, Incoming, Words
from postroom.parsers.parsed import ParsedEmail
from postroom.store import messages
from postroom.store import tickets as stored
from postroom.threading.match import Match

ONLY_COMMANDS, REFUSED, EMPTY = "commands", "refused-command", "empty"  # flags of internal notes
REPEATED = "repeated"  # another: the same words again and again, as an unmarked responder writes them
SAME_WORDS = 2  # times that an agent's very words go out on one ticket ...
SAME_WITHIN = timedelta(hours=1)  # ... within this; two responders would answer each other for ever


def answer(
    connection: Connection, desk: Desk, incoming: Incoming, ticket: Row[Any], is_internal: bool = False
) -> Placed:
    """Take a proven agent's mail to the address that was signed for him on `ticket`.

    What he writes goes to the customer, unless it stands below `#note`; a file or a picture that he put there says as much as a
    word. Commands alone, and nothing at all, are kept
    as a note; so is all of it where a command is wrong, and where it came to an address of which nothing goes on
    (`is_internal`: it answers the question for a review).
    """
    email = incoming.email
    reading = read(email.reply_text, email.text)
    obeyed = Obeyed(ticket, email.reply_text, is_note=is_internal)
    if reading.commands or reading.stray_note:
        obeyed = obey(connection, desk, ticket, incoming, reading, is_internal=is_internal)
    ticket, count = obeyed.ticket, len(reading.commands)
    if obeyed.wrong:
        note = tickets.add_note(connection, desk, ticket, incoming, REFUSED, email.reply_text)
        why = f"kept on {ticket.ref} as an internal note, and nothing else: {len(obeyed.wrong)} wrong lines"
        return Placed("added", REFUSED, why, ticket.id, _refused(incoming, note, obeyed), lines=obeyed.lines)
    ordered = f", with {count} command{'s' * (count > 1)}" if count else ""
    has_files = any(not file.inline for file in email.attachments)
    if count and not obeyed.text:
        text = "\n".join(command.line for command in reading.commands)
        happened = tickets.add_note(connection, desk, ticket, incoming, ONLY_COMMANDS, text)
        rule, why = "agent-commands", f"nothing but commands about {ticket.ref}: nothing is sent to the customer"
    elif not obeyed.text and not email.without_words:
        happened = _refused(incoming, tickets.add_note(connection, desk, ticket, incoming, EMPTY, ""), obeyed)
        rule, why = (
            "agent-empty",
            f"an agent's answer on {ticket.ref} without a word or a file: nothing is sent to the customer",
        )
    elif not count and not has_files and _repeats(connection, ticket, incoming, obeyed.text):
        happened = tickets.add_note(connection, desk, ticket, incoming, REPEATED, obeyed.text)
        rule = "agent-repeated"
        why = f"the same words again, after {SAME_WORDS} times in an hour, on {ticket.ref}, as responders write: nothing is sent to the customer"
    elif obeyed.is_note:
        happened = tickets.add_note(connection, desk, ticket, incoming, None, obeyed.text)
        back = next((one.agent_id for one in obeyed.happened if one.what is What.SOLUTION_SENT_BACK), None)
        happened = replace(happened, reads_it=back)
        rule, why = "agent-note", f"an agent's internal note on {ticket.ref}{ordered}"
    else:
        happened = tickets.add_agent(connection, desk, ticket, incoming, obeyed.text, obeyed.said)
        rule, why = "agent-reply", f"an agent's answer on {ticket.ref}{ordered}"
    if obeyed.solution is not None:
        happened = solution.say(connection, obeyed.solution, obeyed.in_review, happened)
    return Placed("added", rule, why, ticket.id, happened, obeyed.happened, obeyed.lines)


def _repeats(connection: Connection, ticket: Row[Any], incoming: Incoming, text: str) -> bool:
    """Whether these words of his went out on this ticket as often as they may."""
    author, since = incoming.author.address, incoming.now - SAME_WITHIN
    return messages.count_same(connection, ticket.id, author, text, since, SAME_WORDS) >= SAME_WORDS


def open_by_agent(connection: Connection, desk: Desk, incoming: Incoming, match: Match) -> Placed:
    """Take a proven agent's mail to his own address: it opens a ticket, whatever it answers.

    For the sender of the mail that he forwards, with his own words as an internal note; else for himself. The tickets
    that the mail names are linked. Where a command is wrong the ticket is opened nevertheless, and none is carried out.
    """
    customer = _customer_of(desk, incoming)
    if customer is not None:
        own = own_words(incoming.email)
        reading = read(own, incoming.email.text)
        happened = tickets.open_for(connection, desk, incoming, customer)
        rule, why = "handed-in", f"an agent handed in a mail of {customer.address}: it opened a ticket for him"
    else:
        own, reading = "", _request(incoming.email)
        happened = tickets.open_ticket(connection, desk, incoming, reading.text)
        rule, why = "own-address", "an agent's mail to his own address opened a ticket"
    named = [id_ for id_ in (match.ticket, *match.also, *match.refused) if id_ is not None]
    stored.link(connection, happened.ticket_id, named, "related", f"mail {incoming.message_id} names it")
    ticket = stored.get(connection, happened.ticket_id)
    assert ticket is not None
    obeyed = Obeyed(ticket, reading.text, is_note=True)
    if reading.commands:
        obeyed = obey(connection, desk, ticket, incoming, reading, opened=True)
    note = own if obeyed.wrong else obeyed.text
    if customer is not None and note:
        note_id = _note(connection, incoming, obeyed, note)
    else:
        note_id = happened.message_id
    also = obeyed.happened
    if obeyed.wrong:
        also = (_refused(incoming, happened, obeyed, note_id),)
    elif obeyed.ticket.id != ticket.id:  # merged at once: one word more on the other ticket
        why = f"{why}, and that is part of {obeyed.ticket.ref} by his command"
        happened = Happened(What.CUSTOMER_REPLIED, obeyed.ticket.id, happened.actor, happened.message_id)
    return Placed("opened", rule, why, obeyed.ticket.id, happened, also, obeyed.lines)


def own_words(email: ParsedEmail) -> str:
    """What the forwarder himself wrote; "" where his mail holds nothing but the other's words.

    A forward whose headers stand at the very top may be read as if the other's words were an answer below them.
    """
    own = email.reply_text
    if not own or email.forwarded is None or begins_with(email.text, own):
        return own
    others = " ".join(email.forwarded.text.split())
    return "" if others.startswith(" ".join(own.split())[: len(others)]) else own


def _customer_of(desk: Desk, incoming: Incoming) -> Words | None:
    """What the customer says whose mail is forwarded; None where it is no forward, or says no address but ours."""
    forwarded = incoming.email.forwarded
    if forwarded is None or forwarded.sender is None:
        return None
    address = forwarded.sender.address.lower()
    local, _, domain = address.rpartition("@")
    if not local or not domain or desk.mailboxes.is_ours(address):
        return None
    # who gets our answer did not get the agent's mail: its Message-ID would mean nothing to him
    return Words(
        forwarded.sender.name, address, forwarded.subject or incoming.email.subject, forwarded.text.strip(),
        forwarded.message_id, (), (*incoming.email.attachments, *forwarded.attachments),
    )  # fmt: skip


def _request(email: ParsedEmail) -> Reading:
    """An agent's own request; of a forward that nobody can be answered for, all of it."""
    if email.forwarded is not None:
        whole = email.text or email.forwarded.text
        return read(whole, whole)
    return read(email.reply_text or email.text, email.text)


def _note(connection: Connection, incoming: Incoming, obeyed: Obeyed, text: str) -> int | None:
    author = incoming.author
    [noted] = actions.add_note(connection, obeyed.ticket, text, author.label, incoming.now, author.address)
    if obeyed.wrong and noted.message_id is not None:
        messages.set_flags(connection, noted.message_id, [REFUSED])
    return noted.message_id


def _refused(incoming: Incoming, about: Happened, obeyed: Obeyed, message_id: int | None = None) -> Happened:
    agent = incoming.author.agent
    return Happened(
        What.REFUSED, about.ticket_id, incoming.author.label, message_id or about.message_id, incoming.origin,
        agent.id if agent else None, wrong=obeyed.wrong,
    )  # fmt: skip
