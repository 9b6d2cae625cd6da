"""Hostile values in every field: the bytes keep to the rules, and three parsers that know nothing of us read them back.

The standard library's old and new parsers, our own, and notmuch's (GMime). The values are those of attacks on composers:
CVE-2024-6923 (a value ends its line), CVE-2025-1795 (a comma of a folded name divides an address), encoded words in plain
text, quotes that end too early, characters that no line may hold.
"""

import email
import email.policy
import re
import unicodedata
from datetime import UTC, datetime
from email.header import decode_header, make_header
from email.utils import getaddresses, unquote

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from peers.mailclients import notmuch_headers

from postroom.outbound.addresses import as_written, is_message_id, is_sendable
from postroom.outbound.compose import File, Mail, compose, content_of
from postroom.outbound.headers import MAX_FIELD, MAX_FILENAME, MAX_VALUE, bounded_references, message_ids, one_line
from postroom.parsers.email import parse
from postroom.parsers.parsed import Address

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
US = Address("Support", "support@example.com")
HOSTILE = (
    "a\r\nBcc: thief@example.org", "a\nb", "a\rb", "\r\n\r\nbody", "a\0b", "a\u2028b\u2029c", "a\x85b\x0bc\x0cd", "\ud800 lone", "\udcff",
    "=?utf-8?q?encoded?=", "=?utf-8?b?8J+YgA==?= tail", "=?x?= =?", "?= =?utf-8?q?", "=?utf-8?q?a=0D=0ABcc:_b?=", "x" * 10_000, "é" * 10_000, "😀" * 3_000,
    "w " * 5_000, "a" + "日本語" * 30, "日本語a" * 20, "é" * 60, "aé日😀" * 30, "\u202etxt.exe\u202c", "שלום עולם", "مرحبا, بالعالم", "👩‍👩‍👧‍👦 family 🇩🇪", "e\u0301 combining", "Doe, John", "Doe, Jöhn",
    'John "Johnny" Doe', 'a\\"b\\', "back\\slash", "(comment)", "a (b) c", "<a@b>", "a@b", "a; b: c,", '"', '""', "\\", ",", ";", ".", "'", "`",
    "two  blanks   three", " leading", "trailing ", "\ttab\t", "Ä" + " " * 30 + "Ö", "A, " * 60, "ü, " * 60, "a" * 75, "a" * 76, "ü" * 24, "ü" * 25, "日本語" * 30,
    "\u00a0nbsp\u00a0", "\u3000wide\u3000", "\ufeffbom", "undisclosed-recipients:;", "Group: a@b, c@d;", "=", "=20", "_", "a_b=c?", "--=_", "From x",
)  # fmt: skip
FRAGMENTS = st.sampled_from([one[:300] for one in HOSTILE]) | st.text(max_size=30)
VALUES = st.lists(FRAGMENTS, max_size=6).map("".join) | st.sampled_from(HOSTILE)
ADDRESSES = st.sampled_from(
    ("ann@example.org", "a.b+c@sub.example.org", "a..b.@docomo.example", "jörg@exämple.org", "ann@exämple.org", "用户@例子.example", "x" * 64 + "@example.org",
     "!#$%&'*+/?^_=`{|}~-@example.org", "a@xn--exmple-cua.org")
)  # fmt: skip


def written(subject="Hello", name="Ann", address="ann@example.org", files=(), text="Hello", **changes) -> bytes:
    values = {
        "sender": Address(name, US.address), "to": (Address(name, address), Address(name, "bob@example.net")), "subject": subject,
        "reply_to": Address(name, "support+x@example.com"), "message_id": "token@example.com", "date": NOON,
        "content": content_of(text, f"<p>{text[:50]}</p>", files),
    }  # fmt: skip
    return compose(Mail(**{**values, **changes}))


