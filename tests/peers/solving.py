"""A house in which solutions go their way: short words for its steps, and a clock that is the test's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from peers.house import ANN, CONFIG, TestHouse, answer, mail
from peers.links import links_of, press

from postroom import config as settings
from postroom.daemon import house
from postroom.daemon.receive import Settled
from postroom.daemon.schedule import Schedule
from postroom.parsers.parsed import ParsedEmail
from postroom.store import messages, solutions

CY, DI, EVE = "cy@customer.example", "di@customer.example", "eve@stranger.example"
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
FUSE = "We changed the fuse."
FROM_BOB = "Bob Agent <bob@example.com>"


class SolvingDesk(TestHouse):
    """A house whose clock is the test's, with short words for the steps of a solution's way."""

    def after(self, since: timedelta) -> None:
        """Let so much time pass in all, and do what has become due."""
        self.later = since
        Schedule(self.house.config, self.store, lambda: house.now() + self.later, self.house.notifier).sweep()

    def ask(self, **options: str) -> int:
        """Cy's mail opens a ticket; its id."""
        id_ = self.take(mail(f"Cy <{CY}>", **options)).ticket_id
        assert id_ is not None
        return id_

    def propose(self, text: str = FUSE, agent: str = ANN) -> Settled:
        """The agent answers his newest notice with a solution."""
        sender = "Ann Agent <ann@example.com>" if agent == ANN else FROM_BOB
        return self.take(answer(self.notice(agent), f"#solution\n{text}\n", sender))

    def notice(self, agent: str = ANN) -> ParsedEmail:
        """The newest notice that an agent got of any kind but a review's."""
        pending = self.outbox(recipient=agent, state="pending")
        return [mail for row, mail in pending if mail is not None and row.purpose != "solution_review"][-1]

    def press(self, link: str, sender: str = f"Cy <{CY}>", more: str = "", **changes: str) -> Settled:
        """Cy presses a link, and sends the mail that opens."""
        raw, address = press(link, sender, more, **changes)
        return self.take(raw, address)

    def solution(self, id_: int) -> Any:
        """The solution of a ticket that was proposed last."""
        with self.store.read() as connection:
            return solutions.latest(connection, self.ticket(id_).id)

    def buttons(self) -> list[str]:
        """Solved, and not solved: of the newest solution that Cy got."""
        return links_of(self.sent("solution", CY))

    def said(self, id_: int, event: str) -> list[dict[str, Any]]:
        """The details of one kind of a ticket's events."""
        with self.store.read() as connection:
            return [e.detail for e in messages.events(connection, id_) if e.event == event]


@contextmanager
def open_solving_desk(folder: Path, support: dict[str, Any] | None = None, **changes: Any) -> Iterator[SolvingDesk]:
    """A desk whose configuration has these sections; `support` are keys of its queue."""
    queue = {**CONFIG["queue"], "support": {**CONFIG["queue"]["support"], **(support or {})}}
    with house.open_house(settings.parse({**CONFIG, "queue": queue, **changes}, folder)) as opened:
        yield SolvingDesk(opened)


def link_line(settled: Settled) -> tuple[str, str, str]:
    """What the decision says of a link: rule, outcome, reason."""
    [line] = [line for line in settled.decision if line["step"] == "link"]
    return line["rule"], line["outcome"], line["why"]
