"""What the daemon says of itself: one event a line, in the vocabulary of mail, as text or as JSON.

What strangers wrote (addresses, names, errors that quote them) can end up in an event, so whatever the event: it stays
one line, control characters are escaped, octets are counted rather than shown, and no secret appears.
"""

from __future__ import annotations

import base64
import json
import logging
import re
import sys
import threading
import traceback
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, TextIO

from postroom import config
from postroom.errors import described
from postroom.logger import structlog

if TYPE_CHECKING:
    from structlog.typing import EventDict, FilteringBoundLogger, WrappedLogger

MAX_VALUE = 300  # characters of one value; a mail's text has no place in a log
MAX_FRAMES = 12  # the innermost of a traceback
HIDDEN = "[hidden]"
SECRET_KEYS = re.compile(r"password|passwd|secret|token|authorization|credential|body|content", re.IGNORECASE)
SHORTEST_BASE64 = 8  # characters
SHORTEST_SECRET = 4  # characters; hiding anything shorter would only garble the log
LATER_MAX = 64  # secrets that are learned as we go and hidden: tokens, of which the newest matter

# A value that needs no quotes; the rest is written as a JSON string, whose escapes leave nothing of a control character.
PLAIN = re.compile(r"[A-Za-z0-9_.:@/+*<>,\[\]-]+")


