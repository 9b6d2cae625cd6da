"""Was the sender's domain proven? What a server that we trust says of it (RFC 8601)."""

from __future__ import annotations

import authres

from postroom.parsers.parsed import ParsedEmail

DMARC_DOMAIN = frozenset({("header", "from")})
ALIGNED = {"dkim": frozenset({("header", "d"), ("header", "i")}), "spf": frozenset({("smtp", "mailfrom")})}
RESULT_MAX = 4096  # octets of one Authentication-Results header that are read


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
    except (authres.AuthResError, ValueError, IndexError):
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