def check_wire(raw: bytes, *, is_ascii: bool) -> None:
    assert not re.search(rb"(?<!\r)\n|\r(?!\n)|\0", raw)
    assert raw.endswith(b"\r\n")
    assert max(map(len, raw.split(b"\r\n"))) <= 998
    head, _, body = raw.partition(b"\r\n\r\n")
    assert body.isascii()
    assert head.isascii() or not is_ascii
    # no line of blanks alone: some programs take it for the end of the header
    assert all(line.strip(b" \t") for line in head.split(b"\r\n"))


def wanted(value: str) -> str:
    return one_line(one_line(value)[:MAX_VALUE])


def same(text: str) -> str:
    """What is left to compare: blanks between words, and a byte order mark, are not kept by every parser."""
    return " ".join(text.replace("\ufeff", " ").split())


def bare(text: str) -> str:
    """Without any blank: the new parser keeps those that fold a name between two encoded words."""
    return same(text).replace(" ", "")


def old_text(value: str) -> str:
    return str(make_header(decode_header(re.sub(r"\r\n(?=[ \t])", "", value))))


def needs_utf8(address: str) -> bool:
    return not as_written(address).isascii()


@settings(max_examples=50)
@given(VALUES)
@example("Ä" + " " * 30 + "Ö")
def test_a_subject_is_read_back_by_three_parsers(value):
    raw = written(subject=value)
    check_wire(raw, is_ascii=True)
    expected = wanted(value)
    assert old_text(email.message_from_bytes(raw)["Subject"] or "") == expected
    new = email.message_from_bytes(raw, policy=email.policy.default)
    assert new["Subject"] == expected
    assert same(parse(raw).subject) == same(expected)


@settings(max_examples=50)
@given(VALUES, ADDRESSES)
@example("Doe, Jöhn", "ann@example.org")
@example("A, " * 60, "ann@example.org")
def test_a_name_and_its_address_are_read_back_by_three_parsers(name, address):
    raw = written(name=name, address=address)
    check_wire(raw, is_ascii=not needs_utf8(address))
    expected = wanted(name)
    plain = as_written(address).replace('"', "")
    old = email.message_from_bytes(raw)
    new = email.message_from_bytes(raw, policy=email.policy.default)
    ours = parse(raw)
    for field, listed, spec in (("From", ours.from_, US.address), ("Reply-To", ours.reply_to, "support+x@example.com")):
        assert [a.addr_spec.replace('"', "") for a in new[field].addresses] == [spec]
        assert bare(new[field].addresses[0].display_name) == bare(expected)
        assert [(same(a.name), a.address) for a in listed] == [(same(expected), spec)]
    read = [a.addr_spec.encode("utf-8", "surrogateescape").decode() for a in new["To"].addresses]
    assert [spec.replace('"', "") for spec in read] == [plain, "bob@example.net"]
    assert [a.address.replace('"', "") for a in ours.to] == [plain, "bob@example.net"]
    assert {bare(a.display_name) for a in new["To"].addresses} == {bare(expected)}
    assert {same(a.name) for a in ours.to} == {same(expected)}
    if not needs_utf8(address):
        read = getaddresses([re.sub(r"\r\n(?=[ \t])", "", str(old["To"]))])
        assert [spec.replace('"', "") for _, spec in read] == [plain, "bob@example.net"]
        assert {same(old_text(found)) for found, _ in read} == {same(expected)}


@settings(max_examples=50)
@given(VALUES, st.binary(max_size=200))
def test_a_file_is_read_back_by_three_parsers(name, content):
    raw = written(files=[File(name, "application/pdf", content)])
    check_wire(raw, is_ascii=True)
    expected = unquote(one_line(one_line(name)[:MAX_FILENAME]) or "file")  # as the standard library does, twice
    part = next(iter(email.message_from_bytes(raw, policy=email.policy.default).iter_attachments()))
    assert unquote(part.get_filename()) == expected
    assert part.get_payload(decode=True) == content
    old = email.message_from_bytes(raw).get_payload()[1]
    assert unquote(old.get_filename()) == expected
    [ours] = parse(raw).attachments if content else [None]
    if ours is not None:
        assert ours.size == len(content)