def configure(settings: config.Log, secrets: Collection[str] = (), stream: TextIO | None = None) -> None:
    """Log to `stream` (standard error) from now on; the libraries' warnings too, in the same form."""
    level = getattr(logging, settings.level.upper())
    render = _as_json if settings.format == "json" else _as_text
    structlog.configure(
        processors=[_Describe(secrets), render],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=_Lines(stream or sys.stderr),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    root.handlers[:] = [_FromLibraries()]
    root.setLevel(logging.WARNING)
    logging.captureWarnings(True)
    silent = logging.getLogger("mail.log")  # aiosmtpd's: it would write whole messages
    silent.propagate, silent.disabled = False, True


_learning = threading.Lock()
_later: dict[str, None] = {}  # in the order in which they were last named


def hide(*secrets: str) -> None:
    """Hide these, too, from now on: tokens come and go while the daemon runs. Safe from any thread."""
    for secret in secrets:
        if len(secret) >= SHORTEST_SECRET:
            with _learning:
                _later.pop(secret, None)
                _later[secret] = None
                while len(_later) > LATER_MAX:
                    del _later[next(iter(_later))]


def masked(address: str) -> str:
    """An address without what stands behind its `+`: that may be a signed token."""
    local, at, domain = address.rpartition("@")
    base, plus, _ = local.partition("+")
    return f"{base}{plus}{'*' if plus else ''}{at}{domain}"


def catch_the_rest() -> None:
    """From now on, what ends a thread or the program unforeseen is an event, too, and no traceback that quotes values."""
    log: FilteringBoundLogger = structlog.get_logger()

    def in_thread(died: threading.ExceptHookArgs) -> None:
        name = died.thread.name if died.thread else "?"
        log.error("died", part=name, exc_info=died.exc_value)

    def at_last(_kind: type[BaseException], error: BaseException, _trace: TracebackType | None) -> None:
        log.error("died", part="postroom", exc_info=error)

    def unraisable(args: Any) -> None:
        log.error("failed", job="clearing up", exc_info=args.exc_value)

    threading.excepthook, sys.excepthook, sys.unraisablehook = in_thread, at_last, unraisable


class _Describe:
    """Make an event's values fit to be seen: plain, short, without secrets; an exception in one line."""

    def __init__(self, secrets: Collection[str]) -> None:
        plain = [secret for secret in secrets if len(secret) >= SHORTEST_SECRET]
        self._secrets = [*plain, *(form for secret in plain for form in _in_base64(secret))]

    def __call__(self, logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
        shown: EventDict = {
            "at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z",
            "level": method if method != "exception" else "error",
            "event": self._value(event.pop("event", "")),
        }
        if name := getattr(logger, "name", ""):
            shown["logger"] = name
        error = _exception(event.pop("exc_info", None))
        for key, value in event.items():
            shown[str(key)] = HIDDEN if SECRET_KEYS.search(str(key)) and value else self._value(value)
        if error is not None:
            shown["error"] = self._value(described(error))
            shown["trace"] = _trace(error.__traceback__)
        return shown

    def _value(self, value: Any) -> Any:
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, bytes | bytearray | memoryview):
            return f"<{len(value)} octets>"
        if isinstance(value, list | tuple | set | frozenset):
            return [self._value(item) for item in list(value)[:MAX_FRAMES]]
        if isinstance(value, dict):
            return {
                str(key): HIDDEN if SECRET_KEYS.search(str(key)) and item else self._value(item)
                for key, item in value.items()
            }
        text = described(value) if isinstance(value, BaseException) else str(value)
        for secret in (*self._secrets, *tuple(_later)):
            text = text.replace(secret, HIDDEN)
        return text if len(text) <= MAX_VALUE else text[:MAX_VALUE] + "…"


def _in_base64(secret: str) -> list[str]:
    """What of a secret shows in base64, wherever it stands in what was encoded: servers repeat an AUTH that they refuse."""
    octets, forms = secret.encode(), []
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + octets).decode()
        forms.append(encoded[-(-before * 8 // 6) : (before + len(octets)) * 8 // 6])
    return [form for form in forms if len(form) >= SHORTEST_BASE64]


def _exception(exc_info: Any) -> BaseException | None:
    if isinstance(exc_info, BaseException):
        return exc_info
    if isinstance(exc_info, tuple):
        return exc_info[1] if isinstance(exc_info[1], BaseException) else None
    return sys.exc_info()[1] if exc_info else None


def _trace(trace: TracebackType | None) -> str:
    """Where it happened, outermost first, in one line: `intake.py:90 _run > engine.py:53 write`."""
    frames = traceback.extract_tb(trace)[-MAX_FRAMES:]
    return " > ".join(f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}" for frame in frames)


def _as_json(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    return json.dumps(event, default=str)


def _as_text(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    at, level, words = event.pop("at"), event.pop("level"), event.pop("event")
    if not re.fullmatch(r"[ -~]*", str(words)):
        words = json.dumps(words)
    pairs = "".join(f" {key}={_quoted(value)}" for key, value in event.items() if value is not None)
    return f"{at} {level:<7} {words}{pairs}"


def _quoted(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value if PLAIN.fullmatch(value) else json.dumps(value)
    return json.dumps(value, default=str)


_gathering = threading.local()


@contextmanager
def together() -> Iterator[None]:
    """Lines that this thread says meanwhile are written at once, at the end: for what a batch says of each of its mails."""
    outer, lines = getattr(_gathering, "lines", None), dict[TextIO, list[str]]()
    _gathering.lines = lines if outer is None else outer
    try:
        yield
    finally:
        _gathering.lines = outer
        if outer is None:
            for stream, said in lines.items():
                _write(stream, "".join(said))


def _write(stream: TextIO, lines: str) -> None:
    with suppress(OSError, ValueError):
        stream.write(lines)  # one write: threads' lines do not mix
        stream.flush()


class _Lines:
    """Makes loggers that write lines, and that no full disk or closed terminal can hurt."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __call__(self, *names: Any) -> _Line:
        return _Line(self._stream, str(names[0]) if names else "")


class _Line:
    def __init__(self, stream: TextIO, name: str) -> None:
        self._stream = stream
        self.name = name

    def msg(self, line: str) -> None:
        lines: dict[TextIO, list[str]] | None = getattr(_gathering, "lines", None)
        if lines is None:
            _write(self._stream, line + "\n")
        else:
            lines.setdefault(self._stream, []).append(line + "\n")

    debug = info = warning = warn = error = critical = exception = fatal = log = msg


class _FromLibraries(logging.Handler):
    """Says what a library logs as an event of ours."""

    def emit(self, record: logging.LogRecord) -> None:
        logger: FilteringBoundLogger = structlog.get_logger(record.name)
        logger.log(record.levelno, record.getMessage().partition("\n")[0], exc_info=record.exc_info or None)
