"""The DNS: asked in time that is bounded, and remembered for a while."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

import dns.exception
import dns.name
import dns.resolver

from postroom.config import split_resolver
from postroom.desk.lookup import Dns, DnsFailure
from postroom.errors import ConfigError

REMEMBERED_SECONDS = 300.0  # at most, and not what the DNS did not answer
REMEMBERED_MAX = 2_000  # answers; the oldest goes
ANSWER_MAX = 32  # records of one answer; SPF allows ten of a kind


def open_resolver(server: str) -> Dns:
    """Asks `server` (an address, `192.0.2.53` or `192.0.2.53:5353`), or where that is "" the machine's own resolvers.

    Raises ConfigError where the machine has none.
    """
    try:
        resolver = dns.resolver.Resolver(configure=not server)
    except dns.resolver.NoResolverConfiguration as error:
        raise ConfigError(f"authentication.resolver: is missing, and this machine names none: {error}") from error
    if server:
        host, resolver.port = split_resolver(server)
        resolver.nameservers = [host]
    resolver.cache = None

    def look_up(name: str, kind: str, seconds: float) -> tuple[str, ...]:
        try:
            answer = resolver.resolve(f"{name.rstrip('.')}.", kind, lifetime=seconds, raise_on_no_answer=False)
        except dns.resolver.NXDOMAIN:
            return ()
        except (dns.name.LabelTooLong, dns.name.NameTooLong, dns.name.EmptyLabel):
            return ()  # there is no such name
        except (dns.exception.DNSException, OSError, UnicodeError) as error:
            raise DnsFailure(f"the DNS does not answer for {name}: {type(error).__name__}") from error
        return tuple(_value(record, kind) for record in list(answer.rrset or ())[:ANSWER_MAX])

    return look_up


def _value(record: object, kind: str) -> str:
    if kind == "TXT":
        return b"".join(getattr(record, "strings", ())).decode("latin-1")
    name = getattr(record, "exchange", None) if kind == "MX" else getattr(record, "target", None)
    return str(getattr(record, "address", "")) if name is None else name.to_text(omit_final_dot=True)


class Remembering:
    """A DNS that remembers its answers; safe to share between threads."""

    def __init__(self, dns_: Dns, clock: Callable[[], float] = time.monotonic) -> None:
        self._dns, self._clock = dns_, clock
        self._known: OrderedDict[tuple[str, str], tuple[float, tuple[str, ...]]] = OrderedDict()
        self._lock = threading.Lock()

    def __call__(self, name: str, kind: str, seconds: float) -> tuple[str, ...]:
        """As `Dns`."""
        key = (name.lower(), kind)
        with self._lock:
            until, known = self._known.get(key, (0.0, ()))
        if self._clock() < until:
            return known
        found = self._dns(name, kind, seconds)
        with self._lock:
            self._known.pop(key, None)
            self._known[key] = (self._clock() + REMEMBERED_SECONDS, found)
            while len(self._known) > REMEMBERED_MAX:
                self._known.popitem(last=False)
        return found
