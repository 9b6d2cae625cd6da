"""Found the store."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")  # SQLite counts only INTEGER PRIMARY KEY by itself
TIME = sa.DateTime(timezone=True)
NEW = "state || '' = 'pending' AND next_attempt_at IS NULL"
AGAIN = "next_attempt_at IS NOT NULL"
JSON = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")


def upgrade() -> None:
    """Make every table."""
    _tickets()
    _mail()
    _solutions()
    _rest()
    if op.get_bind().dialect.name != "sqlite":  # there it is part of the table, since nothing can be added to one
        op.create_foreign_key("fk_inbound_email_message_id", "inbound_email", "message", ["message_id"], ["id"])


def _tickets() -> None:
    op.create_table(
        "raw_mail",
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("size", KEY, nullable=False),
        sa.Column("place", sa.Text(), nullable=True),
        sa.Column("content", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("digest", name="pk_raw_mail"),
    )
    named = sa.text("place IS NOT NULL")
    op.create_index("ix_raw_mail_place", "raw_mail", ["place"], sqlite_where=named, postgresql_where=named)
    op.create_table(
        "raw_task",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("since", TIME, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_raw_task"),
    )
    op.create_table(
        "agent",
        sa.Column("id", KEY, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("queues", JSON, nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_agent"),
        sa.UniqueConstraint("address", name="uq_agent_address"),
        sa.UniqueConstraint("name", name="uq_agent_name"),
    )
    op.create_table(
        "ticket",
        sa.Column("id", KEY, nullable=False),
        sa.Column("number", KEY, nullable=False),
        sa.Column("key", KEY, nullable=False),
        sa.Column("ref", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("normal_subject", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("ticket_type", sa.Text(), nullable=False),
        sa.Column("category", sa.Text(), nullable=True),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("submitter_name", sa.Text(), nullable=False),
        sa.Column("submitter_email", sa.Text(), nullable=False),
        sa.Column("email_message_id", sa.Text(), nullable=True),
        sa.Column("email_thread_id", sa.Text(), nullable=True),
        sa.Column("mailbox", sa.Text(), nullable=True),
        sa.Column("queue", sa.Text(), nullable=False),
        sa.Column("language", sa.Text(), nullable=True),
        sa.Column("requester", sa.Text(), nullable=False),
        sa.Column("contact_name", sa.Text(), nullable=True),
        sa.Column("contact_email", sa.Text(), nullable=True),
        sa.Column("contact_phone", sa.Text(), nullable=True),
        sa.Column("client", sa.Text(), nullable=True),
        sa.Column("site", sa.Text(), nullable=True),
        sa.Column("support_contract", sa.Text(), nullable=True),
        sa.Column("affected_asset", sa.Text(), nullable=True),
        sa.Column("related_system", sa.Text(), nullable=True),
        sa.Column("suppliers", JSON, nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("priority", sa.Text(), nullable=False),
        sa.Column("severity", sa.Text(), nullable=True),
        sa.Column("assigned_to", KEY, nullable=True),
        sa.Column("further_users", JSON, nullable=False),
        sa.Column("escalated_to", sa.Text(), nullable=True),
        sa.Column("triage_notes", sa.Text(), nullable=True),
        sa.Column("estimated_hours", sa.Float(), nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        sa.Column("first_responded_at", TIME, nullable=True),
        sa.Column("resolved_at", TIME, nullable=True),
        sa.Column("closed_at", TIME, nullable=True),
        sa.Column("follow_up_at", TIME, nullable=True),
        sa.Column("action_required_at", TIME, nullable=True),
        sa.Column("sla_due_at", TIME, nullable=True),
        sa.Column("clock_stopped_at", TIME, nullable=True),
        sa.Column("clock_stopped_seconds", sa.Integer(), nullable=False),
        sa.Column("escalated_at", TIME, nullable=True),
        sa.Column("waiting_since", TIME, nullable=True),
        sa.Column("reminders", sa.Integer(), nullable=False),
        sa.Column("resolution_summary", sa.Text(), nullable=True),
        sa.Column("resolution_code", sa.Text(), nullable=True),
        sa.Column("root_cause", sa.Text(), nullable=True),
        sa.Column("feedback_due_at", TIME, nullable=True),
        sa.Column("satisfaction_rating", sa.Integer(), nullable=True),
        sa.Column("satisfaction_notes", sa.Text(), nullable=True),
        sa.Column("tags", JSON, nullable=False),
        sa.Column("merged_into", KEY, nullable=True),
        sa.Column("custom_fields", JSON, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_ticket"),
        sa.ForeignKeyConstraint(["assigned_to"], ["agent.id"], name="fk_ticket_assigned_to"),
        sa.ForeignKeyConstraint(["merged_into"], ["ticket.id"], name="fk_ticket_merged_into"),
        sa.UniqueConstraint("key", name="uq_ticket_key"),
        sa.UniqueConstraint("number", name="uq_ticket_number"),
        sa.UniqueConstraint("ref", name="uq_ticket_ref"),
    )
    op.create_index("ix_ticket_email_thread_id", "ticket", ["email_thread_id"])
    op.create_index("ix_ticket_feedback_due_at", "ticket", ["feedback_due_at"])
    op.create_index("ix_ticket_follow_up_at", "ticket", ["follow_up_at"])
    op.create_index("ix_ticket_requester_subject", "ticket", ["requester", "normal_subject", "updated_at"])
    _index_some("ix_ticket_answered", "ticket", "requester, id", "first_responded_at IS NOT NULL")
    op.create_index("ix_ticket_sla_due_at", "ticket", ["sla_due_at"])
    op.create_index("ix_ticket_updated_at", "ticket", ["updated_at", "id", "queue", "assigned_to"])
    op.create_index("ix_ticket_status_updated_at", "ticket", ["status", "updated_at", "id"])
    _index_some("ix_ticket_unclosed", "ticket", "assigned_to, queue, status", "closed_at IS NULL")
    _index_some("ix_ticket_merged_into", "ticket", "merged_into", "merged_into IS NOT NULL")
    op.create_index("ix_ticket_created_at", "ticket", ["created_at"])
    _index_some("ix_ticket_first_responded_at", "ticket", "first_responded_at", "first_responded_at IS NOT NULL")
    op.create_table(
        "ticket_link",
        sa.Column("ticket_id", KEY, nullable=False),
        sa.Column("other_id", KEY, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("ticket_id", "other_id", "kind", name="pk_ticket_link"),
        sa.ForeignKeyConstraint(["other_id"], ["ticket.id"], name="fk_ticket_link_other_id"),
        sa.ForeignKeyConstraint(["ticket_id"], ["ticket.id"], name="fk_ticket_link_ticket_id"),
    )
    op.create_table(
        "participant",
        sa.Column("ticket_id", KEY, nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("agreed", sa.Boolean(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("ticket_id", "address", name="pk_participant"),
        sa.ForeignKeyConstraint(["ticket_id"], ["ticket.id"], name="fk_participant_ticket_id"),
    )
    op.create_table(
        "thread_ref",
        sa.Column("ref", sa.Text(), nullable=False),
        sa.Column("ticket_id", KEY, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("ref", "ticket_id", name="pk_thread_ref"),
        sa.ForeignKeyConstraint(["ticket_id"], ["ticket.id"], name="fk_thread_ref_ticket_id"),
    )
    op.create_index("ix_thread_ref_ticket_id", "thread_ref", ["ticket_id"])
    op.create_table(
        "event",
        sa.Column("id", KEY, nullable=False),
        sa.Column("ticket_id", KEY, nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("detail", JSON, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_event"),
        sa.ForeignKeyConstraint(["ticket_id"], ["ticket.id"], name="fk_event_ticket_id"),
    )
    op.create_index("ix_event_ticket_id", "event", ["ticket_id"])
    _index_some("ix_event_status_at", "event", "at", "event = 'status'")


def _mail() -> None:
    sqlite = op.get_bind().dialect.name == "sqlite"
    circle = [sa.ForeignKeyConstraint(["message_id"], ["message.id"], name="fk_inbound_email_message_id")]
    op.create_table(
        "inbound_email",
        sa.Column("id", KEY, nullable=False),
        sa.Column("mailbox", sa.Text(), nullable=False),
        sa.Column("recipient", sa.Text(), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("size", KEY, nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("sender", sa.Text(), nullable=True),
        sa.Column("peer", JSON, nullable=False),
        sa.Column("received_at", TIME, nullable=False),
        sa.Column("archive", sa.Boolean(), nullable=False),
        sa.Column("quiet", sa.Boolean(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("next_attempt_at", TIME, nullable=True),
        sa.Column("claimed_by", sa.Text(), nullable=True),
        sa.Column("claimed_until", TIME, nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("decision", JSON, nullable=True),
        sa.Column("ticket_id", KEY, nullable=True),
        sa.Column("message_id", KEY, nullable=True),
        sa.Column("duplicate_of", KEY, nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("processed_at", TIME, nullable=True),
        sa.Column("erased_at", TIME, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_inbound_email"),
        sa.ForeignKeyConstraint(["digest"], ["raw_mail.digest"], name="fk_inbound_email_digest"),
        sa.ForeignKeyConstraint(["duplicate_of"], ["inbound_email.id"], name="fk_inbound_email_duplicate_of"),
        sa.ForeignKeyConstraint(["ticket_id"], ["ticket.id"], name="fk_inbound_email_ticket_id"),
        sa.UniqueConstraint("mailbox", "recipient", "digest", name="uq_inbound_email_mailbox_recipient_digest"),
        *(circle if sqlite else []),
    )
    op.create_index("ix_inbound_email_digest", "inbound_email", ["digest"])
    op.create_index("ix_inbound_email_state_id", "inbound_email", ["state", "id"])
    _index_some("ix_inbound_email_new", "inbound_email", "id", NEW)
    _index_some("ix_inbound_email_again", "inbound_email", "next_attempt_at", AGAIN)
    op.create_index("ix_inbound_email_ticket_id", "inbound_email", ["ticket_id"])
    op.create_table(
        "imap_message",
        sa.Column("id", KEY, nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("folder", sa.Text(), nullable=False),
        sa.Column("uidvalidity", KEY, nullable=False),
        sa.Column("uid", KEY, nullable=False),
        sa.Column("inbound_id", KEY, nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("settled", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_imap_message"),
        sa.ForeignKeyConstraint(["inbound_id"], ["inbound_email.id"], name="fk_imap_message_inbound_id"),
        sa.UniqueConstraint(
            "account", "folder", "uidvalidity", "uid", name="uq_imap_message_account_folder_uidvalidity_uid"
        ),
    )
    op.create_table(
        "message",
        sa.Column("id", KEY, nullable=False),
        sa.Column("ticket_id", KEY, nullable=False),
        sa.Column("inbound_id", KEY, nullable=True),
        sa.Column("digest", sa.String(64), nullable=True),
        sa.Column("email_message_id", sa.Text(), nullable=True),
        sa.Column("references", JSON, nullable=False),
        sa.Column("content_key", sa.Text(), nullable=True),
        sa.Column("author_type", sa.Text(), nullable=False),
        sa.Column("author_address", sa.Text(), nullable=False),
        sa.Column("author_name", sa.Text(), nullable=False),
        sa.Column("visibility", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("thread_index", sa.Text(), nullable=True),
        sa.Column("thread_topic", sa.Text(), nullable=True),
        sa.Column("flags", JSON, nullable=False),
        sa.Column("timestamp", TIME, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_message"),
        sa.ForeignKeyConstraint(["digest"], ["raw_mail.digest"], name="fk_message_digest"),
        sa.ForeignKeyConstraint(["inbound_id"], ["inbound_email.id"], name="fk_message_inbound_id"),
        sa.ForeignKeyConstraint(["ticket_id"], ["ticket.id"], name="fk_message_ticket_id"),
        sa.UniqueConstraint("content_key", name="uq_message_content_key"),
    )
    op.create_index("ix_message_ticket_id", "message", ["ticket_id"])
    op.create_table(
        "attachment",
        sa.Column("id", KEY, nullable=False),
        sa.Column("message_id", KEY, nullable=False),
        sa.Column("part", sa.Text(), nullable=False),
        sa.Column("filename", sa.Text(), nullable=False),
        sa.Column("content_type", sa.Text(), nullable=False),
        sa.Column("size", KEY, nullable=False),
        sa.Column("inline", sa.Boolean(), nullable=False),
        sa.Column("content_id", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_attachment"),
        sa.ForeignKeyConstraint(["message_id"], ["message.id"], name="fk_attachment_message_id"),
    )
    op.create_index("ix_attachment_message_id", "attachment", ["message_id"])
    op.create_table(
        "delivery",
        sa.Column("id", KEY, nullable=False),
        sa.Column("key", KEY, nullable=False),
        sa.Column("ticket_id", KEY, nullable=True),
        sa.Column("message_id", KEY, nullable=True),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("automatic", sa.Boolean(), nullable=False),
        sa.Column("mailbox", sa.Text(), nullable=True),
        sa.Column("recipient", sa.Text(), nullable=False),
        sa.Column("envelope_sender", sa.Text(), nullable=False),
        sa.Column("email_message_id", sa.Text(), nullable=True),
        sa.Column("digest", sa.String(64), nullable=True),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("reported_by", sa.Text(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_attempt_at", TIME, nullable=True),
        sa.Column("claimed_by", sa.Text(), nullable=True),
        sa.Column("claimed_until", TIME, nullable=True),
        sa.Column("in_doubt_at", TIME, nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("sent_at", TIME, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_delivery"),
        sa.ForeignKeyConstraint(["digest"], ["raw_mail.digest"], name="fk_delivery_digest"),
        sa.ForeignKeyConstraint(["message_id"], ["message.id"], name="fk_delivery_message_id"),
        sa.ForeignKeyConstraint(["ticket_id"], ["ticket.id"], name="fk_delivery_ticket_id"),
        sa.UniqueConstraint("key", name="uq_delivery_key"),
    )
    op.create_index("ix_delivery_email_message_id", "delivery", ["email_message_id"])
    op.create_index("ix_delivery_state_id", "delivery", ["state", "id"])
    _index_some("ix_delivery_new", "delivery", "automatic, id", NEW)
    _index_some("ix_delivery_again", "delivery", "next_attempt_at", AGAIN)
    op.create_index("ix_delivery_ticket_id", "delivery", ["ticket_id"])


def _solutions() -> None:
    op.create_table(
        "solution",
        sa.Column("id", KEY, nullable=False),
        sa.Column("ticket_id", KEY, nullable=False),
        sa.Column("nonce", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("message_id", KEY, nullable=True),
        sa.Column("proposed_by", KEY, nullable=True),
        sa.Column("proposed_at", TIME, nullable=False),
        sa.Column("reviewed_by", KEY, nullable=True),
        sa.Column("reviewed_at", TIME, nullable=True),
        sa.Column("customer", sa.Text(), nullable=True),
        sa.Column("asked_at", TIME, nullable=True),
        sa.Column("expires_at", TIME, nullable=True),
        sa.Column("answered_at", TIME, nullable=True),
        sa.Column("close_at", TIME, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_solution"),
        sa.ForeignKeyConstraint(["message_id"], ["message.id"], name="fk_solution_message_id"),
        sa.ForeignKeyConstraint(["proposed_by"], ["agent.id"], name="fk_solution_proposed_by"),
        sa.ForeignKeyConstraint(["reviewed_by"], ["agent.id"], name="fk_solution_reviewed_by"),
        sa.ForeignKeyConstraint(["ticket_id"], ["ticket.id"], name="fk_solution_ticket_id"),
        sa.UniqueConstraint("ticket_id", "nonce", name="uq_solution_ticket_id_nonce"),
    )
    op.create_index("ix_solution_close_at", "solution", ["close_at"])
    op.create_table(
        "feedback",
        sa.Column("ticket_id", KEY, nullable=False),
        sa.Column("customer", sa.Text(), nullable=False),
        sa.Column("asked_at", TIME, nullable=False),
        sa.Column("expires_at", TIME, nullable=False),
        sa.Column("answered_at", TIME, nullable=True),
        sa.PrimaryKeyConstraint("ticket_id", name="pk_feedback"),
        sa.ForeignKeyConstraint(["ticket_id"], ["ticket.id"], name="fk_feedback_ticket_id"),
    )


def _index_some(name: str, table: str, columns: str, which: str) -> None:
    """An index of those rows alone."""
    some = sa.text(which)
    op.create_index(name, table, columns.split(", "), sqlite_where=some, postgresql_where=some)


def _rest() -> None:
    op.create_table(
        "smarthost_state",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("failing_since", TIME, nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("next_probe_at", TIME, nullable=True),
        sa.Column("last_success_at", TIME, nullable=True),
        sa.PrimaryKeyConstraint("name", name="pk_smarthost_state"),
    )
    op.create_table(
        "alarm",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("words", sa.Text(), nullable=False),
        sa.Column("since", TIME, nullable=False),
        sa.Column("well_since", TIME, nullable=True),
        sa.PrimaryKeyConstraint("name", name="pk_alarm"),
    )
    op.create_table(
        "mailbox_state",
        sa.Column("mailbox", sa.Text(), nullable=False),
        sa.Column("uidvalidity", KEY, nullable=True),
        sa.Column("last_success_at", TIME, nullable=True),
        sa.Column("failing_since", TIME, nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("mailbox", name="pk_mailbox_state"),
    )
    op.create_table(
        "correspondent",
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("language", sa.Text(), nullable=True),
        sa.Column("hard_bounces", sa.Integer(), nullable=False),
        sa.Column("bounces_since", TIME, nullable=True),
        sa.Column("held_at", TIME, nullable=True),
        sa.Column("held_why", sa.Text(), nullable=True),
        sa.Column("trusted_at", TIME, nullable=True),
        sa.Column("complained_at", TIME, nullable=True),
        sa.Column("complained_why", sa.Text(), nullable=True),
        sa.Column("updated_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("address", name="pk_correspondent"),
    )
    op.create_table(
        "counter",
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("window", TIME, nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("scope", "window", name="pk_counter"),
    )
    op.create_table(
        "sequence",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", KEY, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_sequence"),
    )
    op.create_table(
        "forgetting",
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("sought", JSON, nullable=False),
        sa.PrimaryKeyConstraint("address", name="pk_forgetting"),
    )
    op.create_table(
        "recurring",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("done_for", TIME, nullable=False),
        sa.Column("last_run_at", TIME, nullable=True),
        sa.PrimaryKeyConstraint("name", name="pk_recurring"),
    )
    _nodes()


def _nodes() -> None:
    """What several daemons on one database need, and mail that lies outside of it."""
    op.create_table(
        "node",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("until", TIME, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_node"),
    )
    op.create_index("ix_node_until", "node", ["until"])
    op.create_table(
        "imap_lease",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("folder", sa.Text(), nullable=False),
        sa.Column("node", sa.Text(), nullable=False),
        sa.Column("since", TIME, nullable=False),
        sa.PrimaryKeyConstraint("account", "folder", name="pk_imap_lease"),
    )
    op.create_table(
        "compatibility",
        sa.Column("since", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("since", name="pk_compatibility"),
    )
    op.execute("INSERT INTO compatibility (since) VALUES ('0001')")
