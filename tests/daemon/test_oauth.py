"""Tokens: one refresh for all who need it, on the disk before it is used, and nothing that a server says hurts or is repeated."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import threading
import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from peers.certificates import Certificate
from peers.house import open_test_house
from peers.outgoing import Clock
from peers.tokenserver import CLIENT, TokenServer, raw_answer

from postroom.config import Config, parse
from postroom.config_secrets import without
from postroom.daemon import house
from postroom.daemon.alarms import Alarms
from postroom.daemon.oauth import Account, LoginRefused, accounts
from postroom.daemon.oauth_file import Login
from postroom.daemon.oauth_http import ANSWER_MAX, NoAnswer
from postroom.daemon.oauth_standing import standings
from postroom.errors import ConfigError, TemporaryFailure

MAILBOX = """
[mailbox.support]
address = "support@example.com"
queue = "support"
[mailbox.support.imap]
host = "imap.example.com"
user = "support@example.com"
oauth = "work"
[mailbox.sales]
address = "sales@example.com"
queue = "support"
[mailbox.sales.imap]
host = "imap.example.com"
user = "sales@example.com"
oauth = "work"
[outgoing]
courier = "smtp"
[outgoing.smtp]
host = "smtp.example.com"
port = 587
user = "support@example.com"
oauth = "work"
"""
USER = "support@example.com"


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLIENT_SECRET", CLIENT[1])


def config(tokens: TokenServer, folder: Path, **more: Any) -> Config:
    return parse(tomllib.loads(MAILBOX + tokens.toml(**more)), folder)


def account(tokens: TokenServer, folder: Path, clock: Any = None, logged_in: bool = True, **more: Any) -> Account:
    """The account of the mailbox, with a login whose access token has just ended."""
    clock = clock or Clock()
    found = accounts(config(tokens, folder, **more), clock=clock)["mailbox.support.imap"]
    if logged_in:
        at = clock().timestamp()
        found.remember(Login("ended", tokens.grant(USER), at - 3600, at - 3600, at - 1))
    return found


def test_a_token_is_fetched_once_and_used_until_shortly_before_it_ends(tmp_path: Path) -> None:
    clock = Clock()
    with TokenServer() as tokens:
        mine = account(tokens, tmp_path, clock)
        first = mine.token()
        assert tokens.is_good(USER, first)
        clock.advance(minutes=54)
        assert mine.token() == first
        clock.advance(minutes=2)
        assert mine.token() != first
        assert tokens.asked["refresh_token"] == 2
        clock.now -= timedelta(days=3)  # a clock that was wrong: its tokens may be from any time
        mine.token()
        assert tokens.asked["refresh_token"] == 3


def test_a_login_is_its_owners_alone_and_shared_by_all_who_use_the_account(tmp_path: Path) -> None:
    with TokenServer() as tokens:
        mine = account(tokens, tmp_path)
        mine.token()
        assert mine.path.stat().st_mode & 0o777 == 0o600
        assert mine.path.parent.stat().st_mode & 0o777 == 0o700
        assert mine.path == tmp_path / "var/oauth/work:support@example.com.json"
        found = accounts(config(tokens, tmp_path), clock=mine.clock)
        assert found["outgoing.smtp"].path == mine.path != found["mailbox.sales.imap"].path
        assert {path: one.login for path, one in found.items()} == {
            "mailbox.support.imap": "support", "mailbox.sales.imap": "sales", "outgoing.smtp": "support",
        }  # fmt: skip
        assert found["outgoing.smtp"].token() == mine.token()


MANY = """
import sys, threading
from pathlib import Path
from postroom.config import load
from postroom.daemon.oauth import accounts
account = accounts(load(sys.argv[1]))["mailbox.support.imap"]
sys.stdin.readline()
found = []
threads = [threading.Thread(target=lambda: found.append(account.token())) for _ in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(len(found), *set(found))
"""


def test_many_threads_of_several_processes_refresh_once_also_where_tokens_rotate(tmp_path: Path) -> None:
    with TokenServer(rotation="strict") as tokens:
        (tmp_path / "postroom.toml").write_text(MAILBOX + tokens.toml())
        mine = account(tokens, tmp_path, lambda: datetime.now(UTC))  # the others' clock
        others = [
            subprocess.Popen(
                [sys.executable, "-c", MANY, tmp_path / "postroom.toml"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            for _ in range(3)
        ]  # fmt: skip
        for one in others:
            assert one.stdin is not None
            one.stdin.write("go\n")
            one.stdin.flush()
        said = {one.communicate()[0].splitlines()[-1] for one in others}  # one of them logs that it has
        assert said == {f"8 {mine.token()}"}
        assert tokens.asked["refresh_token"] == 1


def test_a_token_that_is_refused_is_replaced_once_by_all_who_hear_of_it(tmp_path: Path) -> None:
    with TokenServer(rotation="strict") as tokens:
        mine = account(tokens, tmp_path)
        refused = mine.token()
        tokens.expire()
        found: list[str] = []
        threads = [threading.Thread(target=lambda: found.append(mine.another(refused))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert set(found) == {mine.token()}
        assert tokens.is_good(USER, found[0])
        assert tokens.asked["refresh_token"] == 2


KILLED = """
import sys
from postroom.config import load
from postroom.daemon.oauth import accounts
print(accounts(load(sys.argv[1]))["mailbox.support.imap"].token())
"""


@pytest.mark.parametrize(
    ("step", "rotation"),
    [
        (
            "oauth-answered",
            "on use",
        ),  # what is lost here is lost to everybody: the old one has to stay good until the new is used
        ("oauth-written", "strict"),
        ("oauth-stored", "strict"),
    ],
)
def test_a_login_survives_sigkill_at_each_step_of_a_refresh(tmp_path: Path, step: str, rotation: Any) -> None:
    with TokenServer(rotation=rotation) as tokens:
        (tmp_path / "postroom.toml").write_text(MAILBOX + tokens.toml())
        mine = account(tokens, tmp_path)
        for _ in range(3):
            command = [sys.executable, "-c", KILLED, tmp_path / "postroom.toml"]
            ran = subprocess.run(
                command, env={**os.environ, "POSTROOM_FAILPOINT": step}, capture_output=True, check=False
            )
            assert (ran.returncode, ran.stdout) == (-signal.SIGKILL, b"")
            token = mine.token()
            assert tokens.is_good(USER, token)
            mine.another(token)  # and the next refresh works, too
            assert sorted(path.name for path in mine.path.parent.iterdir()) == [
                mine.path.name,
                f"{mine.path.name}.lock",
            ]
            kept = mine.file.read()
            assert kept is not None
            mine.remember(Login("ended", kept.refresh_token, 0, kept.issued_at, 1))


def test_what_was_cut_off_in_the_middle_of_writing_is_thrown_away(tmp_path: Path) -> None:
    with TokenServer() as tokens:
        mine = account(tokens, tmp_path)
        new = mine.path.with_name(f"{mine.path.name}.new")
        new.write_bytes(mine.path.read_bytes()[:50] + b"\0" * 100)
        new.chmod(0o600)
        assert tokens.is_good(USER, mine.token())
        assert not new.exists()


def test_a_server_is_not_asked_where_its_answer_could_not_be_kept(tmp_path: Path) -> None:
    with TokenServer(rotation="strict") as tokens:
        (tmp_path / "postroom.toml").write_text(MAILBOX + tokens.toml())
        mine = account(tokens, tmp_path)
        ran = subprocess.run(
            [sys.executable, "-c", KILLED, tmp_path / "postroom.toml"], capture_output=True, check=False, text=True,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)),
        )  # fmt: skip
        assert f"TemporaryFailure: {mine.path}: File too large" in ran.stderr
        assert tokens.asked["refresh_token"] == 0
        assert tokens.is_good(USER, mine.token())


@pytest.mark.parametrize(
    ("fields", "status", "words", "is_for_a_person"),
    [
        ({"error": "invalid_grant", "error_description": "Token has been expired or revoked."}, 400,
         "refuses the login of support@example.com: invalid_grant: Token has been expired or revoked.; "
         "log in again: postroom mailboxes login support", True),
        ({"error": "interaction_required"}, 400, "interaction_required: status 400; log in again", True),
        ({"error": "invalid_client", "error_description": "AADSTS7000222: secret keys are expired"}, 401,
         "refuses the app of [oauth.work]: invalid_client: AADSTS7000222", True),
        ({"error": "invalid_scope"}, 400, "are client_id, its secret and scopes right", True),
        ({"error": "temporarily_unavailable"}, 400, "gives no token now: temporarily_unavailable", False),
        ({"error": "invalid_grant"}, 503, "gives no token now: it answers 503", False),
        ({"error": "invalid_grant"}, 429, "gives no token now: it answers 429", False),
        ({}, 404, "gives no token now: status 404", False),
        ({"access_token": 5}, 200, "answers without a token that can be used", False),
        ({"access_token": "a\x01auth=Bearer b"}, 200, "answers without a token that can be used", False),
        ({"access_token": "good", "refresh_token": "bad\n"}, 200, "answers without a token that can be used", False),
        ({"error": "invalid_grant", "error_description": "\x1b[31m\r\nred \u202e"}, 400, "invalid_grant: ?[31m red ?", True),
    ],
)  # fmt: skip
def test_what_a_server_says_is_told_in_words(
    tmp_path: Path, fields: dict[str, Any], status: int, words: str, is_for_a_person: bool
) -> None:
    with TokenServer() as tokens:
        mine = account(tokens, tmp_path)
        tokens.refuse(status, **fields)
        with pytest.raises(TemporaryFailure) as caught:
            mine.token()
        assert words in str(caught.value)
        assert str(caught.value).isprintable()
        assert isinstance(caught.value, LoginRefused) == is_for_a_person
        assert isinstance(caught.value, NoAnswer) != is_for_a_person


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("stall", "no whole answer within 0.5 s"),
        ("drip", "no whole answer within 0.5 s"),
        ("endless", f"says more than {ANSWER_MAX >> 10} KiB"),
        ("cut", "gives no token: "),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"ffffff\r\n" + b"x" * (1 << 20), "says more than"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "what is no HTTP"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * (1 << 20), "what is no HTTP"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: x\r\n" * 9999, "what is no HTTP"),
        (b"\x00" * 99999, "what is no HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{}", "what is no HTTP"),
        (raw_answer(200, b"<html>log in</html>"), "with what is no JSON object"),
        (raw_answer(200, b"[" * 100_000), "with what is no JSON object"),
        (raw_answer(200, b'{"expires_in": ' + b"9" * 100_000 + b"}"), "with what is no JSON object"),
        (raw_answer(200, b"\xff\xfe"), "with what is no JSON object"),
        (raw_answer(200, b'["access_token"]'), "with what is no JSON object"),
        (
            raw_answer(302, b"{}", "Location: http://127.0.0.1:1/\r\n"),
            "sends us elsewhere (302), which is not followed",
        ),
        (
            raw_answer(307, b"{}", "Location: http://127.0.0.1:1/\r\n"),
            "sends us elsewhere (307), which is not followed",
        ),
    ],
)
def test_a_hostile_or_broken_server_costs_neither_time_nor_memory_nor_the_login(
    tmp_path: Path, answer: Any, words: str
) -> None:
    with TokenServer(rotation="none") as tokens:
        mine = account(tokens, tmp_path, timeout_seconds=0.5 if answer in ("stall", "drip") else 30)
        tokens.fail(answer)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with pytest.raises(NoAnswer) as caught:
            mine.token()
        assert words in str(caught.value)
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10  # KiB
        assert tokens.is_good(USER, account(tokens, tmp_path, logged_in=False).token())


def test_while_the_server_is_away_the_token_is_used_to_its_end(tmp_path: Path) -> None:
    clock = Clock()
    with TokenServer() as tokens:
        mine = account(tokens, tmp_path, clock)
        token = mine.token()
        tokens.refuse(503, times=9)
        clock.advance(minutes=58)
        assert mine.token() == token
        with pytest.raises(NoAnswer):
            mine.another(token)  # not where it was refused
        clock.advance(minutes=3)
        with pytest.raises(NoAnswer):
            mine.token()


def test_a_refused_login_is_not_asked_for_again_and_again_and_another_login_ends_it(tmp_path: Path) -> None:
    clock = Clock()
    with TokenServer() as tokens:
        mine = account(tokens, tmp_path, clock)
        tokens.revoke()
        for _ in range(5):
            with pytest.raises(LoginRefused, match="log in again: postroom mailboxes login support"):
                mine.token()
        assert tokens.asked["refresh_token"] == 1
        clock.advance(minutes=16)
        with pytest.raises(LoginRefused):
            mine.token()
        assert tokens.asked["refresh_token"] == 2
        at = clock().timestamp()
        mine.remember(Login("", tokens.grant(USER), at, at, at))
        assert tokens.is_good(USER, mine.token())


def test_without_a_login_the_remedy_is_named_and_nobody_is_asked(tmp_path: Path) -> None:
    with TokenServer() as tokens:
        mine = account(tokens, tmp_path, logged_in=False)
        words = r"nobody has logged in as support@example.com \(work\); log in: postroom mailboxes login support$"
        with pytest.raises(LoginRefused, match=words):
            mine.token()
        assert not tokens.asked


@pytest.mark.parametrize(("content", "mode", "words"), [
    (b"{}", 0o600, "is damaged; log in again"), (b"\xff", 0o600, "is damaged; log in again"),
    (None, 0o640, "others can read .*; run: chmod 600"),
])  # fmt: skip
def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, content: bytes | None, mode: int, words: str) -> None:
    with TokenServer() as tokens:
        mine = account(tokens, tmp_path)
        if content is not None:
            mine.path.write_bytes(content)
        mine.path.chmod(mode)
        with pytest.raises(TemporaryFailure, match=words):
            mine.token()
        assert standings(config(tokens, tmp_path), mine.clock)[0].state == "unreadable"


def test_an_app_logs_in_by_itself(tmp_path: Path) -> None:
    with TokenServer() as tokens:
        mine = account(tokens, tmp_path, logged_in=False, flow="app")
        token = mine.token()
        assert tokens.is_good("imap offline_access", token)  # its scopes; it is nobody's login
        assert mine.token() == token
        assert tokens.asked["client_credentials"] == 1
        tokens.refuse(401, error="invalid_client", error_description="expired")
        with pytest.raises(LoginRefused, match="has the secret not expired"):
            mine.another(token)


def test_secrets_go_only_to_a_server_with_a_certificate_for_its_name(tmp_path: Path, certificate: Certificate) -> None:
    with TokenServer(certificate) as tokens:
        mine = account(tokens, tmp_path)
        with pytest.raises(NoAnswer, match=r"the certificate of 127\.0\.0\.1:[0-9]+ is not verified"):
            mine.token()
        trusting = account(tokens, tmp_path, ca_file=str(certificate.certificate))
        assert tokens.is_good(USER, trusting.token())
        tokens.host = "127.0.0.2"
        with pytest.raises(NoAnswer, match=r"127\.0\.0\.2:[0-9]+ (is not verified|gives no token)"):
            account(tokens, tmp_path, ca_file=str(certificate.certificate)).token()
        assert tokens.asked["refresh_token"] == 1


def test_a_secret_of_the_app_that_is_not_there_is_an_error_of_the_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CLIENT_SECRET")
    with (
        TokenServer() as tokens,
        pytest.raises(ConfigError, match=r"oauth\.work\.client_secret_env: \$CLIENT_SECRET is not set"),
    ):
        account(tokens, tmp_path)


def test_the_end_of_a_login_is_told_in_time_and_one_that_moves_on_is_no_alarm(tmp_path: Path) -> None:
    clock, week = Clock(), 7 * 86_400.0

    def state() -> list[str]:
        return [one.state for one in standings(settings, clock)]

    with TokenServer(lasts=week) as tokens:
        settings = config(tokens, tmp_path)
        assert state() == ["missing", "missing"]
        mine = account(tokens, tmp_path, clock)
        mine.token()
        assert standings(settings, clock)[0].words == "good until 2026-12-01 12:00 UTC"
        for day in range(1, 7):
            clock.advance(days=1)
            tokens.lasts = week - day * 86_400  # Google's way: it comes nearer
            mine.token()
            assert state()[0] == ("ending" if day == 6 else "good")
        tokens.lasts = 86_400
        tokens.rotation = "strict"  # a day, anew with each refresh
        for _ in range(3):
            mine.another(mine.token())
            clock.advance(hours=1)
            assert state()[0] == "good"


def test_the_operator_is_told_once_of_a_login_that_is_missing_or_refused_and_once_of_its_end(tmp_path: Path) -> None:
    with TokenServer() as tokens:
        sections = tomllib.loads(
            MAILBOX.replace("[outgoing]", "[operator]\naddress = 'root@example.com'\n[outgoing]") + tokens.toml()
        )
        with open_test_house(tmp_path, **{"agent": {}, "queue": {"support": {}}, **sections}) as desk:
            clock = Clock(house.now())

            def look() -> list[str]:
                looking = Alarms(desk.house.config, desk.store, desk.house.notifier, clock)
                return [("over " if one.is_over else "") + one.name for one in looking.look() if "login" in one.name]

            assert look() == ["login support@example.com (work)", "login sales@example.com (work)"]
            assert look() == []
            at = clock().timestamp()
            mine = accounts(desk.house.config, clock=clock)["mailbox.support.imap"]
            mine.remember(Login("good", tokens.grant(USER), at, at, at + 3600))
            assert look() == []
            clock.advance(minutes=11)
            assert look() == ["over login support@example.com (work)"]
            tokens.revoke()
            with pytest.raises(LoginRefused):
                mine.another("good")
            assert look() == ["login support@example.com (work)"]
            assert look() == []


def test_no_token_is_in_what_is_said_of_an_account(tmp_path: Path) -> None:
    with TokenServer(rotation="strict") as tokens:
        mine = account(tokens, tmp_path)
        mine.token()
        tokens.revoke()
        with pytest.raises(LoginRefused) as caught:
            mine.another(mine.token())
        assert "the refresh token [hidden] has expired" in str(caught.value)  # the server quotes it
        said = [
            repr(mine),
            repr(mine.file.read()),
            str(caught.value),
            repr(standings(config(tokens, tmp_path), mine.clock)),
        ]
        assert [word for word in (*tokens.given, tokens.client[1]) if any(word in text for text in said)] == []


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("no: ya29.secret-token-1234", "no: [hidden]"),
        ("no: ya29.secret-token-", "no: [hidden]"),
        ("token=ya29.secret-token-1234;", "token=[hidden];"),
        ("dXNlcj14AWF1dGg9QmVhcmVyIHlhMjkuc2VjcmV0LXRva2VuLTEyMzQBAQ==", "[hidden]"),
        ("dXNlcj14AWF1dGg9QmVhcmVyIHlhMjkuc2VjcmV0LXRv", "[hidden]"),
        ("authentication failed for support@example.com", "authentication failed for support@example.com"),
    ],
)
def test_a_secret_does_not_come_back(text: str, shown: str) -> None:
    assert without(text, ["", "ya29.secret-token-1234"]) == shown
