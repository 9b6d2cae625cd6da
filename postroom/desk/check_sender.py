"""Our own check of a mail's sender, whole: the policy of From's domain, then whoever could vouch for it.

Only identifiers that are aligned with From are looked up. The others would prove nothing, and a stranger would choose
what we ask the DNS. What the DNS does not answer is unknown, never a pass.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from postroom.desk.authentication import ABSENT, UNKNOWN, Authentication
from postroom.desk.check_dkim import Signature
from postroom.desk.check_dmarc import Policy, domain_of, find_policy, is_aligned
from postroom.desk.check_spf import check_spf, is_near
from postroom.desk.lookup import Asking, DnsFailure

SIGNATURES_MAX = 3  # aligned ones of a mail that are verified

Verify = Callable[[Sequence[tuple[Signature, str]]], Sequence[str]]
"""The outcome for each signature and its key record: "pass" or why not; raises TimeoutError where it takes too long."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A mail, as far as its sender's proof goes."""

    address: str  # the one of From
    sender: str | None  # the envelope's; "" is the null sender, None is unknown
    helo: str
    client: str  # the address that handed it to us; "" where it may not count, as a relay of ours did
    signatures: tuple[Signature, ...]


@dataclass(frozen=True, slots=True)
class _Found:
    result: str
    domain: str | None = None  # that passed and is aligned
    is_known: bool = True  # False: the DNS, or the time, did not allow an answer


def check_sender(claim: Claim, ask: Asking, verify: Verify) -> Authentication:
    """What vouches for the domain of From."""
    domain = domain_of(claim.address)
    if not domain:
        return Authentication(domain, None, "From has no domain that could be asked")
    try:
        policy = find_policy(domain, ask)
    except DnsFailure as error:
        return Authentication(domain, None, f"whether {domain} has a policy is not known: {error}")
    dkim = _dkim(claim, domain, policy, ask, verify)
    spf = _Found("not needed") if dkim.domain else _spf(claim, domain, policy, ask)
    verdict, why = _judge(domain, policy, dkim, spf)
    disposition = policy.disposition if policy else ABSENT
    return Authentication(domain, verdict, why, disposition, spf.result, dkim.result, dkim.domain or spf.domain)


def unknown(claim: Claim, why: str) -> Authentication:
    """What is known where the check came to no end: nothing."""
    return Authentication(domain_of(claim.address), None, why, UNKNOWN)


def _dkim(claim: Claim, domain: str, policy: Policy | None, ask: Asking, verify: Verify) -> _Found:
    strict = policy is not None and policy.strict_dkim
    aligned = [one for one in claim.signatures if is_aligned(one.domain, domain, strict)][:SIGNATURES_MAX]
    if not aligned:
        return _Found("no signature is aligned" if claim.signatures else "no signature")
    keyed: list[tuple[Signature, str]] = []
    failures: list[str] = []
    for signature in aligned:
        try:
            records = ask(signature.key_name, "TXT")
        except DnsFailure as error:
            failures.append(f"{signature.key_name}: {error}")
        else:
            keyed.append((signature, records[0] if len(records) == 1 else ""))
    try:
        outcomes = verify(keyed) if keyed else ()
    except TimeoutError:
        return _Found("unknown: verifying took too long", is_known=False)
    for (signature, _), outcome in zip(keyed, outcomes, strict=True):
        if outcome == "pass":
            return _Found("pass", signature.domain)
    if failures:
        return _Found(f"unknown: {failures[0]}", is_known=False)
    return _Found(f"fail: {outcomes[0]}")


def _spf(claim: Claim, domain: str, policy: Policy | None, ask: Asking) -> _Found:
    if claim.sender is None or is_near(claim.client):
        return _Found("not checked: it came through a relay of ours", is_known=False)
    identity = domain_of(claim.sender) if claim.sender else claim.helo.lower().rstrip(".")
    if not is_aligned(identity, domain, policy is not None and policy.strict_spf):
        return _Found(f"{identity or 'the envelope sender'} is not aligned")
    result = check_spf(claim.client, claim.sender, claim.helo, ask)
    return _Found(result, identity if result == "pass" else None, is_known=result != "temperror")


def _judge(domain: str, policy: Policy | None, dkim: _Found, spf: _Found) -> tuple[bool | None, str]:
    if dkim.domain or spf.domain:
        how = f"DKIM of {dkim.domain}" if dkim.domain else f"SPF of {spf.domain}"
        return True, f"{how} vouches for {domain}"
    if policy is None:
        return None, f"nothing vouches for {domain}, which publishes no policy"
    if not (dkim.is_known and spf.is_known):
        return None, f"nothing vouches for {domain} so far as could be checked"
    return False, f"nothing vouches for {domain}, whose policy is {policy.disposition}"
