"""A daemon, or two, with mail in a store of objects: the whole way, and what the store of objects does to it."""

from __future__ import annotations

import hashlib
import json
import signal
import smtplib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from peers.daemon import Daemon
from peers.house import SUPPORT, mail
from peers.processes import wait_until
from peers.s3 import S3, SECRET
from peers.smarthost import Smarthost
from sqlalchemy import select

from postroom.store.engine import Store
from postroom.store.tables import InboundEmail, RawMail

LARGE = "It burns.\r\n" + 6_000 * "and smokes\r\n"
ENV = {"POSTROOM_TEST_SECRET": SECRET}


def toml(url: str, s3: S3, smarthost: Smarthost) -> str:
    section = "\n".join(f"{key} = {json.dumps(value)}" for key, value in s3.section().items())
    return f"""
[store]
url = "{url}"
[raw_mail]
{section}
[smtp]
listen = ["127.0.0.1:{{port}}"]
[queue.support]
agents = ["ann"]
[agent.ann]
address = "ann@example.com"
[mailbox.support]
address = "{SUPPORT}"
queue = "support"
[keys]
file = "../signing-keys"
[outgoing]
courier = "smtp"
[outgoing.smtp]
port = {smarthost.port}
security = "none"
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/postroom.db"
    return str(request.getfixturevalue("migrated_url"))


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    opened = Store(url)
    yield opened
    opened.dispose()


def send(daemon: Daemon, raw: bytes) -> None:
    with smtplib.SMTP("127.0.0.1", daemon.smtp_port, timeout=30) as client:
        client.sendmail("cy@customer.example", [SUPPORT], raw)


def rows(store: Store) -> list[Any]:
    query = select(InboundEmail.id, InboundEmail.state, RawMail.place, RawMail.digest)
    with store.read() as connection:
        found = connection.execute(query.join(RawMail, RawMail.digest == InboundEmail.digest).order_by(InboundEmail.id))
        return list(found)


def states(store: Store) -> list[str]:
    return [row.state for row in rows(store)]


def test_a_large_mail_comes_in_is_confirmed_is_shown_and_is_forgotten(
    url: str, store: Store, s3: S3, smarthost: Smarthost, start_daemon: Callable[..., Daemon]
) -> None:
    daemons = [start_daemon(toml(url, s3, smarthost), env=ENV)]
    if not store.is_sqlite:
        daemons.append(start_daemon(toml(url, s3, smarthost), name="other", env=ENV))
    raws = [mail(f"c{n}@customer.example", text=LARGE) for n in range(4)]
    for n, raw in enumerate(raws):
        send(daemons[n % len(daemons)], raw)
    wait_until(lambda: states(store) == 4 * ["processed"], "every ticket")
    wait_until(
        lambda: len(smarthost.to("ann@example.com")) == 4 and smarthost.to("c3@customer.example"),
        "the mails about them",
    )
    received = {row.digest for row in rows(store)}
    assert received <= {hashlib.sha256(raw).hexdigest() for raw in s3.objects().values()}  # notices may be there by now
    first = rows(store)[0]
    assert daemons[0].cli("inbound", "raw", str(first.id)).out.encode() == raws[0]
    [verified] = daemons[0].json("objects", "verify")
    assert verified["verified"] >= 4
    assert verified["broken"] == []
    for n in range(4):
        assert daemons[0].cli("forget", f"c{n}@customer.example", "--yes").exit == 0
    wait_until(lambda: not s3.objects(), "every object deleted")


def test_a_sender_is_told_to_come_again_while_the_store_of_objects_hangs(
    url: str, store: Store, s3: S3, smarthost: Smarthost, start_daemon: Callable[..., Daemon]
) -> None:
    daemon = start_daemon(toml(url, s3, smarthost), env=ENV)
    large, small = mail(text=LARGE), mail("dee@dee.example")
    s3.stall()
    with pytest.raises(smtplib.SMTPDataError) as refused:
        send(daemon, large)
    assert refused.value.smtp_code == 451
    assert states(store) == []
    send(daemon, small)
    s3.go_on()
    send(daemon, large)
    wait_until(lambda: states(store) == 2 * ["processed"], "both tickets")
    assert daemon.exit_status is None


def test_a_daemon_that_is_killed_between_the_object_and_its_row_leaves_an_object_of_nobody_and_no_mail(
    url: str, store: Store, s3: S3, smarthost: Smarthost, start_daemon: Callable[..., Daemon]
) -> None:
    daemon = start_daemon(toml(url, s3, smarthost), env={**ENV, "POSTROOM_FAILPOINT": "intake-aside"})
    raw = mail(text=LARGE)
    with pytest.raises((smtplib.SMTPServerDisconnected, ConnectionError)):
        send(daemon, raw)
    assert daemon.wait() == -signal.SIGKILL
    assert (len(s3.objects()), states(store)) == (1, [])
    del daemon.env["POSTROOM_FAILPOINT"]
    daemon.start()
    send(daemon, raw)
    wait_until(lambda: states(store) == ["processed"], "the ticket")
    assert len(s3.objects()) == 2
    assert rows(store)[0].place in s3.objects()
