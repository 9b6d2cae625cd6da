"""Who is named in an address header."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroom.parsers.addresses import addr_spec, ascii_address, ascii_domain, read_address_text, read_addresses
from postroom.parsers.parsed import Address


def read(text: str) -> list[tuple[str, str]]:
    return [(address.name, address.address) for address in read_address_text(text)]


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("Ann <ann@Example.ORG>", [("Ann", "ann@example.org")]),
        ("ann@example.org (Ann (the) Agent)", [("Ann (the) Agent", "ann@example.org")]),
        ('"Smith, Ann" <ann@example.org>', [("Smith, Ann", "ann@example.org")]),
        ("Smith, Ann <ann@example.org>", [("Smith, Ann", "ann@example.org")]),
        ('"Ann \\"Q\\" Smith" <ann@example.org>', [('Ann "Q" Smith', "ann@example.org")]),
        ("Dr. Ann O. <ann@example.org>", [("Dr. Ann O.", "ann@example.org")]),
        ("Ann<ann@example.org>", [("Ann", "ann@example.org")]),
        ("<ann@example.org> Ann", [("Ann", "ann@example.org")]),
        ("Ann ann@example.org", [("Ann", "ann@example.org")]),
        ("ann @ example . org", [("", "ann@example.org")]),
        ("a@example.org; b@example.org", [("", "a@example.org"), ("", "b@example.org")]),
        ("Friends: a@example.org, B <b@example.org>;, c@example.org", [("", "a@example.org"), ("B", "b@example.org"), ("", "c@example.org")]),
        ("undisclosed-recipients:;", []),
        ("undisclosed-recipients:", []),
        ("", []),
        ("<>", []),
        (" , ,, ", []),
        ("Ann: the printer <ann@example.org>", [("Ann: the printer", "ann@example.org")]),
        ("<@relay.example,@other.example:ann@example.org>", [("", "ann@example.org")]),
        ("Ann <mailto:ann@example.org>", [("Ann", "ann@example.org")]),
        ("Ann <<ann@example.org>>", [("Ann", "ann@example.org")]),
        ("Ann <ann@example.org", [("Ann", "ann@example.org")]),
        ('"Ann <ann@example.org>', [("Ann", "ann@example.org")]),
        ("Ann (the agent <ann@example.org>", [("Ann (the agent", "ann@example.org")]),
        ('"ann smith"@example.org', [("", '"ann smith"@example.org')]),
        ('"ann"@example.org', [("", "ann@example.org")]),
        ("a..b@example.org", [("", "a..b@example.org")]),
        ("ann@[192.0.2.1]", [("", "ann@[192.0.2.1]")]),
        ("ann@müller.example", [("", "ann@müller.example")]),
        ("=?utf-8?q?J=C3=BCrgen?= <j@example.org>", [("Jürgen", "j@example.org")]),
        ("=?utf-8?B?w4Q=?= =?utf-8?B?w5Y=?= <x@example.org>", [("ÄÖ", "x@example.org")]),
    ],
)  # fmt: skip
def test_mailboxes_are_read_as_people_write_them(written: str, expected: list[tuple[str, str]]) -> None:
    assert read(written) == expected


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("=?utf-8?q?victim=40example.org?=", [("victim@example.org", "")]),
        ("=?utf-8?q?=3Cvictim=40example.org=3E=2C?= <a@example.net>", [("<victim@example.org>,", "a@example.net")]),
        ('"victim@example.org" <a@example.net>', [("victim@example.org", "a@example.net")]),
        ("victim@example.org <a@example.net>", [("victim@example.org", "a@example.net")]),
        ("=?utf-8?q?a?=@example.org", [("a@example.org", "")]),
        ("<=?utf-8?q?a=40example.org?=>", [("a@example.org", "")]),
        ("Ann <a@example.org> <b@example.org>", [("Ann", "a@example.org"), ("", "b@example.org")]),
        ("a@example.org b@example.org", [("", "a@example.org"), ("", "b@example.org")]),
        ("a@example.org, Boss", [("", "a@example.org"), ("Boss", "")]),
        ("<a@b@example.org>", [("a@b@example.org", "")]),
        ("Ann <a b@example.org>", [("Ann", "")]),
        ("MAILER-DAEMON", [("MAILER-DAEMON", "")]),
        ("a@example.org\u202e", [("a@example.org\u202e", "")]),
        ("a＠example.org", [("a＠example.org", "")]),
        ("a@exampl\uff45.org", [("a@exampl\uff45.org", "")]),
        ("a@-example.org", [("a@-example.org", "")]),
        ("a@example..org", [("a@example..org", "")]),
    ],
)  # fmt: skip
def test_nothing_becomes_an_address_that_is_none_and_no_second_one_is_hidden(
    written: str, expected: list[tuple[str, str]]
) -> None:
    assert read(written) == expected


def test_a_comma_in_a_folded_encoded_name_makes_no_second_mailbox() -> None:
    """CVE-2025-1795."""
    written = b"=?utf-8?q?Smith=2C?=\r\n =?utf-8?q?_Ann?= <ann@example.org>"
    assert read_addresses(written) == [Address("Smith, Ann", "ann@example.org")]


def test_raw_names_are_read_by_the_charset_of_the_mail() -> None:
    assert read_addresses("Žluť <z@example.org>".encode("cp1250"), hint="windows-1250") == [
        Address("Žluť", "z@example.org")
    ]


def test_an_overlong_header_ends_between_two_addresses() -> None:
    found = read_addresses(b", ".join(b"someone.%d@example.org" % number for number in range(5000)))
    assert 400 < len(found) < 1000
    assert all(address.address == f"someone.{number}@example.org" for number, address in enumerate(found))


def test_international_domains_have_an_ascii_form() -> None:
    assert ascii_domain("Bücher.example") == "xn--bcher-kva.example"
    assert ascii_address("ann@bücher.example") == "ann@xn--bcher-kva.example"
    assert ascii_address("ann@example.org") == "ann@example.org"
    assert ascii_domain("a" * 64 + "ü.example") is None


@given(st.text(max_size=60))
def test_what_is_an_address_is_one_again(text: str) -> None:
    for candidate in (text, f"{text}@example.org", f"ann@{text}"):
        found = addr_spec(candidate)
        if found is not None:
            assert addr_spec(found) == found
            assert not set(found.rpartition("@")[2]) & set(' <>,;:"\\()\0\r\n')


@given(st.text(st.sampled_from(' \t,;:<>()"\\@.[]=?ab') | st.characters(), max_size=80))
def test_any_header_gives_addresses_or_names_and_only_those(text: str) -> None:
    for address in read_address_text(text):
        assert address.address == "" or addr_spec(address.address) == address.address
        assert address.name or address.address
        assert not set(address.name) & set("\0\r\n")


@given(
    st.lists(
        st.tuples(
            st.text(st.characters(codec="utf-8", categories=["L", "N"]), min_size=1, max_size=12),
            st.from_regex(r"[a-z0-9._+-]{1,10}", fullmatch=True),
        ),
        max_size=6,
    )
)
def test_a_well_formed_list_comes_back_as_it_was(people: list[tuple[str, str]]) -> None:
    people = [(name, local.strip(".") or "a") for name, local in people]
    written = ", ".join(f'"{name}" <{local}@example.org>' for name, local in people)
    assert read(written) == [(name, f"{local}@example.org") for name, local in people]


@pytest.mark.parametrize(
    "piece",
    [",", '"', '"\\', "<", ">", "(", ")", "()", ":", ";", "@", "a@", "[", "a ", "<a@b.c>", "=?utf-8?q?a?= ", ",\r\n "],
)
def test_a_flood_of_anything_ends(piece: str) -> None:
    """The standard library's own reader ran for twenty seconds on 200 KB of commas."""
    assert len(read_addresses((piece * (200_000 // len(piece))).encode())) <= 1000
