from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from peers.outgoing import TestDesk, desk_in


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[TestDesk]:
    """A desk with the agents bob and cora, and one mailbox."""
    with desk_in(tmp_path) as made:
        yield made
