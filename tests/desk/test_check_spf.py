import pytest
from peers.signing import Zone

from postroom.desk.check_spf import check_spf, is_near
from postroom.desk.lookup import QUESTIONS_MAX, Asking

CLIENT, SENDER = "192.0.2.7", "cy@x.example"


def result(records, client=CLIENT, sender=SENDER, helo="mx.x.example"):
    return check_spf(client, sender, helo, Asking(Zone(records), 5))


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ("v=spf1 ip4:192.0.2.0/24 -all", "pass"),
        ("v=spf1 ip4:198.51.100.0/24 -all", "fail"),
        ("v=spf1 ~all", "softfail"),
        ("v=spf1 ?all", "neutral"),
        ("v=spf1 a -all", "pass"),
        ("v=spf1 mx -all", "pass"),
        ("v=spf1 include:other.example -all", "pass"),
        ("v=spf1 redirect=other.example", "pass"),
        ("v=spf1 exists:%{ir}.list.example -all", "pass"),
        ("v=spf1 ptr -all", "pass"),
        ("v=spf1 include:nowhere.example -all", "permerror"),
        ("v=spf1 nonsense -all", "permerror"),
        ("v=spf1 include:silent.example -all", "temperror"),
        ("v=spf1 a:%{l9999999999999999} -all", "fail"),
        ("v=spf1 a:caf\xe9.example -all", "permerror"),
        ("v=spf1 include:x.example -all", "permerror"),
        ("hello", "none"),
    ],
)
def test_the_sender_is_judged_as_the_record_says(record, expected):
    zone = {
        "TXT x.example": [record], "A x.example": [CLIENT], "MX x.example": ["mx.x.example"], "A mx.x.example": [CLIENT],
        "TXT other.example": ["v=spf1 ip4:192.0.2.7 -all"], "TXT silent.example": None,
        "A 7.2.0.192.list.example": ["127.0.0.2"], "PTR 7.2.0.192.in-addr.arpa": ["mx.x.example"],
    }  # fmt: skip
    assert result(zone) == expected


def test_two_records_are_an_error():
    assert result({"TXT x.example": ["v=spf1 +all", "v=spf1 -all"]}) == "permerror"


def test_an_eleventh_look_up_is_an_error_though_it_would_pass():
    chain = {f"TXT n{i}.example": [f"v=spf1 include:n{i + 1}.example -all"] for i in range(1, 20)}
    ends = {f"TXT n{i}.example": ["v=spf1 +all"] for i in (11, 12)}
    ten, eleven = (
        {**chain, "TXT n11.example": ends["TXT n11.example"]},
        {**chain, "TXT n12.example": ends["TXT n12.example"]},
    )
    assert result(ten, sender="cy@n1.example") == "pass"
    assert result(eleven, sender="cy@n1.example") == "permerror"


def test_a_third_empty_answer_is_an_error():
    two = "v=spf1 a:a.example a:b.example +all"
    assert result({"TXT x.example": [two]}) == "pass"
    assert result({"TXT x.example": [two.replace("+all", "a:c.example +all")]}) == "permerror"


def test_a_record_cannot_make_us_ask_for_ever():
    hosts = [f"mx{n}.example" for n in range(10)]
    zone = Zone({
        "TXT x.example": ["v=spf1 " + " ".join(f"mx:d{n}.example" for n in range(10)) + " -all"],
        **{f"MX d{n}.example": [f"d{n}-{host}" for host in hosts] for n in range(10)},
        **{f"A d{n}-{host}": ["198.51.100.1"] for n in range(10) for host in hosts},
    })  # fmt: skip
    assert check_spf(CLIENT, SENDER, "mx", Asking(zone, 5)) == "temperror"
    assert len(zone.asked) == QUESTIONS_MAX


def test_a_giant_record_is_not_read():
    assert result({"TXT x.example": ["v=spf1 " + "a " * 5000 + "+all"]}) == "none"


def test_the_null_sender_is_judged_by_its_greeting():
    assert result({"TXT mx.x.example": ["v=spf1 ip4:192.0.2.7 -all"]}, sender="") == "pass"


def test_ipv6_clients_are_judged_too():
    assert result({"TXT x.example": ["v=spf1 ip6:2001:db8::/32 -all"]}, client="2001:db8::1") == "pass"
    assert result({"TXT x.example": ["v=spf1 ip4:192.0.2.7 -all"]}, client="::ffff:192.0.2.7") == "pass"


@pytest.mark.parametrize("client", ["127.0.0.1", "::1", "10.1.2.3", "::ffff:127.0.0.1", "fe80::1%eth0", "unknown", ""])
def test_a_client_nearby_is_nobody_to_judge(client):
    assert is_near(client)
    assert not is_near("192.0.2.7")
    assert not is_near("2001:db8::1")
