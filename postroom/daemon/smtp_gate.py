"""Who may connect: so many at once, so many of them from one client; and how much mail they may have us hold."""

from __future__ import annotations

import ipaddress
from collections import Counter

IPV6_CLIENT_BITS = 64  # one customer's network: whoever holds an IPv6 address holds 2**64 of them


class Gate:
    """Counts the open connections."""

    def __init__(self, connections: int, per_client: int) -> None:
        self._connections = connections
        self._per_client = per_client
        self._open: Counter[str] = Counter()

    def use(self, connections: int, per_client: int) -> None:
        """Let in so many from now on; who is in stays."""
        self._connections, self._per_client = connections, per_client

    def enter(self, address: str) -> str | None:
        """Let a client in, or say why not."""
        client = _client(address)
        if self._open.total() >= self._connections:
            return "too many connections"
        if self._open[client] >= self._per_client:
            return "too many connections from you"
        self._open[client] += 1
        return None

    def leave(self, address: str) -> None:
        """A client that was let in is gone."""
        client = _client(address)
        self._open[client] -= 1
        if not self._open[client]:
            del self._open[client]


class Memory:
    """The octets of mail that all sessions together hold: what is being sent to us, and what is being committed."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.held = 0


class Share:
    """One session's part of it."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._mine = 0
        self.was_refused = False

    def has_room(self, octets: int) -> bool:
        """Whether so many more could be held now."""
        return self._memory.held + octets <= self._memory.most

    def hold(self, octets: int) -> bool:
        """Hold so many more, or none of them; and give all back where that cannot be."""
        if not self.has_room(octets):
            self.free()
            self.was_refused = True
            return False
        self._memory.held += octets
        self._mine += octets
        return True

    def free(self) -> None:
        """Hold nothing any more."""
        self._memory.held -= self._mine
        self._mine = 0
        self.was_refused = False


def _client(address: str) -> str:
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped:
            return str(ip.ipv4_mapped)
        return str(ipaddress.ip_network((ip, IPV6_CLIENT_BITS), strict=False))
    return str(ip)
