"""A person logs in: by a code on any machine, or through a web page that leads back here, or whose address is typed in."""

from __future__ import annotations

import os
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from daemon.test_oauth import USER, account, secret
from peers.tokenserver import TokenServer

from postroom.daemon.oauth_login import Prompt, by_browser, by_device
from postroom.errors import TryAgainLater, UserError

__all__ = ["secret"]


class Person:
    """Sees what is asked of him, and does something as time goes by."""

    def __init__(self, *acts: Callable[[], None]) -> None:
        self.acts = list(acts)
        self.seen: list[Prompt] = []
        self.waits: list[float] = []

    def wait(self, seconds: float) -> None:
        self.waits.append(seconds)
        if self.acts:
            self.acts.pop(0)()


def nothing() -> None:
    pass


def test_a_code_is_shown_and_polled_for_at_the_servers_pace(tmp_path: Path) -> None:
    with TokenServer(lasts=86_400) as tokens:
        tokens.interval = 7
        mine = account(tokens, tmp_path, logged_in=False)
        slower = lambda: tokens.refuse(400, error="slow_down")  # noqa: E731
        busy = lambda: tokens.refuse(503)  # noqa: E731
        person = Person(nothing, slower, nothing, busy, lambda: tokens.allow(USER))
        login = by_device(mine, person.seen.append, person.wait)
        assert person.waits == [7, 7, 12, 12, 24]  # RFC 8628 §3.5
        assert [(one.url, one.code) for one in person.seen] == [(f"{tokens.url}/verify", "WDJB-MJHT")]
        assert login.ends_at == login.logged_in_at + 86_400
        mine.remember(login)
        assert tokens.is_good(USER, mine.token())


@pytest.mark.parametrize(
    ("error", "words"),
    [
        ("access_denied", "the login was not allowed there"),
        ("expired_token", "nobody allowed the login in time"),
        ("invalid_client", "the login came to nothing: invalid_client"),
    ],
)
def test_a_login_that_is_not_allowed_says_so(tmp_path: Path, error: str, words: str) -> None:
    with TokenServer() as tokens:
        person = Person(lambda: tokens.refuse(400, error=error))
        with pytest.raises(UserError, match=words):
            by_device(account(tokens, tmp_path, logged_in=False), person.seen.append, person.wait)


def test_nobody_is_waited_for_beyond_the_end_of_the_code(tmp_path: Path) -> None:
    with TokenServer() as tokens:
        tokens.interval = 60
        person = Person()
        with pytest.raises(UserError, match="nobody allowed the login in time"):
            by_device(account(tokens, tmp_path, logged_in=False), person.seen.append, person.wait)
        assert person.waits == [60] * 10


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"device_code": "d", "user_code": "u", "verification_uri": "javascript:alert(1)"},
        {"device_code": "d", "user_code": "u", "verification_uri": "https://x/\x1b[2J"},
        {"device_code": "d", "verification_uri": "https://x/"},
    ],
)
def test_an_answer_without_a_code_is_none(tmp_path: Path, fields: dict[str, Any]) -> None:
    with TokenServer() as tokens:
        tokens.refuse(200, "/device", **fields)
        person = Person()
        with pytest.raises(UserError, match="there is no code to log in with"):
            by_device(account(tokens, tmp_path, logged_in=False), person.seen.append, person.wait)
        assert (person.seen, person.waits) == ([], [])


def test_a_server_that_is_away_is_to_be_tried_later(tmp_path: Path) -> None:
    with TokenServer() as tokens:
        tokens.refuse(503, "/device")
        with pytest.raises(TryAgainLater, match="it answers 503"):
            by_device(account(tokens, tmp_path, logged_in=False), print, Person().wait)


def test_a_login_without_a_refresh_token_is_none(tmp_path: Path) -> None:
    with TokenServer() as tokens:
        person = Person(lambda: tokens.refuse(200, access_token="good"))
        with pytest.raises(UserError, match="no refresh token"):
            by_device(account(tokens, tmp_path, logged_in=False), person.seen.append, person.wait)


def fetch(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=20) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_a_web_page_leads_back_here_and_only_the_answer_to_our_question_counts(tmp_path: Path) -> None:
    answers: list[tuple[int, str]] = []

    def browse(prompt: Prompt) -> None:
        question = parse_qs(urlsplit(prompt.url).query)
        assert (question["login_hint"], question["scope"]) == ([USER], ["imap offline_access"])
        here = tokens.visit(prompt.url, USER)
        forged = here.replace(question["state"][0], "x" * 32)

        def visit() -> None:
            answers.extend(fetch(url) for url in (forged, f"{question['redirect_uri'][0]}/favicon.ico", here))

        visits.append(threading.Thread(target=visit))
        visits[0].start()

    visits: list[threading.Thread] = []
    with TokenServer() as tokens:
        mine = account(tokens, tmp_path, logged_in=False, flow="browser")
        mine.remember(by_browser(mine, browse))
        visits[0].join()
        assert [status for status, _ in answers] == [404, 404, 200]
        assert tokens.is_good(USER, mine.token())


def test_where_the_browser_is_elsewhere_its_last_address_is_typed_in(tmp_path: Path) -> None:
    reading, writing = os.pipe()

    def browse(prompt: Prompt) -> None:
        here = tokens.visit(prompt.url, USER)
        os.write(writing, f"what?\n{here.replace('code=', 'kode=')}\n{here[:30]}".encode())
        os.write(writing, f"{here[30:]}\n".encode())

    try:
        with TokenServer() as tokens:
            mine = account(tokens, tmp_path, logged_in=False, flow="browser")
            mine.remember(by_browser(mine, browse, typed=reading))
            assert tokens.is_good(USER, mine.token())
    finally:
        os.close(reading)
        os.close(writing)


def test_a_login_that_was_not_allowed_on_the_web_page_says_so(tmp_path: Path) -> None:
    reading, writing = os.pipe()

    def browse(prompt: Prompt) -> None:
        state = parse_qs(urlsplit(prompt.url).query)["state"][0]
        os.write(writing, f"http://localhost/?error=access_denied&state={state}\n".encode())
        os.close(writing)

    try:
        with TokenServer() as tokens, pytest.raises(UserError, match="not allowed there: access_denied"):
            by_browser(account(tokens, tmp_path, logged_in=False, flow="browser"), browse, typed=reading)
    finally:
        os.close(reading)


def test_nobody_is_waited_for_for_ever_at_the_web_page(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(writing)  # nobody can type, either
    try:
        with TokenServer() as tokens, pytest.raises(UserError, match="in time"):
            by_browser(account(tokens, tmp_path, logged_in=False, flow="browser"), print, typed=reading, seconds=0.2)
    finally:
        os.close(reading)
