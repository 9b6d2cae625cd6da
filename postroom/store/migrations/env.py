"""Alembic's entry: the steps run on the connection, and in the transaction, that `migrate` hands over."""

from __future__ import annotations

from typing import Any, Literal

from alembic import context

from postroom.store.tables import Base, Utc


def _in_own_words(kind: str, item: Any, _autogenerate: Any) -> str | Literal[False]:
    """A step must not need `tables`, which moves on."""
    return "sa.DateTime(timezone=True)" if kind == "type" and isinstance(item, Utc) else False


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,  # SQLite changes a table by making it anew
    render_item=_in_own_words,
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()
