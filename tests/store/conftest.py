"""A store of each kind."""

import pytest

from postroom.store.engine import Store


@pytest.fixture
def store(store_url):
    """An empty store, on each of the databases that one can be on."""
    opened = Store(store_url)
    yield opened
    opened.dispose()
