"""`postroom tickets solution / review`: a solution's way, from the shell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from postroom.cli.ticket_actions import Doing, act, acting, as_json, read_text
from postroom.errors import UserError

if TYPE_CHECKING:
    from postroom.desk.happened import Happened


@click.command("solution")
@click.argument("ref")
@click.argument("text", required=False)
@acting
@as_json
@click.pass_obj
def solution(config_path: str | None, ref: str, text: str | None, actor: str | None, as_json: bool) -> None:
    """Propose what solves a ticket. The customer is asked whether it does, after a review where the queue wants one.

    Without TEXT it is read from standard input.
    """
    from postroom.desk import solution

    words = read_text(text)

    def what(doing: Doing) -> Sequence[Happened]:
        desk = doing.house.desk(doing.connection)
        return solution.write(doing.connection, desk, doing.ticket, words, doing.agent, doing.actor, doing.now)

    act(config_path, ref, actor, as_json, what, "solution proposed")


@click.command("review")
@click.argument("ref")
@click.option("--approve", is_flag=True, help="The customer gets the solution.")
@click.option("--refuse", metavar="TEXT", help="It goes back to who proposed it, who reads TEXT.")
@acting
@as_json
@click.pass_obj
def review(
    config_path: str | None, ref: str, approve: bool, refuse: str | None, actor: str | None, as_json: bool
) -> None:
    """Review a solution that waits for it. It needs --as, with another agent than the one who proposed it."""
    if approve == (refuse is not None):
        raise click.UsageError("give either --approve or --refuse TEXT")
    from postroom.desk import solution

    def what(doing: Doing) -> Sequence[Happened]:
        config, connection = doing.house.config, doing.connection
        row = solution.under_review(connection, config, doing.ticket, doing.agent, None)
        assert doing.agent is not None
        if refuse is None:
            return solution.approve(connection, config, doing.ticket, row, doing.agent, doing.now)
        if not refuse.strip():
            raise UserError("there is no word that says why")
        return solution.send_back(connection, doing.ticket, row, doing.agent, refuse, doing.now)

    act(config_path, ref, actor, as_json, what, "solution approved" if approve else "solution sent back")


ACTIONS = (solution, review)
