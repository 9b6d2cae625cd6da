"""The store of objects (S3) in which mail's bytes may lie: putting, getting, deleting, each bounded in time.

An object is named `DIGEST.NONCE`: the SHA-256 of its bytes, by which they are verified whenever they are read, and chance,
so that a name is put once and never again. What was deleted, or what the sweep finds to belong to nobody, can therefore
never be what somebody is just about to commit: no order of events, between any number of daemons, loses bytes.

What the store of objects cannot do now is a TemporaryFailure. `Unreadable` is about one mail: its object is gone or is not
what it was.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from postroom.config import RawMail, read_object_key
from postroom.errors import ConfigError, PermanentFailure, TemporaryFailure

if TYPE_CHECKING:
    from postroom.config import Config

AT_ONCE = 16  # requests of this process
RETRIES = 2  # of one request: a server that restarts, a 500, a 503 that asks to slow down
BACKOFF_FIRST, BACKOFF_MAX = timedelta(milliseconds=100), timedelta(seconds=1)
CACHE_OCTETS = 32 << 20  # what was read last: a mail is parsed, then its files are taken out of it for a notice
PAGE = 1000  # names in one answer to a listing, S3's most
NONCE_OCTETS = 6
PROBE = "probe"  # what `probe()` writes and takes away
ERROR_MAX = 200  # characters
T = TypeVar("T")


class Unreadable(PermanentFailure):
    """The bytes of one mail cannot be had: their object is gone, or holds others. Trying again does not help."""


def objects_of(config: Config) -> Objects | None:
    """The store of objects that the configuration names; None where bytes lie in the database. Raises ConfigError."""
    return Objects(config.raw_mail, read_object_key(config)) if config.raw_mail.url else None


def name_for(content: bytes) -> str:
    """A new name for an object of these bytes."""
    return f"{hashlib.sha256(content).hexdigest()}.{secrets.token_hex(NONCE_OCTETS)}"


class Objects:
    """A bucket, below a prefix. Safe to share between threads."""

    def __init__(self, settings: RawMail, secret_key: str) -> None:
        """Connects nowhere yet. Raises ConfigError where obstore is not installed or does not take the settings."""
        self.url, self.least = settings.url, int(settings.min_size)
        self.seconds = settings.timeout_seconds
        self.failing_since: datetime | None = None  # of this process
        self.last_error = ""
        self._store = _open(settings, secret_key)
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="objects")
        self._cache: OrderedDict[str, bytes] = OrderedDict()
        self._lock = threading.Lock()
        self.observe: Callable[[str, str], None] = lambda verb, outcome: None  # hears of each request

    def put_all(self, contents: Mapping[str, bytes]) -> None:
        """Put these, by name; returns when the store of objects has acknowledged all. Raises TemporaryFailure."""
        import obstore  # noqa: PLC0415 - only where it is configured

        for name, outcome in self._do("put", contents, lambda name: obstore.put(
            self._store, name, contents[name], use_multipart=False  # one request: it is there whole, or not at all
        )).items():  # fmt: skip
            if isinstance(outcome, Exception):
                raise TemporaryFailure(self._words(outcome, f"cannot put {name}"))

    def get(self, name: str) -> bytes:
        """An object's bytes, as they were put. Raises TemporaryFailure or Unreadable."""
        found = self.get_all([name])[name]
        if isinstance(found, Exception):
            raise found
        return found

    def get_all(self, names: Iterable[str]) -> dict[str, bytes | TemporaryFailure | Unreadable]:
        """The bytes of each, or why there are none: one that is broken hurts no other."""
        import obstore  # noqa: PLC0415

        found: dict[str, bytes | TemporaryFailure | Unreadable] = {}
        wanted = []
        for name in dict.fromkeys(names):
            if (kept := self._cached(name)) is not None:
                found[name] = kept
            else:
                wanted.append(name)
        outcomes = self._do("get", wanted, lambda name: obstore.get(self._store, name).bytes().to_bytes())
        for name, outcome in outcomes.items():
            found[name] = verified = self._verified(name, outcome)
            if isinstance(verified, bytes):
                self._keep(name, verified)
        return found

    def delete(self, names: Sequence[str]) -> None:
        """Take these away; one that is not there is away. Raises TemporaryFailure."""
        import obstore  # noqa: PLC0415

        for name in names:
            with self._lock:
                self._cache.pop(name, None)
        for outcome in self._do("delete", names, lambda name: obstore.delete(self._store, name)).values():
            if isinstance(outcome, Exception) and not _is_missing(outcome):
                raise TemporaryFailure(self._words(outcome, "cannot delete"))

    def names(self) -> Iterator[list[tuple[str, int, datetime]]]:
        """Every object: name, octets, and when it was put by the server's clock; a page at a time. Raises TemporaryFailure."""
        import obstore  # noqa: PLC0415

        pages = iter(obstore.list(self._store, chunk_size=PAGE))
        while True:
            [page] = self._do("list", ["page"], lambda _: next(pages, None)).values()
            if isinstance(page, Exception):
                raise TemporaryFailure(self._words(page, "cannot list"))
            if page is None:
                return
            yield [(one["path"], one["size"], one["last_modified"]) for one in page]

    def probe(self) -> datetime:
        """Put an object, read it, delete it; the server's clock. Raises TemporaryFailure where it does not do all of that."""
        import obstore  # noqa: PLC0415

        name = f"{PROBE}.{secrets.token_hex(NONCE_OCTETS)}"
        words = secrets.token_bytes(32)
        self.put_all({name: words})
        [outcome] = self._do("get", [name], lambda _: obstore.get(self._store, name)).values()
        if isinstance(outcome, Exception):
            raise TemporaryFailure(self._words(outcome, "cannot read what was just put"))
        when: datetime = outcome.meta["last_modified"]
        if outcome.bytes().to_bytes() != words:
            raise TemporaryFailure(f"{self.url}: gives other bytes back than were put")
        self.delete([name])
        return when

    def _do(self, verb: str, names: Iterable[str], work: Callable[[str], T]) -> dict[str, T | Exception]:
        """Do it for each at the same time; what each came to, within `seconds` for all of them."""
        running: dict[str, Future[T]] = {name: self._threads.submit(work, name) for name in names}
        wait(running.values(), self.seconds)
        outcomes: dict[str, T | Exception] = {}
        for name, future in running.items():
            if not future.done():
                future.cancel()  # what has begun ends by its own timeout, and what it puts belongs to nobody
                outcome: T | Exception = TimeoutError(f"does not answer within {self.seconds:g} s")
            else:
                outcome = future.exception() or future.result()  # type: ignore[assignment]
            outcomes[name] = outcome
            self._note(verb, outcome)
        return outcomes

    def _note(self, verb: str, outcome: object) -> None:
        """How the store of objects fares, as this process sees it."""
        if isinstance(outcome, Exception) and not _is_missing(outcome):
            self.failing_since = self.failing_since or datetime.now(UTC)
            self.last_error = _first_line(outcome)
            self.observe(verb, "failed")
        else:
            self.failing_since = None
            self.observe(verb, "missing" if isinstance(outcome, Exception) else "done")

    def _verified(self, name: str, outcome: bytes | Exception) -> bytes | TemporaryFailure | Unreadable:
        if isinstance(outcome, bytes):
            if hashlib.sha256(outcome).hexdigest() == name.partition(".")[0]:
                return outcome
            return Unreadable(f"{self.url}: the object {name} holds other bytes than were put there")
        if _is_missing(outcome):
            return Unreadable(f"{self.url}: there is no object {name} any more")
        return TemporaryFailure(self._words(outcome, "cannot get"))

    def _words(self, error: Exception, what: str) -> str:
        return f"{self.url}: {what}: {_first_line(error)}"

    def _cached(self, name: str) -> bytes | None:
        with self._lock:
            if name in self._cache:
                self._cache.move_to_end(name)
            return self._cache.get(name)

    def _keep(self, name: str, content: bytes) -> None:
        with self._lock:
            self._cache[name] = content
            held = sum(map(len, self._cache.values()))
            while held > CACHE_OCTETS and self._cache:
                held -= len(self._cache.popitem(last=False)[1])


