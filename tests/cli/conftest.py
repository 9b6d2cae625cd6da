"""A desk with a little mail on it, and the command line as its operator types it."""

import shutil

import pytest
from peers.commandline import MAILS, Desk


@pytest.fixture(scope="session")
def taken_in(tmp_path_factory):
    """A folder where the three mails were taken in: two on T-1001, one on T-1002."""
    desk = Desk(tmp_path_factory.mktemp("desk"))
    for name, content in MAILS.items():
        desk.write(f"mails/{name}", content)
    ran = desk.program("ingest", "--sender", "carla@customer.example.org", "mails")
    assert ran.status == 0, ran.err
    return desk.folder


@pytest.fixture
def desk(taken_in, tmp_path):
    """The desk with the three mails, to be changed at will."""
    shutil.copytree(taken_in, tmp_path / "desk")
    return Desk(tmp_path / "desk")


@pytest.fixture
def bare_desk(tmp_path):
    """A configuration, and no database yet."""
    return Desk(tmp_path / "desk")


@pytest.fixture
def empty_desk(bare_desk):
    """A desk that nobody has written to."""
    assert bare_desk("migrate").status == 0
    return bare_desk
