"""May that machine send in this domain's name? SPF (RFC 7208), evaluated by pyspf, with a DNS that is handed in.

pyspf holds the limits of RFC 7208 §4.6.4: ten mechanisms that look something up, ten MX and PTR names each, two
answers without any record.
"""

from __future__ import annotations

import ipaddress
from typing import Any

import spf

from postroom.desk.lookup import Asking, DnsFailure

RECORD_MAX = 4096  # characters of one record; a longer one is not looked at, as if it were not there
NEAR = tuple(
    ipaddress.ip_network(network)
    for network in (
        "127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "100.64.0.0/10",
        "::1/128", "fc00::/7", "fe80::/10",
    )
)  # fmt: skip


def is_near(client: str) -> bool:
    """Whether an address is of our own machine or network, or none at all: SPF says nothing about such a client."""
    try:
        address = ipaddress.ip_address(client.partition("%")[0])
    except ValueError:
        return True
    mapped = getattr(address, "ipv4_mapped", None) or address
    return any(mapped.version == network.version and mapped in network for network in NEAR)


def check_spf(client: str, sender: str, helo: str, ask: Asking) -> str:
    """pass, fail, softfail, neutral, none, permerror, or temperror where the DNS gave no answer.

    `sender` is the envelope's; "" is the null sender, for which `helo` stands in (RFC 7208 §2.4).
    """
    try:
        return str(_Query(client, sender, helo, ask).check()[0])
    except DnsFailure:
        return "temperror"
    except Exception:  # a record made to break its reader: it proves nothing
        return "permerror"


class _Query(spf.query):  # type: ignore[misc]
    """pyspf's query, asking our DNS instead of one of its own."""

    def __init__(self, client: str, sender: str, helo: str, ask: Asking) -> None:
        super().__init__(i=client, s=sender, h=helo)
        self._ask = ask

    def dns(self, name: str, qtype: str, cnames: Any = None, ignore_void: bool = False) -> list[Any]:
        """As in pyspf: the values of TXT are tuples of octets, those of MX pairs with their host second."""
        bare = name.rstrip(".").lower()
        if any(not 0 < len(label) < 64 for label in bare.split(".")):
            return []
        found = self._ask(bare, qtype)
        if not found and not ignore_void:
            self.void_lookups += 1
            if self.void_lookups > spf.MAX_VOID_LOOKUPS:
                raise spf.PermError(f"more than {spf.MAX_VOID_LOOKUPS} answers without any record")
        if qtype == "TXT":
            return [(text.encode("latin-1", "replace"),) for text in found if len(text) <= RECORD_MAX]
        return [(0, host) for host in found] if qtype == "MX" else list(found)
