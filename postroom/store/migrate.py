"""Bringing the database to this version's schema."""

from __future__ import annotations

from postroom.store.engine import Store
from postroom.store.tables import Base


def upgrade(store: Store) -> None:
    """Bring the database to this version's schema, whatever version it has; nothing where it is there."""
    Base.metadata.create_all(store.engine)
