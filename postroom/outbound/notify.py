"""Who is told of what happened to a ticket? Turns it into deliveries, in the caller's transaction.

`TOLD` is the answer, a row for each kind of thing. Each decision is returned as a line that is stored with the
incoming mail; what is not sent is stored too, with the reason.

One more kind of mail is: a member of `What`, a row here, a function in `to_customer.py` or `to_agents.py`, a folder in
`templates/` with its sample in `samples.py`, and its switch in `[notify]`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from random import Random
from typing import Any

from sqlalchemy import Connection

from postroom.config import Config
from postroom.desk.happened import Happened, What
from postroom.desk.mailboxes import Mailboxes
from postroom.outbound import answering, bulletins, holding, previewing, solving, to_agents, to_customer, to_operator
from postroom.outbound.letters import Letters
from postroom.outbound.limits import Limits
from postroom.outbound.templates import Templates
from postroom.outbound.told import Line, Post, Told
from postroom.parsers.status import find_status
from postroom.store import addressing, correspondents, messages, outbox
from postroom.store.outbox import NewDelivery
from postroom.threading.tokens import Signer

TOLD: dict[What, tuple[Callable[[Post, Told], None], ...]] = {
    What.OPENED: (to_customer.confirm, to_agents.tell_of_new_ticket),
    What.CUSTOMER_REPLIED: (to_agents.tell_of_customer_reply,),
    What.AGENT_REPLIED: (answering.reply, to_agents.tell_of_colleague),
    What.NOTED: (to_agents.tell_of_note,),
    What.STATUS: (to_customer.tell_of_status,),
    What.ASSIGNED: (to_agents.tell_of_assignment,),
    What.HANDED_IN: (to_agents.tell_of_handing_in,),
    What.ESCALATED: (to_agents.tell_of_escalation,),
    What.FOLLOW_UP: (to_agents.tell_of_follow_up,),
    What.REMINDED: (to_customer.remind,),
    What.SOLUTION: (solving.put_to_customer, solving.tell_of_passing),
    What.SOLUTION_TO_REVIEW: (solving.ask_for_review,),
    What.SOLUTION_SENT_BACK: (solving.tell_of_sending_back,),
    What.SOLUTION_APPROVED: (solving.tell_of_approval,),
    What.SOLUTION_REFUSED: (solving.tell_of_refusal,),
    What.FEEDBACK_ASKED: (solving.ask_for_feedback,),
    What.FEEDBACK_GIVEN: (solving.tell_of_feedback,),
    What.REFUSED: (to_agents.tell_of_refusal,),
}


FROM_CUSTOMERS = (What.OPENED, What.CUSTOMER_REPLIED)


class Notifier:
    """Writes to the outbox what has to be said. One for the process, safe to share between threads."""

    def __init__(
        self, config: Config, signer: Signer, templates: Templates, clock: Callable[[], datetime], random: Random
    ) -> None:
        """`random` makes nonces and delivery keys: in service a `SystemRandom`."""
        self._signer = signer
        letters = Letters(config, signer, templates, clock, random)
        limits = Limits(config.answers, clock)
        self._post = Post(config, letters, Mailboxes(config), limits, clock)

    def read_keys(self) -> None:
        """Read the keys that sign what goes out now, not at the first mail. Raises ConfigError."""
        self._post.letters.signing.keys()

    def enqueue(self, connection: Connection, happened: Happened) -> list[Line]:
        """Write the deliveries that `happened` calls for; the lines of the decision."""
        mails, lines = self.prepare(connection, happened)
        if mails:
            outbox.enqueue(connection, mails)
        return lines

    def prepare(self, connection: Connection, happened: Happened) -> tuple[list[NewDelivery], list[Line]]:
        """The deliveries that `happened` calls for, and the lines of the decision.

        What is counted is counted; the deliveries are the caller's to give to `outbox.enqueue` in the same
        transaction, those of many messages at once.
        """
        told = Told(connection, happened)
        if happened.what in FROM_CUSTOMERS:
            self._hear(told)
        for tell in TOLD[happened.what]:
            tell(self._post, told)
        return told.mails, told.lines

    def own_words(self, text: str) -> str:
        """What a customer wrote beside what one of our links had written for him."""
        return self._post.letters.own_words(text)

    def preview(self, connection: Connection, ticket_id: int, purpose: str) -> dict[str, Any]:
        """What the templates of a purpose would be told of that ticket."""
        return previewing.data_of(self._post, connection, ticket_id, purpose)

    def tell_operator(self, connection: Connection, title: str, text: Sequence[str]) -> bool:
        """Enqueue a notice of some paragraphs to `operator.address`, in the caller's transaction; False where there is none."""
        return to_operator.tell_operator(self._post, connection, title, text)

    def digest(self, connection: Connection, queue: str, now: datetime) -> bool:
        """Tell a queue's agents what lies there; False where there is nothing to say, or nobody to tell."""
        return bulletins.digest(self._post, connection, queue, now)

    def quarantine(self, connection: Connection) -> bool:
        """Tell the operator what waits in quarantine; False where nothing does, or there is no operator."""
        return bulletins.quarantine(self._post, connection)

    def monthly(self, connection: Connection, moment: datetime) -> bool:
        """Send the report on the month before that moment; False where nobody wants it."""
        return bulletins.monthly(self._post, connection, moment)

    def undeliverable(
        self, connection: Connection, delivery: Any, reason: str, ticket_id: int | None = None, held: str = ""
    ) -> None:
        """Tell the ticket's agents that a person's mail did not arrive. `ticket_id`: where that ticket was merged into another.

        `held`: why nothing goes there by itself from now on. Where the mail was to an agent, the operator is told, once a day.
        """
        if delivery.automatic:
            to_operator.tell_of_agent(self._post, connection, delivery.recipient, reason)
        to_agents.undeliverable(self._post, connection, delivery, reason, ticket_id or delivery.ticket_id, held)

    def refused(self, connection: Connection, delivery: Any, reason: str) -> None:
        """A server refused a mail for good, in these words: count it, and tell the ticket's agents."""
        held = None
        if all(agent.address != delivery.recipient.lower() for agent in addressing.agents(connection)):
            held = holding.count_bounce(
                connection, self._post.config.answers, delivery, find_status(reason), reason, self._post.clock()
            )
        if held is None:
            self.undeliverable(connection, delivery, reason)
            return
        outbox.note(connection, delivery, "held", self._post.clock(), held, delivery.ticket_id)
        if delivery.automatic:
            self.held(connection, delivery.ticket_id, delivery.recipient, "bounces", held)
        else:
            self.undeliverable(connection, delivery, reason, held=held)

    def held(self, connection: Connection, ticket_id: int, address: str, because: str, why: str) -> None:
        """Tell the ticket's agents that nothing goes to that address by itself any more. `because`: bounces, complaint."""
        to_agents.held(self._post, connection, ticket_id, address, because, why)

    def _hear(self, told: Told) -> None:
        """A person's mail ends a hold on the address that it came from."""
        origin, case = told.happened.origin, told.case
        if origin is None or len(origin.email.from_) != 1:
            return
        address = origin.email.from_[0].address.lower()
        known = case if address == case.requester else correspondents.get(told.connection, address)
        if known is None:
            return
        config, now = self._post.config, self._post.clock()
        ended = holding.hear(told.connection, config.answers, self._signer, known, address, origin, now)
        if ended is None:
            return
        detail = {"address": address, "reason": ended}
        messages.add_event(told.connection, case.id, "released", detail, "postroom", now)
        told.note("answer", "heard", "released", f"automatic mail to {address} is held no more: {ended}")
        told.case = addressing.case(told.connection, case.id)
