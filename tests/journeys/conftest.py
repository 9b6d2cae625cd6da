"""Journeys on each of the databases that a store can be on."""

import pytest


@pytest.fixture
def store(store_url):
    """A line of the configuration: `start_daemon(CONFIG + store)`."""
    return f'[store]\nurl = "{store_url}"\n'
