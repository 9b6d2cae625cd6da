"""Stores with this version's schema and nothing in them, at little cost: making a schema takes longer than most tests."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from postroom.store.engine import Store
from postroom.store.migrate import upgrade

PRIVATE = 0o600  # as the store makes its file
PRIVATE_FOLDER = 0o700


def migrate(url: str) -> None:
    """Give a database this version's schema."""
    store = Store(url)
    upgrade(store)
    store.dispose()


def plant_sqlite(path: Path) -> None:
    """Put an empty store there; nothing where there is one."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=PRIVATE_FOLDER)
        path.touch(PRIVATE)
        path.write_bytes(_empty_sqlite())


@cache
def _empty_sqlite() -> bytes:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "postroom.db"
        migrate(f"sqlite:///{path}")
        return path.read_bytes()
