"""A server that gives OAuth 2.0 tokens on loopback: device flow, web page, refresh tokens that rotate, faults as a test says.

    with TokenServer(rotation="strict") as tokens:
        refresh = tokens.grant("support")  # a login, as if a person had made it
        tokens.answer(b"HTTP/1.1 503 ...", times=1)
        tokens.given  # every secret that it ever gave, to look for where none may be

It also tells Dovecot who a token belongs to (RFC 7662), and only a token that is good now passes.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
import secrets
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal, Self
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

from peers.certificates import Certificate

Fault = Literal["stall", "drip", "endless", "cut"]
PIECE = b"x" * (1 << 20)
DRIP_SECONDS = 0.05
CLIENT = ("postroom", "client-secret-canary-5571")
ANSWER = "HTTP/1.1 {status} Said\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n{more}\r\n"


@dataclass(slots=True)
class _Device:
    user: str = ""
    state: str = "authorization_pending"


@dataclass(slots=True)
class _Good:
    """The refresh tokens and access tokens that are good, and whose they are."""

    refresh: dict[str, str] = field(default_factory=dict)
    access: dict[str, tuple[str, float, str]] = field(default_factory=dict)  # user, until, the refresh token beside it
    before: dict[str, str] = field(default_factory=dict)  # a refresh token → the one that it replaces once it is used


class TokenServer:
    """Runs in a thread of its own while the `with` block does."""

    def __init__(
        self,
        certificate: Certificate | None = None,
        *,
        rotation: Literal["none", "strict", "on use"] = "none",
        seconds: float = 3600.0,
        lasts: float | None = None,
        client: tuple[str, str] = CLIENT,
    ) -> None:
        """`rotation`: "strict" takes a refresh token back as it is used, "on use" when its successor is. `lasts`: of a login, as announced."""
        self.certificate, self.rotation, self.seconds, self.lasts, self.client = (
            certificate,
            rotation,
            seconds,
            lasts,
            client,
        )
        self.host, self.port = "127.0.0.1", 0
        self.asked: Counter[str] = Counter()  # by grant type, or path
        self.given: list[str] = []
        self.device = _Device()
        self.interval = 1
        self._good = _Good()
        self._codes: dict[str, dict[str, str]] = {}
        self._faults: list[tuple[str, bytes | Fault, int]] = []
        self._lock = threading.RLock()
        self._server: asyncio.Server | None = None

    # -- what a test says and asks

    @property
    def url(self) -> str:
        return f"{'https' if self.certificate else 'http'}://{self.host}:{self.port}"

    def toml(self, name: str = "work", flow: str = "device", **more: str) -> str:
        """Its [oauth.NAME]; the secret is in $CLIENT_SECRET."""
        keys = {
            "client_id": self.client[0], "client_secret_env": "CLIENT_SECRET", "flow": flow, "token_url": f"{self.url}/token",
            "device_url": f"{self.url}/device", "authorize_url": f"{self.url}/authorize", **more,
        }  # fmt: skip
        return f"[oauth.{name}]\nscopes = ['imap', 'offline_access']\n" + "".join(
            f"{k} = {v!r}\n" for k, v in keys.items()
        )

    def grant(self, user: str) -> str:
        """A refresh token for a user."""
        with self._lock:
            token = self._new("refresh")
            self._good.refresh[token] = user
            return token

    def revoke(self, user: str = "") -> None:
        """Let no token of that user, or of any, be good any more."""
        with self._lock:
            self._good.refresh = {t: u for t, u in self._good.refresh.items() if user and u != user}
            self.expire(user)

    def expire(self, user: str = "") -> None:
        """Let no access token be good any more."""
        with self._lock:
            self._good.access = {t: one for t, one in self._good.access.items() if user and one[0] != user}

    def is_good(self, user: str, token: str) -> bool:
        """Whether a mail server would take it; then its login is in use."""
        with self._lock:
            whose, until, refresh = self._good.access.get(token, ("", 0.0, ""))
            if whose != user or time.time() >= until:
                return False
            self._used(refresh)
            return True

    def takes(self, user: str) -> Any:
        """What is equal to every token that is good for a user: for the Smarthost's `logins`."""
        server = self

        class Taken:
            __hash__ = None  # type: ignore[assignment]

            def __eq__(self, other: object) -> bool:
                return isinstance(other, str) and server.is_good(user, other)

        return Taken()

    def fail(self, what: bytes | Fault, where: str = "/token", times: int = 1) -> None:
        """Answer the next questions there with these bytes, or with a fault."""
        with self._lock:
            self._faults += [(where, what, times)]

    def refuse(self, status: int, where: str = "/token", times: int = 1, **fields: Any) -> None:
        """Answer the next questions there with this status and object."""
        self.fail(_answer(status, fields), where, times)

    def allow(self, user: str) -> None:
        """The person allows the login on the device."""
        self.device.user, self.device.state = user, "allowed"

    def visit(self, url: str, user: str) -> str:
        """The person opens the web page, and allows the login; where the page leads to."""
        question = dict(parse_qsl(urlsplit(url).query))
        code = secrets.token_urlsafe(8)
        self._codes[code] = {**question, "user": user}
        return f"{question['redirect_uri']}/?{urlencode({'code': code, 'state': question['state']})}"

    # -- up and down

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="tokenserver", daemon=True)
        self._thread.start()

        async def listen() -> None:
            tls = self.certificate.server_context() if self.certificate else None
            self._server = await asyncio.start_server(self._serve, self.host, self.port, ssl=tls)
            self.port = self._server.sockets[0].getsockname()[1]

        asyncio.run_coroutine_threadsafe(listen(), self._loop).result()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        async def close() -> None:
            assert self._server is not None
            self._server.close()
            tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    # -- one question

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            path = head.split(" ")[1]
            headers = {
                name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head.split("\r\n"))
            }
            body = (await reader.readexactly(int(headers.get("content-length", "0")))).decode()
            form = {name: values[0] for name, values in parse_qs(body, keep_blank_values=True).items()}
            async for piece in self._said(path, form):
                writer.write(piece)
                await writer.drain()
        with contextlib.suppress(ConnectionError):
            writer.close()

    async def _said(self, path: str, form: Mapping[str, str]) -> AsyncIterator[bytes]:
        with self._lock:
            fault = next((at for at, (where, _, times) in enumerate(self._faults) if where == path and times), None)
            if fault is None:
                status, fields = self._answered(path, form)
                what: bytes | Fault = _answer(status, fields)
            else:
                where, what, times = self._faults[fault]
                self._faults[fault] = (where, what, times - 1)
                self.asked["fault"] += 1
        match what:
            case "cut":
                return
            case "stall":
                await asyncio.sleep(60)
            case "drip":
                for octet in _answer(200, {"access_token": "x" * 2000}):
                    yield bytes([octet])
                    await asyncio.sleep(DRIP_SECONDS)
            case "endless":
                yield b"HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n"
                for _ in range(1024):
                    yield PIECE
            case bytes():
                yield what

    def _answered(self, path: str, form: Mapping[str, str]) -> tuple[int, dict[str, Any]]:
        self.asked[form.get("grant_type", path)] += 1
        if path == "/introspect":
            whose, until, refresh = self._good.access.get(form.get("token", ""), ("", 0.0, ""))
            is_good = bool(whose) and time.time() < until
            if is_good:
                self._used(refresh)
            return 200, {"active": is_good, "username": whose, "scope": "imap"} if is_good else {"active": False}
        if (form.get("client_id"), form.get("client_secret")) != self.client:
            return 401, {"error": "invalid_client"}
        if path == "/device":
            self.device = _Device()
            code = self._new("device")
            return 200, {
                "device_code": code, "user_code": "WDJB-MJHT", "verification_uri": f"{self.url}/verify", "expires_in": 600,
                "interval": self.interval,
            }  # fmt: skip
        return self._granted(form)

    def _granted(self, form: Mapping[str, str]) -> tuple[int, dict[str, Any]]:
        match form.get("grant_type"):
            case "client_credentials":
                return 200, {"access_token": self._access(form["scope"], ""), "expires_in": int(self.seconds)}
            case "urn:ietf:params:oauth:grant-type:device_code":
                if self.device.state != "allowed":
                    return 400, {"error": self.device.state}
                return 200, self._pair(self.device.user, self.grant(self.device.user))
            case "authorization_code":
                asked = self._codes.pop(form["code"], None)
                digest = base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest()).rstrip(b"=")
                good = (
                    asked
                    and asked["code_challenge"] == digest.decode()
                    and asked["redirect_uri"] == form["redirect_uri"]
                )
                if not asked or not good:
                    return 400, {"error": "invalid_grant", "error_description": "the code is wrong"}
                return 200, self._pair(asked["user"], self.grant(asked["user"]))
            case "refresh_token":
                return self._refreshed(form["refresh_token"])
        return 400, {"error": "unsupported_grant_type"}

    def _refreshed(self, token: str) -> tuple[int, dict[str, Any]]:
        user = self._good.refresh.get(token)
        if user is None:
            said = f"the refresh token {token} has expired or was revoked"
            return 400, {"error": "invalid_grant", "error_description": said}
        self._used(token)
        if self.rotation == "none":
            answer = self._pair(user, token)
            del answer["refresh_token"]
            return 200, answer
        new = self.grant(user)
        if self.rotation == "strict":
            del self._good.refresh[token]
        else:
            self._good.before[new] = token
        return 200, self._pair(user, new)

    def _used(self, refresh: str) -> None:
        self._good.refresh.pop(self._good.before.pop(refresh, ""), None)

    def _pair(self, user: str, refresh: str) -> dict[str, Any]:
        answer: dict[str, Any] = {
            "access_token": self._access(user, refresh), "refresh_token": refresh, "token_type": "Bearer",
            "expires_in": self.seconds,
        }  # fmt: skip
        return answer | ({"refresh_token_expires_in": self.lasts} if self.lasts else {})

    def _access(self, user: str, refresh: str) -> str:
        token = self._new("access")
        self._good.access[token] = (user, time.time() + self.seconds, refresh)
        return token

    def _new(self, kind: str) -> str:
        token = f"{kind}-canary-{secrets.token_urlsafe(24)}"
        self.given.append(token)
        return token


def _answer(status: int, fields: Any) -> bytes:
    body = fields if isinstance(fields, bytes) else json.dumps(fields).encode()
    return ANSWER.format(status=status, length=len(body), more="").encode() + body


def raw_answer(status: int, body: bytes, more: str = "") -> bytes:
    """An answer with any body, and further header lines."""
    return ANSWER.format(status=status, length=len(body), more=more).encode() + body