@settings(max_examples=50)
@given(VALUES)
def test_what_is_said_is_read_back_by_three_parsers(text):
    raw = written(text=text)
    check_wire(raw, is_ascii=True)
    expected = re.sub(r"\r\n|[\r\x0b\x0c\x85\u2028\u2029]", "\n", text.rstrip())
    expected = re.sub(r"[\x00-\x08\x0e-\x1f\x7f\ud800-\udfff]", "", expected)
    new = email.message_from_bytes(raw, policy=email.policy.default).get_body(("plain",))
    assert new.get_content().replace("\r\n", "\n") == expected + "\n"
    assert parse(raw).text.split() == expected.replace("\ufeff", " ").split() or "\ufeff" in text
    assert (
        email.message_from_bytes(raw).get_payload()[0].get_payload(decode=True).decode()
        == expected.replace("\n", "\r\n") + "\r\n"
    )


ids = st.text(st.characters(min_codepoint=1, max_codepoint=0x17F), max_size=60).map(lambda s: s + "@example.org")
plain_ids = st.from_regex(r"[a-z0-9.$+=]{1,300}@[a-z0-9.-]{1,200}", fullmatch=True)


@given(st.lists(ids | plain_ids, max_size=60))
def test_references_keep_the_root_and_the_newest_within_one_line(listed):
    kept = bounded_references(listed)
    good = list(dict.fromkeys(one for one in listed if is_message_id(one)))
    assert list(kept[:1]) == good[:1]
    assert list(kept[1:]) == good[1:][len(good) - len(kept) :]
    field = message_ids("References", kept)
    assert len(field) <= MAX_FIELD
    raw = written(references=tuple(listed), in_reply_to=listed[0] if listed else None)
    head = raw.partition(b"\r\n\r\n")[0]
    assert head.isascii()
    assert list(parse(raw).references) == good or len(good) > 20
    assert list(parse(written(references=kept)).references) == list(kept)


@given(ADDRESSES | st.text(max_size=20).map(lambda text: f"{text}@example.org"))
def test_an_address_that_we_write_to_is_one_address_for_everybody(address):
    if not is_sendable(address):
        return
    raw = written(address=address, name="")
    new = email.message_from_bytes(raw, policy=email.policy.default)
    assert len(new["To"].addresses) == 2
    assert len(parse(raw).to) == 2


def test_a_mail_program_of_another_house_reads_the_same(tmp_path):
    """notmuch, whose parser is GMime, all hostile values at once."""
    values = [value for value in HOSTILE if wanted(value)]
    mails = [
        written(subject=value, name=value, message_id=f"{n}@example.com", to=(Address(value, "ann@example.org"),))
        for n, value in enumerate(values)
    ]
    read = notmuch_headers(tmp_path, mails)
    assert len(read) == len(values)
    for number, value in enumerate(values):
        shown = read[f"{number}@example.com"]
        assert unicodedata.normalize("NFC", same(shown["Subject"])) == unicodedata.normalize("NFC", same(wanted(value)))
        assert "thief@example.org" not in shown.get("Bcc", "")
        assert shown["To"].endswith("ann@example.org>")


@pytest.mark.parametrize("value", HOSTILE)
def test_the_same_values_never_reach_the_end_of_their_line(value):
    raw = written(subject=value, name=value, marks=(("X-Mark", value),), in_reply_to=value, references=(value,))
    names = [line.partition(b":")[0] for line in raw.partition(b"\r\n\r\n")[0].split(b"\r\n") if line[:1] not in b" \t"]
    assert set(names) <= {
        b"Date", b"From", b"To", b"Reply-To", b"Subject", b"Message-ID", b"X-Mark", b"MIME-Version", b"Content-Type", b"In-Reply-To", b"References",
    }  # fmt: skip
    assert len(names) == len(set(names))
