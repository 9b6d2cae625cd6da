"""A token for a mail account (OAuth 2.0): the one that is kept while it is good, else a fresh one, asked for once by all who need it.

The file (`oauth_file`) is the only truth: every thread, command and daemon of this machine reads it. A new refresh token is on
the disk before its access token is used. What a server says is data, and may quote our secrets: it is shown without them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal
from urllib.parse import quote, urlsplit

from postroom.config import Config, Imap, Oauth, SmartHost, read_client_secret
from postroom.config_secrets import without
from postroom.daemon import log as logging
from postroom.daemon.oauth_file import Login, LoginFile
from postroom.daemon.oauth_http import OK, Answer, NoAnswer, post
from postroom.errors import TemporaryFailure
from postroom.logger import structlog

FOLDER = "oauth"  # beside the signing keys
MARGIN_SECONDS = 300.0  # before its end an access token is no longer handed out ...
MARGIN_PART = 0.2  # ... or so much of its life, where that is short
STANDARD_SECONDS = 3600.0  # for which an access token is good where the server does not say
LONGEST_SECONDS = 86_400.0  # for which we believe that one is
REFUSED_SECONDS = 900.0  # after a refusal nobody asks again for so long: it takes a person, or an administrator
TOKEN = re.compile(r"[!-~]{1,16384}")  # what SASL can carry: no blank, no control character
SAID_LENGTH = 300  # characters of a server's words
TEMPORARY = {"temporarily_unavailable", "server_error", "slow_down"}  # RFC 6749 §4.1.2.1, RFC 8628 §3.5
OF_THE_CLIENT = {"invalid_client", "unauthorized_client", "unsupported_grant_type", "invalid_scope", "invalid_request"}

log = structlog.get_logger()


class LoginRefused(TemporaryFailure):
    """There is no token until a person does something; mail waits meanwhile."""


def now() -> datetime:
    """The time, aware and UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Account:
    """Who logs in, and by which app."""

    name: str  # of its [oauth.NAME]
    app: Oauth
    user: str
    secret: str = field(repr=False)  # the app's, "" for none
    path: Path  # of the file where its login is kept
    ca_file: Path | None
    login: str  # what stands behind `postroom mailboxes login` for it
    clock: Callable[[], datetime] = now

    @property
    def file(self) -> LoginFile:
        """Where its login is kept."""
        return LoginFile(self.path)

    def token(self) -> str:
        """An access token that is good now. Raises LoginRefused, or TemporaryFailure where asking later may help."""
        return self._good("")

    def another(self, refused: str) -> str:
        """One in place of an access token that a mail server did not take. Raises as `token` does."""
        return self._good(refused)

    def remember(self, login: Login) -> None:
        """Keep a login that a person has just made."""
        with self.file.held(), self.file.room() as store:
            store(login)

    def forget(self) -> bool:
        """Delete what is kept; whether there was anything."""
        with self.file.held():
            return self.file.delete()

    def ask(self, kind: Literal["token", "device"], form: Mapping[str, str]) -> Answer:
        """Ask the app's server, as the app. Raises NoAnswer."""
        url = self.app.url(kind)
        logging.hide(self.secret)
        return post(
            url, {"client_id": self.app.client_id, **form, **self._proof()}, self.ca_file, self.app.timeout_seconds
        )

    def _proof(self) -> dict[str, str]:
        return {"client_secret": self.secret} if self.secret else {}

    def _good(self, refused: str) -> str:
        kept = self.file.read()
        if kept is None or not self._is_good(kept, refused):
            with self.file.held():
                kept = self.file.read()  # somebody else may have done it meanwhile
                if kept is None or not self._is_good(kept, refused):
                    kept = self._refreshed(kept, refused)
        logging.hide(kept.access_token, kept.refresh_token)
        return kept.access_token

    def _is_good(self, kept: Login, refused: str) -> bool:
        margin = min(MARGIN_SECONDS, MARGIN_PART * (kept.expires_at - kept.issued_at))
        at = self.clock().timestamp()
        return kept.access_token != refused and kept.issued_at - LONGEST_SECONDS < at < kept.expires_at - margin

    def _refreshed(self, kept: Login | None, refused: str) -> Login:
        at = self.clock().timestamp()
        if self.app.way == "app":
            form = {"grant_type": "client_credentials", "scope": " ".join(self.app.wanted)}
        elif kept is None or not kept.refresh_token:
            raise LoginRefused(f"nobody has logged in as {self.user} ({self.name}); log in: {self._command}")
        else:
            form = {"grant_type": "refresh_token", "refresh_token": kept.refresh_token}
        if kept is not None:
            logging.hide(kept.access_token, kept.refresh_token)
            if kept.refused_at is not None and 0 <= at - kept.refused_at < REFUSED_SECONDS:
                raise LoginRefused(kept.refusal)
        with self.file.room() as store:
            try:
                login = self.login_of(self.ask("token", form), kept)
            except LoginRefused as refusal:
                log.error("login refused", account=self.user, oauth=self.name, why=str(refusal))  # noqa: TRY400
                store(replace(kept or _nothing(at), refused_at=at, refusal=str(refusal)))
                raise
            except NoAnswer:
                if kept is None or refused == kept.access_token or not kept.issued_at <= at < kept.expires_at:
                    raise
                return kept  # it is still good for a while
            store(login)
        log.info("login refreshed", account=self.user, oauth=self.name, until=f"{_utc(login.expires_at):%H:%M:%S}Z")
        return login

    def login_of(self, answer: Answer, kept: Login | None = None) -> Login:
        """What the server has given, after `kept`. Raises LoginRefused and NoAnswer."""
        if answer.status != OK:
            raise self._refusal(answer, kept)
        at = self.clock().timestamp()
        access, refresh = answer.text("access_token"), answer.text("refresh_token")
        logging.hide(access, refresh)
        if not TOKEN.fullmatch(access) or (refresh and not TOKEN.fullmatch(refresh)):
            raise NoAnswer(f"{self._host} answers without a token that can be used")
        good = min(answer.seconds("expires_in") or STANDARD_SECONDS, LONGEST_SECONDS)
        lasts = answer.seconds("refresh_token_expires_in")
        login = Login(access, refresh, at, at, at + good, at + lasts if lasts else None, lasts or None)
        if kept is None:
            return login
        is_same = refresh in ("", kept.refresh_token)
        if is_same:  # Google's: one for ever, or until its announced end
            login = replace(login, refresh_token=kept.refresh_token)
            if not lasts:
                login = replace(login, ends_at=kept.ends_at)
            login = replace(login, lasts=kept.lasts or login.lasts)
        return replace(login, logged_in_at=kept.logged_in_at)

    def _refusal(self, answer: Answer, kept: Login | None) -> TemporaryFailure:
        said, error = self.said(answer, kept), answer.text("error")
        if error in TEMPORARY or not error:
            return NoAnswer(f"{self._host} gives no token now: {said}")
        if error in OF_THE_CLIENT:
            return LoginRefused(
                f"{self._host} refuses the app of [oauth.{self.name}]: {said}; are client_id, its secret and scopes right, and "
                "has the secret not expired?"
            )
        return LoginRefused(f"{self._host} refuses the login of {self.user}: {said}; {self._remedy}")

    def said(self, answer: Answer, kept: Login | None = None) -> str:
        """Its error in one line, without our secrets."""
        words = answer.text("error_description") or f"status {answer.status}"
        text = " ".join(f"{answer.text('error')[:100]}: {words[:2000]}".removeprefix(": ").split())
        tokens = (kept.access_token, kept.refresh_token) if kept else ()
        return "".join(c if c.isprintable() else "?" for c in without(text, (self.secret, *tokens)))[:SAID_LENGTH]

    @property
    def _host(self) -> str:
        return urlsplit(self.app.url("token")).netloc

    @property
    def _remedy(self) -> str:
        return f"see [oauth.{self.name}]" if self.app.way == "app" else f"log in again: {self._command}"

    @property
    def _command(self) -> str:
        return f"postroom mailboxes login {self.login}"


