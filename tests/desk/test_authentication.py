import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroom.desk.authentication import authenticated
from postroom.parsers.parsed import Address, ParsedEmail

MX = "mx.example.com"


def judged(*results: str, sender: str = "cy@customer.example") -> bool | None:
    headers = tuple(("authentication-results", r) for r in results)
    return authenticated(ParsedEmail(from_=(Address("", sender),), headers=headers), MX)


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        ("mx.example.com; dmarc=pass header.from=customer.example", True),
        ("MX.example.com 1; dmarc=pass (p=reject) header.from=customer.example", True),
        ("mx.example.com; dmarc=fail header.from=customer.example; spf=pass smtp.mailfrom=customer.example", False),
        ("mx.example.com; dmarc=pass header.from=elsewhere.example", False),
        ("mx.example.com; dkim=pass header.d=customer.example", True),
        ("mx.example.com; dkim=pass header.d=elsewhere.example", None),
        ("mx.example.com; spf=pass smtp.mailfrom=cy@customer.example", True),
        ("mx.example.com; spf=pass smtp.mailfrom=cy@elsewhere.example", None),
        ("mx.example.com; dkim=fail header.d=customer.example; spf=softfail smtp.mailfrom=customer.example", None),
        ("mx.example.com; none", None),
        ("mx.example.com; dmarc=", None),
        ("mx.example.com", None),
        ("", None),
        ("attacker.example; dmarc=pass header.from=customer.example", None),
        ("mx.example.com.attacker.example; dmarc=pass header.from=customer.example", None),
        ("attacker.example; x=mx.example.com; dmarc=pass header.from=customer.example", None),
    ],
)
def test_only_the_pinned_server_vouches_and_only_for_froms_own_domain(result, expected):
    assert judged(result) is expected


def test_only_the_topmost_of_the_pinned_server_counts():
    forged = "mx.example.com; dmarc=pass header.from=customer.example"
    assert judged("mx.example.com; dmarc=fail header.from=customer.example", forged) is False


def test_without_a_pinned_server_nobody_checked():
    headers = (("authentication-results", "mx.example.com; dmarc=pass header.from=customer.example"),)
    assert authenticated(ParsedEmail(from_=(Address("", "cy@customer.example"),), headers=headers), "") is None


PIECES = st.sampled_from([
    "mx.example.com", "MX.EXAMPLE.COM", "evil.example", ";", "; ", "=", " ", "(", ")", '"', "\\", "1", "none", "dmarc=pass", "dkim=pass", "spf=pass",
    "dmarc=fail", "header.from=", "header.d=", "header.i=@", "smtp.mailfrom=", "customer.example", "other.example", "reason=", "/", ".", "\t", "\u00e9", "\0",
    "policy.x=y", "arc=pass", "auth=pass", "dkim-adsp=", "iprev=pass", "x-y=z",
])  # fmt: skip


@given(st.lists(PIECES | st.text(max_size=4), max_size=25).map("".join), st.booleans())
def test_whatever_a_header_holds_nobody_is_proven_by_what_is_not_said(words, is_pinned):
    value = f"{MX}; {words}" if is_pinned else words
    verdict = judged(value)
    assert verdict in (True, False, None)
    if verdict:
        assert "customer.example" in value.lower()
        assert "pass" in value.lower()
        assert value.split(";")[0].split()[0].lower() == MX


@pytest.mark.parametrize(
    "words", ["(" * 4000, "dmarc=pass (" * 300, '"' * 4000, "a.b=" * 900, "; " * 2000, "\\" * 4000, "dkim=pass " * 400]
)
def test_a_header_that_is_too_much_for_its_reader_proves_nothing(words):
    assert judged(f"{MX}; {words}") is None
    assert judged(words) is None
