"""How does one ticket look to a person? Its facts, its conversation, its timeline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from postroom.cli import output, ticket_json

if TYPE_CHECKING:
    from sqlalchemy import Row

    from postroom.store.reports import WholeTicket

COLOURS = {"user": "cyan", "agent": "green", "system": "yellow"}
FACTS = (  # in their order; what is empty is left out
    ("Status", "status"), ("Priority", "priority"), ("Severity", "severity"), ("Type", "ticket_type"),
    ("Category", "category"), ("Queue", "queue"), ("Assigned to", "assignee"), ("Escalated to", "escalated_to"),
    ("Client", "client"), ("Site", "site"), ("Contract", "support_contract"), ("Asset", "affected_asset"),
    ("System", "related_system"), ("Suppliers", "suppliers"), ("Phone", "contact_phone"), ("Tags", "tags"),
    ("Created", "created_at"), ("Updated", "updated_at"), ("Responded", "first_responded_at"),
    ("Resolved", "resolved_at"), ("Closed", "closed_at"), ("Follow up", "follow_up_at"), ("Due", "sla_due_at"),
    ("Action by", "action_required_at"), ("Triage", "triage_notes"), ("Hours", "estimated_hours"),
    ("Resolution", "resolution_summary"), ("Code", "resolution_code"), ("Root cause", "root_cause"),
    ("Satisfaction", "satisfaction_rating"), ("Comment", "satisfaction_notes"), ("Thread", "email_thread_id"),
)  # fmt: skip

SOLUTIONS = {
    "review": "waits for a review", "sent_back": "sent back by its reviewer", "proposed": "waits for its customer's word",
    "solved": "solved, says the customer", "refused": "not solved, says the customer", "withdrawn": "withdrawn",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Page:
    """A ticket with what belongs to it."""

    whole: WholeTicket
    asked: str  # the reference that was asked for; another one where it was merged
    merged_from: Sequence[str]
    links: Sequence[tuple[str, str, str]]  # ref, kind, reason
    participants: Sequence[Any]
    held: str  # since when, and why nothing goes to the requester by itself; "" where nothing holds it

    def as_json(self) -> dict[str, Any]:
        """The object of the export, and what is shown beside it."""
        people = [{"address": p.address, "name": p.name, "role": p.role, "agreed": p.agreed} for p in self.participants]
        links = [{"ref": ref, "kind": kind, "reason": reason} for ref, kind, reason in self.links]
        return {
            **ticket_json.whole(self.whole), "askedFor": self.asked, "mergedFrom": list(self.merged_from),
            "links": links, "participants": people, "automaticMail": self.held or None,
        }  # fmt: skip

    def print(self) -> None:
        """Print it for a person."""
        t = self.whole.ticket
        if self.asked != t.ref:
            click.echo(f"{self.asked} was merged into {t.ref}:\n")
        click.echo(click.style(f"{t.ref}  {output.one_line(t.subject)}", bold=True))
        output.field("From", _who(t.submitter_name, t.submitter_email))
        output.field("Automatic mail", self.held)
        for name, column in FACTS:
            output.field(name, getattr(t, column))
        for name, value in t.custom_fields.items():
            output.field(name, value)
        output.field("Merged in", self.merged_from)
        for ref, kind, reason in self.links:
            output.field("See also", f"{ref} ({kind.replace('_', ' ')}: {reason})")
        for person in self.participants:
            if person.role != "requester":
                unsure = "" if person.agreed else "; nothing is sent there until an agent agrees"
                output.field("Takes part", f"{_who(person.name, person.address)} ({person.role}{unsure})")
        for solution in self.whole.solutions:
            output.field("Solution", solution_in_words(solution))
        self._conversation()
        self._timeline()

    def _conversation(self) -> None:
        output.heading(f"Conversation ({len(self.whole.messages)})")
        for message in self.whole.messages:
            click.echo("\n" + _message_head(message))
            output.body(message.text or "(no text)")
            for file in self.whole.attachments.get(message.id, []):
                what = f"{file.filename} ({file.content_type}, {output.size(file.size)})"
                click.echo(click.style(f"    + {output.one_line(what)}", dim=True))

    def _timeline(self) -> None:
        output.heading("Timeline")
        for event in self.whole.events:
            words = (event.actor, event.event.replace("_", " "), in_words(event))
            what = "  ".join(output.one_line(word) for word in words)
            click.echo(f"{click.style(output.shown(event.at), dim=True)}  {what}".rstrip())


def _message_head(message: Row[Any]) -> str:
    who = output.one_line(_who(message.author_name, message.author_address))
    marks = [
        message.author_type if message.visibility == "public" else f"{message.author_type}, internal",
        *message.flags,
    ]
    words = f"#{message.id}  {output.shown(message.timestamp)}  {who}"
    return click.style(words, fg=COLOURS.get(message.author_type), bold=True) + f"  [{', '.join(marks)}]"


def _who(name: str, address: str) -> str:
    return f"{name} <{address}>" if name and address and name != address else address or name or output.NOTHING


def solution_in_words(solution: Row[Any]) -> str:
    """What became of a solution."""
    by = f"by {solution.proposer}" if solution.proposer else "from the command line"
    review = f", reviewed by {solution.reviewer}" if solution.reviewer else ""
    when = solution.answered_at or solution.asked_at or solution.reviewed_at or solution.proposed_at
    closes = f", closes {output.shown(solution.close_at)}" if solution.close_at else ""
    return (
        f"{SOLUTIONS[solution.state]} since {output.shown(when)} (message {solution.message_id}, {by}{review}{closes})"
    )


def in_words(event: Row[Any]) -> str:
    """What an event's detail says."""
    detail: dict[str, Any] = {key: value for key, value in event.detail.items() if key != "undo"}
    if {"from", "to"} <= detail.keys():
        return f"{detail['from']} → {detail['to']}"
    if "purpose" in detail:
        reason = f": {detail['reason']}" if detail.get("reason") else ""
        return f"{detail['purpose']} to {detail.get('recipient')}{reason}"
    if event.event == "message":
        words = [str(detail.get("type", "")), "" if detail.get("visibility") == "public" else "internal"]
        return ", ".join(filter(None, [*words, *detail.get("flags", [])]))
    return ", ".join(f"{key} {output.shown(value)}" for key, value in detail.items() if value not in (None, "", []))