def _open(settings: RawMail, secret_key: str) -> Any:
    try:
        from obstore.store import S3Store  # noqa: PLC0415 - 0.1 s, only where it is configured
    except ModuleNotFoundError as error:
        raise ConfigError("raw_mail.url: obstore is not installed; run: pip install 'postroom[s3]'") from error
    bucket, prefix = settings.place
    seconds = timedelta(seconds=settings.timeout_seconds)
    given: dict[str, Any] = {"region": settings.region}
    if settings.endpoint:
        given["endpoint"] = settings.endpoint.rstrip("/")
    if settings.access_key:
        given |= {"access_key_id": settings.access_key, "secret_access_key": secret_key}
    try:
        return S3Store(
            bucket, prefix=prefix or None, **given,
            client_options={
                "timeout": seconds, "connect_timeout": seconds / 2, "allow_http": settings.endpoint.startswith("http://")
            },
            retry_config={
                "max_retries": RETRIES, "retry_timeout": seconds / 2,
                "backoff": {"init_backoff": BACKOFF_FIRST, "max_backoff": BACKOFF_MAX, "base": 2},
            },
        )  # fmt: skip
    except Exception as error:  # whatever it does not like about its settings
        raise ConfigError(f"raw_mail.url: {_first_line(error)}") from error


def _is_missing(error: Exception) -> bool:
    """Whether that one object is not there; a bucket that is not there says nothing about it."""
    return isinstance(error, FileNotFoundError) and "NoSuchBucket" not in str(error)


def _first_line(error: Exception) -> str:
    """What went wrong, without the server's page."""
    words = str(error).partition("\n")[0].partition(": <?xml")[0]
    return words[:ERROR_MAX]
