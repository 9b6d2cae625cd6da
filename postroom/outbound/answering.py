"""An agent's answer on its way to the customer, and to whoever takes part and was agreed to."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from postroom.outbound import to_agents, wording
from postroom.outbound.addresses import domain_of
from postroom.outbound.agents_html import SIGNED_ADDRESS, Shown, shown_to_customer
from postroom.outbound.holding import why_held
from postroom.outbound.policy import Refusal
from postroom.outbound.readers import readers
from postroom.outbound.threads import thread_of_row
from postroom.outbound.to_customer import suppress
from postroom.outbound.told import Post, Told
from postroom.parsers.parsed import Address
from postroom.store import addressing, outbox, raw_mail

HELD = "held"  # the notice that an address is


def reply(post: Post, told: Told) -> None:
    """The agent's words, with his files, below the desk's address."""
    write(post, told, "reply", list(readers(post, told)), {}, "the agent's answer")


def write(post: Post, told: Told, purpose: str, people: list[Address], more: dict[str, Any], what: str) -> None:
    """An agent's words to these people. `more`: what the templates are told besides them. `what`: the mail in words."""
    case, happened, connection = told.case, told.happened, told.connection
    if happened.message_id is None:
        return
    if not people:
        why = f"{case.requester[:100]!r} is no address that we write to"
        suppress(post, told, purpose, Refusal("no-address", why))
        return
    message = addressing.message(connection, happened.message_id)
    message = message._replace(text=SIGNED_ADDRESS.sub("@", message.text))
    files = addressing.files(connection, happened.message_id) if message.digest else []
    raw = raw_mail.read(connection, message.digest) if message.digest else b""
    domain = domain_of(post.letters.sender_of(case).address)
    shown = shown_to_customer(raw, message.text, files, domain) if raw else Shown()
    last = addressing.last_of_customer(connection, case.id)
    agent = next((a for a in told.agents() if a.id == happened.agent_id), None)
    author = (agent.title or agent.name) if agent else ""
    zone = wording.zone_of(post.config, case.queue)
    data = {
        "ticket": wording.private_ticket_data(post.config, case), "agent": {"name": author},
        # safe: it was sanitised, and says what the text says
        "message": {**wording.message_of_row(message, files, zone), "html": Markup(shown.html)},  # noqa: S704
        "quoted": wording.quoted(last, zone), **more,
    }  # fmt: skip
    told.mails += post.letters.reply(
        case, people, author, data, subject=wording.reply_subject(case.subject, case.ref),
        thread=thread_of_row(last, people[0].address if len(people) == 1 else None, post.clock()), about=happened.message_id,
        files=shown.files, purpose=purpose,
    )  # fmt: skip
    to = [person.address for person in people]
    told.note("answer", purpose, "enqueued", f"{what} to {', '.join(to)}", recipients=to)
    _warn_of_held(post, told)


def _warn_of_held(post: Post, told: Told) -> None:
    """The answer goes out to an address that is held, too; the ticket's agents are told so once."""
    case, held = told.case, why_held(told.case)
    since = case.complained_at or case.held_at
    if held is None or outbox.has_any(told.connection, case.id, HELD, since):
        return
    because = "complaint" if held.rule == "complained" else "bounces"
    to_agents.held(post, told.connection, case.id, case.requester, because, held.why, is_answered=True)
    told.note("notify", HELD, "enqueued", f"automatic mail to {case.requester} is {held.why}")
