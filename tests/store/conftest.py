"""A store of each kind."""

import pytest

from postroom.store.engine import Store
from postroom.store.migrate import upgrade


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request, tmp_path):
    """An empty store, on each of the databases that one can be on."""
    url = f"sqlite:///{tmp_path}/postroom.db" if request.param == "sqlite" else request.getfixturevalue("migrated_url")
    opened = Store(url)
    upgrade(opened)
    yield opened
    opened.dispose()
