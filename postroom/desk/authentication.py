"""Was the sender's domain proven? What a server that we trust says of it (RFC 8601), or our own check."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import authres

from postroom.parsers.parsed import ParsedEmail

DMARC_DOMAIN = frozenset({("header", "from")})
ALIGNED = {"dkim": frozenset({("header", "d"), ("header", "i")}), "spf": frozenset({("smtp", "mailfrom")})}
RESULT_MAX = 4096  # octets of one Authentication-Results header that are read

ABSENT, UNKNOWN = "absent", "unknown"  # of a policy: there is none; nobody knows


@dataclass(frozen=True, slots=True)
class Authentication:
    """What our own check found about the domain of From (RFC 7489)."""

    domain: str
    verdict: bool | None  # an aligned pass; a policy, and nothing that is aligned passed; None: nobody knows
    why: str
    policy: str = UNKNOWN  # none, quarantine, reject; ABSENT, UNKNOWN
    spf: str = "not checked"
    dkim: str = "not checked"
    aligned: str | None = None  # the domain that passed

    @property
    def must_pass(self) -> bool:
        """Whether one who claims more than a customer's rights has to be proven: unless we know of no policy."""
        return self.policy != ABSENT

    @property
    def evidence(self) -> dict[str, Any]:
        """As it is kept with the decision."""
        return {
            "domain": self.domain, "spf": self.spf, "dkim": self.dkim, "policy": self.policy, "aligned": self.aligned,
        }  # fmt: skip


def authenticated(email: ParsedEmail, authserv_id: str) -> bool | None:
    """Whether the trusted server vouches for the domain of From: True, False, or None where nobody checked.

    Only the topmost header of the pinned `authserv-id` counts: whatever stands below it may have come
    with the mail. DMARC decides; without its result an aligned pass of DKIM or SPF does.
    """
    if not authserv_id or len(email.from_) != 1:
        return None
    domain = email.from_[0].address.rpartition("@")[2]
    for value in email.all_headers("authentication-results"):
        server = value.partition(";")[0].split()
        if not server or server[0].lower() != authserv_id.lower():
            continue
        return _judge(value[:RESULT_MAX], domain)
    return None


def _judge(value: str, domain: str) -> bool | None:
    try:
        results = authres.AuthenticationResultsHeader.parse_value(value).results
    except (authres.AuthResError, ValueError, IndexError, RecursionError):
        return None
    for result in results:
        if result.method == "dmarc" and result.result in ("pass", "fail"):
            return result.result == "pass" and _names(result, domain, DMARC_DOMAIN)
    proven = any(r.result == "pass" and _names(r, domain, ALIGNED.get(r.method, frozenset())) for r in results)
    return True if proven else None


def _names(result: object, domain: str, properties: frozenset[tuple[str, str]]) -> bool:
    """Whether one of these properties is From's very domain (strict alignment, RFC 7489 §3.1)."""
    return any(
        (p.type, p.name) in properties and str(p.value).rpartition("@")[2].lower() == domain.lower()
        for p in getattr(result, "properties", ())
    )
