"""How does a ticket read as JSON? The object of `tickets export` (INTERFACE.md), and its head alone for lists."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from postroom.cli.output import utc

if TYPE_CHECKING:
    from sqlalchemy import Row

    from postroom.store.reports import WholeTicket


def head(ticket: Row[Any]) -> dict[str, Any]:
    """A ticket without what was written on it. `ticket` has the column `assignee`."""
    t = ticket
    return {
        "ref": t.ref, "emailMessageId": t.email_message_id, "emailThreadId": t.email_thread_id, "subject": t.subject,
        "description": t.description, "status": t.status, "priority": t.priority, "ticketType": t.ticket_type,
        "category": t.category, "source": t.source, "submitterName": t.submitter_name,
        "submitterEmail": t.submitter_email, "assignedTo": t.assignee, "tags": t.tags,
        "createdAt": utc(t.created_at), "updatedAt": utc(t.updated_at), "resolvedAt": utc(t.resolved_at),
        "closedAt": utc(t.closed_at),
        "resolution": {"summary": t.resolution_summary, "code": t.resolution_code, "rootCause": t.root_cause},
        "satisfaction": {"rating": t.satisfaction_rating, "notes": t.satisfaction_notes},
        "queue": t.queue, "mailbox": t.mailbox, "requester": t.requester, "severity": t.severity,
        "contact": {"name": t.contact_name, "email": t.contact_email, "phone": t.contact_phone},
        "client": t.client, "site": t.site, "supportContract": t.support_contract, "affectedAsset": t.affected_asset,
        "relatedSystem": t.related_system, "suppliers": t.suppliers, "furtherUsers": t.further_users,
        "escalatedTo": t.escalated_to, "triageNotes": t.triage_notes, "estimatedHours": t.estimated_hours,
        "firstRespondedAt": utc(t.first_responded_at), "followUpAt": utc(t.follow_up_at),
        "actionRequiredAt": utc(t.action_required_at), "slaDueAt": utc(t.sla_due_at), "customFields": t.custom_fields,
    }  # fmt: skip


def whole(whole: WholeTicket) -> dict[str, Any]:
    """A ticket with its conversation and activity."""
    messages = [_message(message, whole.attachments.get(message.id, [])) for message in whole.messages]
    return {
        **head(whole.ticket), "messages": messages, "activity": [_event(event) for event in whole.events],
        "solutions": [_solution(solution) for solution in whole.solutions],
    }  # fmt: skip


def _solution(solution: Row[Any]) -> dict[str, Any]:
    s = solution
    return {
        "state": s.state, "text": s.text, "message": s.message_id, "proposedBy": s.proposer, "proposedAt": utc(s.proposed_at),
        "reviewedBy": s.reviewer, "reviewedAt": utc(s.reviewed_at), "customer": s.customer, "askedAt": utc(s.asked_at),
        "expiresAt": utc(s.expires_at), "answeredAt": utc(s.answered_at), "closeAt": utc(s.close_at),
    }  # fmt: skip


def _message(message: Row[Any], files: list[Row[Any]]) -> dict[str, Any]:
    m = message
    return {
        "messageId": m.email_message_id, "inboundId": m.inbound_id, "type": m.author_type, "visibility": m.visibility,
        "author": m.author_address or m.author_name, "timestamp": utc(m.timestamp), "message": m.text,
        "attachments": [_attachment(file, m.digest) for file in files],
        "id": m.id, "authorName": m.author_name, "subject": m.subject, "flags": m.flags,
    }  # fmt: skip


def _attachment(file: Row[Any], digest: str | None) -> dict[str, Any]:
    return {
        "filename": file.filename, "size": file.size, "type": file.content_type,
        "url": f"postroom:raw/{digest}/{file.part}", "inline": file.inline,
    }  # fmt: skip


def _event(event: Row[Any]) -> dict[str, Any]:
    return {"at": utc(event.at), "actor": event.actor, "event": event.event, "detail": event.detail}
