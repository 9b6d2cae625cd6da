"""Who is told of what happened to a ticket? Turns it into deliveries, in the caller's transaction.

`TOLD` is the answer, a row for each kind of thing. Each decision is returned as a line that is stored with the
incoming mail; what is not sent is stored too, with the reason.

One more kind of mail is: a member of `What`, a row here, a function in `to_customer.py` or `to_agents.py`, a folder in
`templates/` with its sample in `templates.py`, and its switch in `[notify]`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from random import Random
from typing import Any

from sqlalchemy import Connection

from postroom.config import Config
from postroom.desk.happened import Happened, What
from postroom.desk.mailboxes import Mailboxes
from postroom.outbound import answering, to_agents, to_customer
from postroom.outbound.letters import Letters
from postroom.outbound.limits import Limits
from postroom.outbound.templates import Templates
from postroom.outbound.told import Line, Post, Told
from postroom.store import outbox
from postroom.store.outbox import NewDelivery
from postroom.threading.tokens import Signer

TOLD: dict[What, tuple[Callable[[Post, Told], None], ...]] = {
    What.OPENED: (to_customer.confirm, to_agents.tell_of_new_ticket),
    What.CUSTOMER_REPLIED: (to_agents.tell_of_customer_reply,),
    What.AGENT_REPLIED: (answering.reply,),
    What.NOTED: (),
    What.STATUS: (to_customer.tell_of_status,),
    What.ASSIGNED: (to_agents.tell_of_assignment,),
    What.HANDED_IN: (to_agents.tell_of_handing_in,),
    What.ESCALATED: (to_agents.tell_of_escalation,),
    What.FOLLOW_UP: (to_agents.tell_of_follow_up,),
    What.REMINDED: (to_customer.remind,),
    What.REFUSED: (to_agents.tell_of_refusal,),
}


class Notifier:
    """Writes to the outbox what has to be said. One for the process, safe to share between threads."""

    def __init__(
        self, config: Config, signer: Signer, templates: Templates, clock: Callable[[], datetime], random: Random
    ) -> None:
        """`random` makes nonces and delivery keys: in service a `SystemRandom`."""
        letters = Letters(config, signer, templates, clock, random)
        self._post = Post(config, letters, Mailboxes(config), Limits(config.answers, clock), clock)

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
        for tell in TOLD[happened.what]:
            tell(self._post, told)
        return told.mails, told.lines

    def undeliverable(self, connection: Connection, delivery: Any, reason: str) -> None:
        """Tell the ticket's agents that a person's mail did not arrive."""
        to_agents.undeliverable(self._post, connection, delivery, reason)
