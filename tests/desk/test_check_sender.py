"""Our own check, whole: aligned identifiers alone count, and what nobody knows is never a pass."""

import time

import pytest
from peers.house import mail
from peers.signing import Zone, publish, sign

from postroom.desk.check_dkim import find_signatures, verify
from postroom.desk.check_sender import Claim, check_sender
from postroom.desk.lookup import Asking

CY, D, OUTSIDE = "cy@customer.example", "customer.example", "192.0.2.7"
POLICY, SPF = "TXT _dmarc.customer.example", "TXT customer.example"
REJECT = "v=DMARC1; p=reject"
OURS = "v=spf1 ip4:192.0.2.7 -all"


def check(zone, raw=None, address=CY, sender=CY, client=OUTSIDE, helo="mx.customer.example", seconds=5.0):
    raw = mail(address) if raw is None else raw
    claim = Claim(address, sender, helo, client, find_signatures(raw, time.time()))
    return check_sender(claim, Asking(zone, seconds), lambda wanted: verify(raw, wanted, address))


@pytest.fixture
def zone():
    return Zone({POLICY: [REJECT]})


def test_an_aligned_signature_vouches(zone):
    publish(zone, D)
    found = check(zone, sign(mail(), D), client="127.0.0.1")
    assert (found.verdict, found.dkim, found.aligned, found.policy) == (True, "pass", D, "reject")
    assert found.why == "DKIM of customer.example vouches for customer.example"


def test_a_signature_of_a_subdomain_vouches_unless_alignment_is_strict(zone):
    publish(zone, "mail.customer.example", None)
    raw = sign(mail(), "mail.customer.example")
    assert check(zone, raw).verdict is True
    zone.records[POLICY] = [REJECT + "; adkim=s"]
    assert check(zone, raw).verdict is False


def test_a_strangers_signature_proves_nothing_and_is_not_even_looked_up(zone):
    publish(zone, "evil.example")
    found = check(zone, sign(mail(), "evil.example"))
    assert (found.verdict, found.dkim) == (False, "no signature is aligned")
    assert not any("evil" in question for question in zone.asked)


def test_an_aligned_envelope_sender_vouches(zone):
    zone.records[SPF] = [OURS]
    found = check(zone)
    assert (found.verdict, found.spf, found.aligned) == (True, "pass", D)


def test_a_strangers_envelope_sender_proves_nothing_though_its_spf_would_pass(zone):
    zone.records["TXT evil.example"] = ["v=spf1 +all"]
    found = check(zone, sender="eve@evil.example")
    assert (found.verdict, found.spf) == (False, "evil.example is not aligned")
    assert "TXT evil.example" not in zone.asked


def test_strict_alignment_of_spf(zone):
    zone.records["TXT bounce.customer.example"] = [OURS]
    assert check(zone, sender="cy@bounce.customer.example").verdict is True
    zone.records[POLICY] = [REJECT + "; aspf=s"]
    assert check(zone, sender="cy@bounce.customer.example").verdict is False


@pytest.mark.parametrize("record", ["v=spf1 -all", "v=spf1 ~all", "v=spf1 ?all", "v=spf1 broken"])
def test_nothing_but_a_pass_is_a_pass(zone, record):
    zone.records[SPF] = [record]
    assert check(zone).verdict is False


def test_without_a_policy_nobody_fails_and_an_aligned_pass_still_counts():
    zone = Zone({SPF: ["v=spf1 -all"]})
    found = check(zone)
    assert (found.verdict, found.policy, found.must_pass) == (None, "absent", False)
    zone.records[SPF] = [OURS]
    assert check(zone).verdict is True


@pytest.mark.parametrize("silent", [POLICY, SPF, "TXT s._domainkey.customer.example"])
def test_what_the_dns_does_not_answer_is_unknown(zone, silent):
    zone.records[silent] = None
    found = check(zone, sign(mail(), D))
    assert (found.verdict, found.must_pass) == (None, True)


def test_an_unknown_policy_is_not_taken_for_none_whatever_else_passes(zone):
    publish(zone, D)
    zone.records[POLICY] = None
    zone.records[SPF] = [OURS]
    found = check(zone, sign(mail(), D))
    assert (found.verdict, found.policy, found.must_pass) == (None, "unknown", True)


def test_behind_a_relay_of_ours_the_envelope_says_nothing_for_or_against(zone):
    zone.records[SPF] = ["v=spf1 ip4:127.0.0.1 +all"]
    for client in ("127.0.0.1", "10.0.0.1", "", "unknown"):
        assert check(zone, client=client).verdict is None
    assert SPF not in zone.asked


def test_an_unknown_envelope_sender_is_nothing_to_ask_about(zone):
    assert check(zone, sender=None).verdict is None


def test_the_null_sender_is_judged_by_its_greeting(zone):
    zone.records["TXT mx.customer.example"] = [OURS]
    assert check(zone, sender="").verdict is True
    assert check(zone, sender="", helo="mx.evil.example").verdict is False


def test_the_time_of_a_message_ends(zone):
    publish(zone, D)
    found = check(zone, sign(mail(), D), seconds=0)
    assert (found.verdict, zone.asked) == (None, [])


def test_verifying_that_takes_too_long_is_unknown(zone):
    publish(zone, D)

    def too_slow(wanted):
        raise TimeoutError

    claim = Claim(CY, CY, "mx", OUTSIDE, find_signatures(sign(mail(), D), time.time()))
    assert check_sender(claim, Asking(zone, 5), too_slow).verdict is None


def test_only_a_few_signatures_are_verified(zone):
    publish(zone, D)
    raw = mail()
    for _ in range(6):
        raw = sign(raw, D)
    seen = []
    claim = Claim(CY, CY, "mx", "127.0.0.1", find_signatures(raw, time.time()))
    check_sender(claim, Asking(zone, 5), lambda wanted: seen.extend(wanted) or ["no"] * len(wanted))
    assert len(seen) == 3


def test_a_homograph_is_another_domain(zone):
    publish(zone, D)
    raw = sign(mail(), D)
    assert check(zone, raw, address="cy@customer.exаmple").verdict is not True


def test_evidence_is_plain(zone):
    publish(zone, D)
    assert check(zone, sign(mail(), D)).evidence == {
        "domain": D, "spf": "not needed", "dkim": "pass", "policy": "reject", "aligned": D,
    }  # fmt: skip
