"""The log: one event a line, whatever strangers wrote; no secrets, no bodies."""

import io
import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from sqlalchemy import create_engine, text
from sqlalchemy.exc import IntegrityError

from postroom import config
from postroom.daemon import log as daemon_log
from postroom.daemon.log import masked, together
from postroom.errors import TemporaryFailure, described

HOSTILE = "a\r\n2026-11-24T00:00:00.000Z info    accepted inbound=7\x1b[31m\x00\u2028\u202e\udcff"


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = before
    logging.captureWarnings(False)
    logging.getLogger("mail.log").disabled = False
    structlog.reset_defaults()


def logged(style: str = "text", level: str = "info", secrets: tuple[str, ...] = ()) -> io.StringIO:
    stream = io.StringIO()
    daemon_log.configure(config.Log(format=style, level=level), secrets, stream)  # type: ignore[arg-type]
    return stream


def test_an_event_is_a_line_of_text() -> None:
    stream = logged()
    structlog.get_logger().info("accepted", inbound=7, mailbox="support", is_new=True, reply="250 ok", none=None)
    at, rest = stream.getvalue().split(" ", 1)
    assert rest == 'info    accepted inbound=7 mailbox=support is_new=yes reply="250 ok"\n'
    assert at.endswith("Z")


def test_an_event_is_an_object_in_json() -> None:
    stream = logged("json")
    structlog.get_logger("courier").warning("deferred", delivery=7, why="busy")
    event = json.loads(stream.getvalue())
    assert event.pop("at")
    assert event == {"level": "warning", "event": "deferred", "logger": "courier", "delivery": 7, "why": "busy"}


@pytest.mark.parametrize("style", ["text", "json"])
def test_nothing_that_a_stranger_wrote_can_begin_a_line(style: str) -> None:
    stream = logged(style)
    log = structlog.get_logger(HOSTILE)
    log.info(HOSTILE, client=HOSTILE, key={"deep": [HOSTILE, b"a\nb"]})
    log.error("failed", exc_info=ValueError(HOSTILE))
    logging.getLogger(HOSTILE).warning("from a library: %s", HOSTILE)
    written = stream.getvalue()
    assert len(written.splitlines()) == 3
    assert written.count("\n") == 3
    assert not any(character in written for character in "\r\x1b\x00\u2028\u202e\udcff")


def test_a_secret_is_hidden_wherever_it_stands() -> None:
    stream = logged(secrets=("hunter2hunter2",))
    log = structlog.get_logger()
    log.info(
        "login hunter2hunter2", user="hunter2hunter2", deep=["x hunter2hunter2"], password="other", api_token="t0k3n"
    )
    log.error("failed", exc_info=ConnectionError("LOGIN support hunter2hunter2 refused"))
    assert "hunter2" not in stream.getvalue()
    assert "other" not in stream.getvalue()
    assert "t0k3n" not in stream.getvalue()
    assert stream.getvalue().count("[hidden]") == 6


def test_a_body_is_not_shown() -> None:
    stream = logged()
    structlog.get_logger().info("taken", raw=b"Subject: private\r\n", words="x" * 5000, content="private")
    assert 'raw="<18 octets>"' in stream.getvalue() or "raw=<18" in stream.getvalue()
    assert "private" not in stream.getvalue()
    assert len(stream.getvalue()) < 500


def test_an_error_of_the_database_does_not_quote_the_mail() -> None:
    """SQLAlchemy's message has the statement's parameters from its second line on."""
    stream = logged()
    engine = create_engine("sqlite://")
    with engine.connect() as connection:
        connection.execute(text("create table t (a text unique)"))
        connection.execute(text("insert into t values (:a)"), {"a": "private words"})
        try:
            connection.execute(text("insert into t values (:a)"), {"a": "private words"})
        except IntegrityError:
            structlog.get_logger().exception("failed")
    engine.dispose()
    assert "UNIQUE constraint failed" in stream.getvalue()
    assert "private words" not in stream.getvalue()


