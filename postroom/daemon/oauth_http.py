"""One question to a server that gives tokens (RFC 6749 §3.2): a form goes there, a small JSON object comes back.

Bounded in time, from the connection to the last octet, and in size. TLS is verified, no redirect is followed: whoever could
send us elsewhere would get the secrets.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import ssl
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from postroom.daemon.imap_wire import Plug
from postroom.errors import TemporaryFailure

ANSWER_MAX = 256 << 10  # octets; tokens have some thousand
OK = 200
REDIRECTS = range(300, 400)
BUSY = 429


class NoAnswer(TemporaryFailure):
    """The server cannot be reached, is busy, or says what makes no sense: asking later may help."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What it said."""

    status: int
    fields: Mapping[str, Any] = field(repr=False)  # tokens are in it

    def text(self, name: str) -> str:
        """A field that is a text; "" where there is none."""
        value = self.fields.get(name)
        return value if isinstance(value, str) else ""

    def seconds(self, name: str, standard: float | None = None) -> float | None:
        """A field that is a number of seconds; some servers write it as a text."""
        value = self.fields.get(name)
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 12:
            value = int(value)
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e11:
            return float(value)
        return standard


def post(url: str, form: Mapping[str, str], ca_file: Path | None, seconds: float) -> Answer:
    """Its answer, of whatever status but 3xx, 429 and 5xx. Raises NoAnswer, whose words hold nothing of the form."""
    where = urlsplit(url).netloc
    plug, is_late = Plug(), threading.Event()

    def end() -> None:
        is_late.set()
        plug.pull()

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        status, body = _exchange(url, urlencode(form), ca_file, seconds, plug)
    except ssl.SSLCertVerificationError as error:
        raise NoAnswer(f"the certificate of {where} is not verified: {error.verify_message}") from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        late = isinstance(error, TimeoutError) or is_late.is_set()
        why = f"no whole answer within {seconds:g} s" if late else _words(error)
        raise NoAnswer(f"{where} gives no token: {why}") from None
    finally:
        timer.cancel()
        plug.release()
    return Answer(status, _fields(where, status, body))


def _exchange(url: str, form: str, ca_file: Path | None, seconds: float, plug: Plug) -> tuple[int, bytes]:
    parts = urlsplit(url)
    tls = ssl.create_default_context(cafile=ca_file) if parts.scheme == "https" else None
    connection = _Connection(parts.hostname or "", parts.port, seconds, tls, plug)
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    with contextlib.closing(connection):
        connection.request("POST", path, form, headers)
        answer = connection.getresponse()
        body = answer.read(ANSWER_MAX + 1)
        if not answer.isclosed() and len(body) <= ANSWER_MAX and answer.length:
            raise http.client.IncompleteRead(b"", answer.length)
        return answer.status, body


class _Connection(http.client.HTTPConnection):
    """A connection that the plug ends, from its first octet on."""

    def __init__(self, host: str, port: int | None, seconds: float, tls: ssl.SSLContext | None, plug: Plug) -> None:
        super().__init__(host, port or (443 if tls else 80), timeout=seconds)
        self._tls, self._plug = tls, plug

    def connect(self) -> None:
        """Connect, in verified TLS where the URL says https."""
        self.sock = socket.create_connection((self.host, self.port), self.timeout)
        self._plug.hold(self.sock)
        if self._tls is not None:
            self.sock = self._tls.wrap_socket(self.sock, server_hostname=self.host)


def _fields(where: str, status: int, body: bytes) -> Mapping[str, Any]:
    if status in REDIRECTS:
        raise NoAnswer(f"{where} sends us elsewhere ({status}), which is not followed; is the URL right?")
    if status == BUSY or status > 499:
        raise NoAnswer(f"{where} gives no token now: it answers {status}")
    if len(body) > ANSWER_MAX:
        raise NoAnswer(f"{where} says more than {ANSWER_MAX >> 10} KiB, which is no token")
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        raise NoAnswer(f"{where} answers {status} with what is no JSON object; is the URL right?")
    return fields


def _words(error: Exception) -> str:
    match error:
        case ssl.SSLError():
            return f"no TLS: {error.reason or error}"
        case socket.gaierror():
            return f"there is no such host: {error.strerror}"
        case OSError():
            return error.strerror or "the connection was cut"
        case _:
            return f"it answers what is no HTTP ({type(error).__name__})"