def _nothing(at: float) -> Login:
    return Login("", "", at, at, at)


def _utc(at: float) -> datetime:
    return datetime.fromtimestamp(at if math.isfinite(at) else 0, UTC)


def accounts(
    config: Config, secrets: Mapping[str, str] | None = None, clock: Callable[[], datetime] = now
) -> dict[str, Account]:
    """The account of each mailbox and smarthost that names an [oauth.NAME], by the path of its table.

    `secrets`: of the apps, by the path of their tables; without it they are read now. Raises ConfigError.
    """
    peers: dict[str, tuple[str, Imap | SmartHost]] = {
        f"mailbox.{name}.imap": (name, box.imap) for name, box in config.mailbox.items() if box.imap
    }
    if config.outgoing.courier == "smtp":
        peers |= {path: (path, peer) for path, peer in config.smarthosts().items()}
    found: dict[str, Account] = {}
    for path, (login, peer) in peers.items():
        if not peer.oauth:
            continue
        app = config.oauth[peer.oauth]
        secret = read_client_secret(config, peer.oauth) if secrets is None else secrets[f"oauth.{peer.oauth}"]
        file = config.resolve(config.keys.file).parent / FOLDER / f"{peer.oauth}:{quote(peer.user, safe='@')}.json"
        earlier = next((one.login for one in found.values() if one.path == file), login)
        ca_file = config.resolve(app.ca_file) if app.ca_file else None
        found[path] = Account(peer.oauth, app, peer.user, secret, file, ca_file, earlier, clock)
    return found
