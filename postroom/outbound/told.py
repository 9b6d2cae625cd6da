"""One thing that happened, while it is being told: what is known of it, and what has been written so far."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from postroom.config import Config
from postroom.desk.happened import Happened
from postroom.desk.mailboxes import Mailboxes
from postroom.outbound.letters import Letters
from postroom.outbound.limits import Limits
from postroom.store import addressing
from postroom.store.outbox import NewDelivery

Line = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Post:
    """What writing any mail needs."""

    config: Config
    letters: Letters
    mailboxes: Mailboxes
    limits: Limits
    clock: Callable[[], datetime]


class Told:
    """What one thing that happened leads to: mails, and the lines of the decision."""

    def __init__(self, connection: Connection, happened: Happened) -> None:
        self.connection, self.happened = connection, happened
        self.case: Any = addressing.case(connection, happened.ticket_id)
        self.mails: list[NewDelivery] = []
        self.lines: list[Line] = []
        self._agents: Sequence[Any] | None = None

    def agents(self) -> Sequence[Any]:
        """Everyone who answers, asked for once."""
        if self._agents is None:
            self._agents = addressing.agents(self.connection)
        return self._agents

    def note(self, step: str, rule: str, outcome: str, why: str, **evidence: Any) -> None:
        """Add a line to the decision."""
        self.lines.append({"step": step, "rule": rule, "outcome": outcome, "why": why, "evidence": evidence})
