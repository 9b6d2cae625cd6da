"""A person logs in to a mail account: by a code on any machine (RFC 8628), or through a web page (RFC 8252, with PKCE, RFC 7636)."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import secrets
import select
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import parse_qs, urlencode, urlsplit

from postroom.daemon.oauth import Account
from postroom.daemon.oauth_file import Login
from postroom.daemon.oauth_http import OK, Answer, NoAnswer
from postroom.errors import TryAgainLater, UserError

POLL_SECONDS = 5.0  # RFC 8628 §3.2, where the server does not say
SLOWER_SECONDS = 5.0  # §3.5
POLL_MAX_SECONDS = 60.0
CODE_SECONDS = 900.0  # for which a code is good where the server does not say
CODE_MAX_SECONDS = 3600.0
BROWSER_SECONDS = 900.0  # for a person to get through the web page
REQUEST_SECONDS = 5.0  # for a browser to say its request
REQUEST_OCTETS = 16 << 10
WORDS_MAX = 2000  # characters of a URL or code that we show
GRANT = "urn:ietf:params:oauth:grant-type:device_code"
PAGE = b"HTTP/1.1 %s\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n%s"
DONE = b"Done: go back to where you typed `postroom mailboxes login`. This page can be closed.\n"


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a person has to do; a server's words, to be cleaned before they are shown."""

    url: str
    code: str  # "" where nothing has to be typed in
    seconds: float  # for which it is good


def by_device(account: Account, tell: Callable[[Prompt], None], wait: Callable[[float], None] = time.sleep) -> Login:
    """The login that a person has allowed on any machine. Raises UserError, and TryAgainLater for what may go better later."""
    answer = _asked(account, "device", {"scope": " ".join(account.app.wanted)})
    if answer.status != OK:
        raise UserError(f"there is no code to log in with: {account.said(answer)}")
    code = answer.text("device_code")
    # verification_url is Google's word, which is older than the RFC's
    url = answer.text("verification_uri_complete") or answer.text("verification_uri") or answer.text("verification_url")
    if not (code and answer.text("user_code") and re.fullmatch(r"https?://[!-~]+", url)):
        raise UserError("there is no code to log in with: the server's answer has none")
    left = min(answer.seconds("expires_in") or CODE_SECONDS, CODE_MAX_SECONDS)
    pause = min(answer.seconds("interval", POLL_SECONDS) or 0.0, POLL_MAX_SECONDS)
    tell(Prompt(url[:WORDS_MAX], answer.text("user_code")[:WORDS_MAX], left))
    while left > 0:
        wait(max(pause, 1.0))
        left -= max(pause, 1.0)
        try:
            answer = account.ask("token", {"grant_type": GRANT, "device_code": code})
        except NoAnswer:
            pause = min(2 * max(pause, 1.0), POLL_MAX_SECONDS)  # §3.5: it may have enough to do
            continue
        match answer.text("error"):
            case "authorization_pending":
                continue
            case "slow_down":
                pause += SLOWER_SECONDS
            case "access_denied":
                raise UserError("the login was not allowed there")
            case "expired_token":
                break
            case _:
                return _login_of(account, answer)
    raise UserError("nobody allowed the login in time; begin again")


def by_browser(
    account: Account, tell: Callable[[Prompt], None], port: int = 0, typed: int | None = None,
    seconds: float = BROWSER_SECONDS,
) -> Login:  # fmt: skip
    """The login that a person has allowed on a web page, which then leads to `port` of this machine.

    Where the browser runs elsewhere that page cannot be shown, and its address is typed into the descriptor `typed`.
    Raises as `by_device`.
    """
    state, verifier = secrets.token_urlsafe(24), secrets.token_urlsafe(48)
    digest = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    with _listening(port) as listener:
        here = f"http://localhost:{listener.getsockname()[1]}"
        question = {
            "client_id": account.app.client_id, "response_type": "code", "redirect_uri": here, "state": state,
            "scope": " ".join(account.app.wanted), "code_challenge": digest, "code_challenge_method": "S256",
            "login_hint": account.user, "prompt": "consent",
        }  # fmt: skip
        if account.app.provider == "google":
            question["access_type"] = "offline"  # else there is no refresh token
        url = account.app.url("authorize")
        tell(Prompt(f"{url}{'&' if '?' in url else '?'}{urlencode(question)}", "", seconds))
        code = _Waiting(listener, state, typed).code(seconds)
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": here, "code_verifier": verifier}
    return _login_of(account, _asked(account, "token", form))


def _asked(account: Account, kind: Literal["token", "device"], form: dict[str, str]) -> Answer:
    try:
        return account.ask(kind, form)
    except NoAnswer as error:
        raise TryAgainLater(str(error)) from error


def _login_of(account: Account, answer: Answer) -> Login:
    if answer.status != OK:
        raise UserError(f"the login came to nothing: {account.said(answer)}")
    try:
        login = account.login_of(answer)
    except NoAnswer as error:
        raise UserError(str(error)) from error
    if not login.refresh_token:
        raise UserError(
            "the server gave no refresh token, so the login would end within hours; does the scope allow one (offline_access)?"
        )
    return login


def _listening(port: int) -> socket.socket:
    listener = socket.socket()
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen()
    except OSError as error:
        listener.close()
        raise UserError(f"cannot listen on 127.0.0.1:{port}: {error.strerror}") from error
    return listener


@dataclass(slots=True)
class _Waiting:
    """For the browser to come with the code, or for a person to type where it was sent to."""

    listener: socket.socket
    state: str
    typed: int | None
    line: bytes = field(default=b"", repr=False)

    def code(self, seconds: float) -> str:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            here = self.listener.fileno()
            ready, _, _ = select.select([here] if self.typed is None else [here, self.typed], [], [], left)
            found = self._from_browser() if here in ready else self._from_person() if ready else ""
            if found:
                return found
        raise UserError("nobody allowed the login in time; begin again")

    def _from_browser(self) -> str:
        """The code, where this request brings it; browsers ask for more than that, and anybody here may ask."""
        connection, _ = self.listener.accept()
        with connection:
            connection.settimeout(REQUEST_SECONDS)
            try:
                head = connection.recv(REQUEST_OCTETS).partition(b"\r\n")[0].decode("latin-1").split(" ")
                code = self._code_of(head[1]) if len(head) == 3 and head[0] == "GET" else ""
                status, words = (b"200 OK", DONE) if code else (b"404 Not Found", b"nothing is here\n")
                connection.sendall(PAGE % (status, len(words), words))
            except OSError:
                return ""
        return code

    def _from_person(self) -> str:
        assert self.typed is not None
        piece = os.read(self.typed, REQUEST_OCTETS)
        if not piece:
            self.typed = None
        *whole, rest = (self.line + piece).split(b"\n")
        if self.typed is None:
            whole, rest = [*whole, rest], b""
        self.line = rest[-REQUEST_OCTETS:]
        return next((code for line in whole if (code := self._code_of(line.decode("utf-8", "replace").strip()))), "")

    def _code_of(self, url: str) -> str:
        """The code of an answer to our question (RFC 6749 §4.1.2); "" for anything else. Raises UserError for a refusal."""
        try:
            answer = {name: values[0] for name, values in parse_qs(urlsplit(url).query, max_num_fields=50).items()}
        except ValueError:
            return ""
        if not secrets.compare_digest(answer.get("state", "").encode(), self.state.encode()):
            return ""
        if error := answer.get("error"):
            raise UserError(f"the login was not allowed there: {' '.join(error.split())[:100]}")
        return answer.get("code", "")
