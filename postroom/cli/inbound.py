"""`postroom inbound`: mail received, what became of it, and why."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from postroom import config
from postroom.cli import inbound_json, output, quarantine
from postroom.cli.opening import open_store

STATES = ("pending", "processing", "processed", "duplicate", "quarantined")
LIST_LIMIT = 100  # rows of a table; JSON has them all

# how a step of a decision, and the outcome of a rule, read to a person
STEPS = {
    "seen before": "Was it here before?", "classify": "What is it?", "author": "Who wrote it?", "ticket": "Which ticket?",
    "route": "Where does its ticket go?", "link": "What does its link say?",
    "place": "What became of it?", "settle": "What does it report?", "answer": "What do we answer?",
    "notify": "Which agents are told?", "command": "What does it order?",
}  # fmt: skip
MOVES = {
    "merged": "{} was merged into {}", "unmerged": "it was taken out of {} again, back to {}",
    "split": "it was split off {} and opened {}",
}  # fmt: skip
GOOD, BAD = ("held", "enqueued"), ("refused", "suppressed", "failed", "not counted")
OUTCOMES = {
    "refused": "it points to a ticket, but its author has no right to use that", "suppressed": "nothing is sent",
    "enqueued": "written to the outbox", "nothing": "there is nothing to do",
}  # fmt: skip


@click.group("inbound")
def command() -> None:
    """Mail received, and what became of it."""


@command.command("list")
@click.option("--state", type=click.Choice(STATES), help="Only what is in this state.")
@click.option("--limit", type=click.IntRange(min=1), help=f"At most so many; a table shows {LIST_LIMIT} without it.")
@click.option("--json", "as_json", is_flag=True, help="One object a line.")
@click.pass_obj
def list_(config_path: str | None, state: str | None, limit: int | None, as_json: bool) -> None:
    """List mail received; the newest comes first."""
    from postroom.store import inbound

    with open_store(config.load(config_path)) as store, store.read() as connection:
        rows = inbound.find(connection, state, limit or (None if as_json else LIST_LIMIT))
        refs = inbound_json.refs_of(connection, rows)
    if as_json:
        for row in rows:
            output.print_json(inbound_json.as_object(row, refs))
        return
    output.print_table(
        ("ID>", "RECEIVED", "MAILBOX", "FROM~", "STATE", "TICKET", "REASON"),
        [
            (
                r.id,
                r.received_at,
                r.mailbox,
                "<>" if r.sender == "" else r.sender,
                r.state,
                refs.get(r.ticket_id),
                r.reason,
            )
            for r in rows
        ],
        "no mail",
    )
    if limit is None and len(rows) == LIST_LIMIT:
        click.echo(f"the {LIST_LIMIT} newest; see more with --limit")


@command.command("show")
@click.argument("id_", metavar="ID", type=int)
@click.option("--json", "as_json", is_flag=True, help="One object.")
@click.pass_obj
def show(config_path: str | None, id_: int, as_json: bool) -> None:
    """Show one mail's envelope, state and reason."""
    with open_store(config.load(config_path)) as store, store.read() as connection:
        row = inbound_json.find(connection, id_)
        refs = inbound_json.refs_of(connection, [row])
    if as_json:
        output.print_json(inbound_json.as_object(row, refs))
        return
    click.echo(click.style(f"Mail {row.id}: {row.state}", bold=True))
    facts = (
        ("Reason", row.reason), ("Ticket", refs.get(row.ticket_id)), ("Same as", row.duplicate_of),
        ("Mailbox", row.mailbox), ("Recipient", row.recipient), ("Sender", "<> (none)" if row.sender == "" else row.sender),
        ("Received", row.received_at), ("Processed", row.processed_at), ("By", row.source),
        ("Size", output.size(row.size)), ("SHA-256", row.digest), ("Attempts", row.attempts), ("Failures", row.failures),
        ("Next attempt", row.next_attempt_at), ("Archive", row.archive or None), ("Quiet", row.quiet or None),
    )  # fmt: skip
    for name, value in facts:
        output.field(name, value)
    for key, value in row.peer.items():
        output.field(key, value)


@command.command("raw")
@click.argument("id_", metavar="ID", type=int)
@click.pass_obj
def raw(config_path: str | None, id_: int) -> None:
    """Print the exact bytes of a mail."""
    from postroom.store import inbound

    with open_store(config.load(config_path)) as store, store.read() as connection:
        inbound_json.find(connection, id_)
        content = inbound.raw(connection, id_)
    sys.stdout.buffer.write(content or b"")
    sys.stdout.buffer.flush()


@command.command("explain")
@click.argument("id_", metavar="ID", type=int)
@click.option("--json", "as_json", is_flag=True, help="One object.")
@click.pass_obj
def explain(config_path: str | None, id_: int, as_json: bool) -> None:
    """Print every decision about a mail, in order, with its rule and its evidence, and where it went since."""
    from postroom.store import reports

    with open_store(config.load(config_path)) as store, store.read() as connection:
        row = inbound_json.find(connection, id_)
        refs = inbound_json.refs_of(connection, [row])
        moves = reports.moves(connection, row.ticket_id, row.message_id) if row.ticket_id in refs else []
    if as_json:
        steps = [
            {"at": output.utc(m.at), "event": m.event, "from": m.from_ref, "to": m.to_ref, "actor": m.actor, "why": m.why}
            for m in moves
        ]  # fmt: skip
        shown = {**inbound_json.as_object(row, refs), "decision": row.decision or [], "moves": steps}
        output.print_json(output.without_tokens(shown))
        return
    ticket = f", {refs[row.ticket_id]}" if row.ticket_id in refs else ""
    ticket += f", now on {moves[-1].to_ref}" if moves else ""
    click.echo(click.style(f"Mail {row.id}: {row.state}{ticket}", bold=True))
    if row.reason:
        click.echo(output.one_line(row.reason))
    if not row.decision:
        click.echo("nothing was decided about it yet")
    step = ""
    for line in output.without_tokens(row.decision or []):
        if line.get("step") != step:
            step = str(line.get("step"))
            output.heading(STEPS.get(step, step))
        _explain(line)
    if moves:
        output.heading("Where did it go since?")
    for m in moves:
        why = f": {m.why}" if m.why else ""
        words = f"{output.shown(m.at)}  {MOVES[m.event].format(m.from_ref, m.to_ref)} by {m.actor}{why}"
        click.echo(f"  · {output.one_line(words)}")


def _explain(line: dict[str, Any]) -> None:
    rule, outcome = output.one_line(str(line.get("rule"))), str(line.get("outcome"))
    why = output.one_line(str(line.get("why") or ""))
    if outcome in GOOD:
        mark = click.style("✓", fg="green", bold=True)
    else:
        mark = click.style("✗", fg="red") if outcome in BAD else click.style("·", dim=True)
    click.echo(
        f"  {mark} {click.style(rule, bold=True) if outcome in GOOD else rule}: {why or OUTCOMES.get(outcome, outcome)}"
    )
    if outcome in OUTCOMES and why:
        click.echo(click.style(f"      {OUTCOMES[outcome]}", dim=True))
    for key, value in (line.get("evidence") or {}).items():
        if value not in (None, "", [], {}):
            click.echo(click.style(f"      {output.one_line(key)}: {output.one_line(_evidence(value))}", dim=True))


def _evidence(value: Any) -> str:
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False)
    return output.shown(value)


for action in quarantine.ACTIONS:
    command.add_command(action)
