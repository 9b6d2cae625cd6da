import pytest
from peers.signing import Zone

from postroom.desk.check_dmarc import Policy, domain_of, find_policy, is_aligned, organisational_domain, read_policy
from postroom.desk.lookup import Asking, DnsFailure


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ("v=DMARC1; p=reject", Policy("x.example", "reject")),
        ("v=DMARC1;p=none;rua=mailto:d@x.example;", Policy("x.example", "none")),
        ("v = DMARC1 ; p = Quarantine ; adkim = s ; aspf=S", Policy("x.example", "quarantine", True, True)),
        ("v=DMARC1; p=reject; pct=0", Policy("x.example", "reject")),
        ("v=DMARC1; p=reject; adkim=x; unknown=1", Policy("x.example", "reject")),
        ("v=DMARC1; p=reject; sp=none", Policy("x.example", "reject")),
        ("v=DMARC1", None),
        ("v=DMARC1; p=all", None),
        ("v=DMARC1; p=reject; p=none", None),
        ("v=DMARC1; reject", None),
        ("v=DMARC2; p=reject", None),
        ("p=reject; v=DMARC1", None),
        ("", None),
    ],
)
def test_a_record_is_read_and_a_broken_one_is_none(record, expected):
    assert read_policy(record, "x.example") == expected


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ({"TXT _dmarc.mail.x.example": ["v=DMARC1; p=none"], "TXT _dmarc.x.example": ["v=DMARC1; p=reject"]}, "none"),
        ({"TXT _dmarc.x.example": ["v=DMARC1; p=reject"]}, "reject"),
        ({"TXT _dmarc.x.example": ["v=DMARC1; p=reject; sp=quarantine"]}, "quarantine"),
        ({"TXT _dmarc.x.example": ["v=DMARC1; p=reject; sp=some"]}, None),
        ({"TXT _dmarc.x.example": ["v=DMARC1; p=reject", "v=DMARC1; p=none"]}, None),
        ({"TXT _dmarc.x.example": ["hello", "v=DMARC12; p=none", "v=DMARC1; p=reject"]}, "reject"),
        ({}, None),
    ],
)
def test_the_policy_is_the_domains_own_or_its_organisations_word_on_subdomains(records, expected):
    found = find_policy("mail.x.example", Asking(Zone(records), 5))
    assert (found and found.disposition) == expected


def test_no_answer_is_no_policy_and_no_absence_of_one():
    with pytest.raises(DnsFailure):
        find_policy("x.example", Asking(Zone({"TXT _dmarc.x.example": None}), 5))


@pytest.mark.parametrize(
    ("identifier", "domain", "relaxed", "strict"),
    [
        ("x.example", "x.example", True, True),
        ("mail.x.example", "x.example", True, False),
        ("x.example", "mail.x.example", True, False),
        ("a.x.co.uk", "b.x.co.uk", True, False),
        ("a.co.uk", "b.co.uk", False, False),
        ("co.uk", "x.co.uk", False, False),
        ("com", "x.com", False, False),
        ("notx.example", "x.example", False, False),
        ("x.example.evil.example", "x.example", False, False),
        ("a.github.io", "b.github.io", False, False),
        ("", "", False, False),
    ],
)
def test_alignment_ends_at_what_was_registered(identifier, domain, relaxed, strict):
    assert is_aligned(identifier, domain, strict=False) is relaxed
    assert is_aligned(identifier, domain, strict=True) is strict


def test_domains_are_compared_in_ascii():
    assert domain_of("ann@BÜCHER.example") == "xn--bcher-kva.example"
    assert domain_of("ann@mail.example.") == "mail.example"
    assert domain_of("nobody") == ""
    assert organisational_domain("localhost") == "localhost"