@pytest.mark.parametrize(
    "error",
    [
        ValueError("invalid literal for int() with base 10: 'private words'"),
        KeyError("private words"),
        UnicodeEncodeError("ascii", "private words \u00e9", 14, 15, "ordinal not in range"),
        TypeError("can't read b'private words' as text"),
        ValueError("it isn't \"private words, and not closed"),
        AssertionError("""'say "private words" aloud' and 'it\\'s private words'"""),
        ValueError("first line\nprivate words"),
    ],
)
def test_what_an_exception_quotes_is_left_out(error: Exception) -> None:
    stream = logged()
    structlog.get_logger().error("failed", exc_info=error, why=error)
    assert "private" not in stream.getvalue()
    assert type(error).__name__ in stream.getvalue()


def test_what_we_say_ourselves_is_said_whole() -> None:
    assert described(TemporaryFailure("'INBOX' is not there")) == "TemporaryFailure: 'INBOX' is not there"
    assert described(ValueError("can't do it, isn't there")) == "ValueError: can't do it, isn't there"


def test_what_ends_a_thread_or_the_program_is_one_line_without_what_it_quotes(tmp_path: Path) -> None:
    program = """
import threading
from postroom import config
from postroom.daemon import log
log.configure(config.Log(), ["hunter2hunter2"])
log.catch_the_rest()
def fall(words):
    private = words
    return int(private)
thread = threading.Thread(target=fall, args=("private words",), name="intake")
thread.start()
thread.join()
fall("hunter2hunter2")
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    lines = [line.split(" ", 1)[1] for line in ran.stderr.splitlines()]
    assert ran.returncode == 1
    assert [line.split(" error=")[0] for line in lines] == ["error   died part=intake", "error   died part=postroom"]
    assert "private words" not in ran.stderr
    assert "hunter2" not in ran.stderr


def test_an_exception_says_where_it_happened_in_one_line() -> None:
    stream = logged("json")
    try:
        int("x")
    except ValueError as error:
        structlog.get_logger().error("failed", exc_info=error)
    event = json.loads(stream.getvalue())
    assert event["error"].startswith("ValueError: invalid literal")
    assert "test_log.py" in event["trace"]


def test_the_level_is_kept() -> None:
    stream = logged(level="warning")
    log = structlog.get_logger()
    log.info("quiet")
    log.warning("loud")
    assert [line.split()[2] for line in stream.getvalue().splitlines()] == ["loud"]


def test_the_libraries_speak_in_the_same_form_and_never_of_bodies() -> None:
    stream = logged(level="debug")
    logging.getLogger("mail.log").error("DATA readline: private")
    logging.getLogger("imapclient").info("fetched private")
    logging.getLogger("apscheduler.executors.default").error("Job raised\nprivate second line")
    logging.getLogger("py.warnings").warning("a library warns")
    lines = stream.getvalue().splitlines()
    assert [line.split(" ", 1)[1] for line in lines[:1]] == ["error   Job raised logger=apscheduler.executors.default"]
    assert len(lines) == 2
    assert "private" not in stream.getvalue()


class Counting(io.StringIO):
    """Remembers what was written at once."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[str] = []

    def write(self, text: str, /) -> int:
        self.writes.append(text)
        return super().write(text)


def test_what_is_said_together_is_written_at_once_in_its_order_and_also_before_an_error() -> None:
    stream, say = Counting(), structlog.get_logger()
    daemon_log.configure(config.Log(), (), stream)

    def fail_amid_a_batch() -> None:
        with together():
            say.info("opened", inbound=1)
            with together():
                say.info("added", inbound=2)
            assert not stream.writes
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_amid_a_batch()
    say.info("settled", inbound=3)
    lines = [[" ".join(line.split()[2:]) for line in written.splitlines()] for written in stream.writes]
    assert lines == [["opened inbound=1", "added inbound=2"], ["settled inbound=3"]]


def test_a_log_that_cannot_be_written_hurts_nobody() -> None:
    stream = logged()
    stream.close()
    structlog.get_logger().info("accepted")


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("support@example.com", "support@example.com"),
        ("support+r7k2token@example.com", "support+*@example.com"),
        ("postmaster", "postmaster"),
    ],
)
def test_a_token_in_an_address_is_masked(address: str, shown: str) -> None:
    assert masked(address) == shown
