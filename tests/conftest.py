"""Fixtures for every room: real servers of our own, and the daemon as its operator runs it.

A server that is not installed skips the tests that need it, and with POSTROOM_REQUIRE_SERVERS=1 fails them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import HealthCheck, settings
from peers.certificates import Certificate, make_certificate
from peers.daemon import Daemon
from peers.dovecot import Dovecot
from peers.postfix import Postfix
from peers.postgresql import PostgreSQL
from peers.processes import PeerMissing
from peers.s3 import S3, SECRET
from peers.smarthost import Smarthost
from peers.stores import migrate, plant_sqlite

SERVER_FIXTURES = {"dovecot", "start_postfix", "postgresql", "postgresql_url", "migrated_url", "s3"}

# The same examples in every run, lest a test fail that nobody's change broke; `make fuzz` looks for new ones.
_quiet = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
settings.register_profile("tests", derandomize=True, deadline=None, suppress_health_check=_quiet)
settings.register_profile(
    "fuzz",
    max_examples=int(os.environ.get("POSTROOM_EXAMPLES", "5000")),
    deadline=None,
    print_blob=True,
    suppress_health_check=_quiet,
)
settings.load_profile("tests")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs a server: `pytest -m 'not servers'` runs anywhere."""
    for item in items:
        if SERVER_FIXTURES.intersection(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.servers)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[None]:
    """A fixture whose server is not installed."""
    return (yield from _missing_server_skips())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """A test that starts a server itself, which is not installed."""
    return (yield from _missing_server_skips())


def _missing_server_skips() -> Any:
    try:
        return (yield)
    except PeerMissing as missing:
        if os.environ.get("POSTROOM_REQUIRE_SERVERS") == "1":
            pytest.fail(f"POSTROOM_REQUIRE_SERVERS is set, and {missing}", pytrace=False)
        pytest.skip(str(missing))


@pytest.fixture(autouse=True)
def logs_as_new() -> Iterator[None]:
    """A command that a test calls in its own process sets up logging; the next test finds it as it was."""
    for processor in structlog.get_config()["processors"]:
        if isinstance(processor, structlog.dev.ConsoleRenderer):
            # rich's shows every local variable, and takes seconds where much is going on, with the store's lock in hand
            processor._exception_formatter = structlog.dev.plain_traceback
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """A certificate for localhost and 127.0.0.1 that is its own authority."""
    return make_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture
def dovecot() -> Iterator[Dovecot]:
    """An IMAP server of this test's own, with the users `support` and `sales`, whose password is `secret`."""
    with Dovecot() as server:
        yield server


@pytest.fixture
def smarthost() -> Iterator[Smarthost]:
    """An SMTP server that records what it takes and answers as it is told."""
    with Smarthost() as server:
        yield server


@pytest.fixture
def start_postfix() -> Iterator[Callable[..., Postfix]]:
    """Starts a Postfix of this test's own: `start_postfix(relay={"example.com": (host, port)}, default=(host, port))`."""
    with ExitStack() as running:
        yield lambda **arguments: running.enter_context(Postfix(**arguments))


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    """A PostgreSQL of this test run's own. A test that stops it must start it."""
    with PostgreSQL() as server:
        yield server


@pytest.fixture
def postgresql_url(postgresql: PostgreSQL) -> Iterator[str]:
    """The URL of a fresh, empty database."""
    url = postgresql.create_database()
    yield url
    postgresql.drop_database(url)


@pytest.fixture
def migrated_url(postgresql: PostgreSQL) -> str:
    """The URL of a PostgreSQL database with this version's schema, and no rows.

    Others had it before: a test of the planner, or of what lies where, takes `postgresql_url`.
    """
    return postgresql.emptied_database(migrate)


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty store with this version's schema, on each of the databases that one can be on."""
    if request.param == "postgresql":
        return str(request.getfixturevalue("migrated_url"))
    plant_sqlite(tmp_path / "postroom.db")
    return f"sqlite:///{tmp_path}/postroom.db"


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3]:
    """A store of objects of this test run's own."""
    with S3() as server:
        yield server


@pytest.fixture
def s3(s3_server: S3, monkeypatch: pytest.MonkeyPatch) -> S3:
    """It, empty; its secret key is in the environment. A test that stops it need not start it."""
    s3_server.begin()
    monkeypatch.setenv("POSTROOM_TEST_SECRET", SECRET)
    return s3_server


@pytest.fixture
def start_daemon(tmp_path: Path) -> Iterator[Callable[..., Daemon]]:
    """Starts the daemon in a folder of its own: `start_daemon(config, env={...}, name="daemon")`."""
    with ExitStack() as running:

        def start(config: str, name: str = "daemon", **arguments: Any) -> Daemon:
            return running.enter_context(Daemon(tmp_path / name, config, **arguments))

        yield start
