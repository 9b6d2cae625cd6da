"""What we write, read back by two parsers that know nothing of it: the standard library's old and new ones, and ours."""

import email
import email.policy
import re
from datetime import UTC, datetime
from email.header import decode_header, make_header

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from postroom.outbound.compose import File, Mail, compose, content_of, digest_of
from postroom.parsers.email import parse
from postroom.parsers.parsed import Address

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
US = Address("Support", "support@example.com")
ANN = Address("Ann", "ann@example.org")


def written(text="Hello", html="<p>Hello</p>", files=(), **changes):
    values = {
        "sender": US, "to": (ANN,), "subject": "Hello", "message_id": "token@example.com", "date": NOON,
        "content": content_of(text, html, files),
    }  # fmt: skip
    return compose(Mail(**{**values, **changes}))


def by_new_parser(raw):
    return email.message_from_bytes(raw, policy=email.policy.default)


def by_old_parser(raw):
    return email.message_from_bytes(raw, policy=email.policy.compat32)


def old_text(value):
    return str(make_header(decode_header(re.sub(r"\r\n(?=[ \t])", "", value))))


def check_wire(raw):
    """What holds for every mail of ours: CRLF only, no line over the limit, no header line over 78 where it can be."""
    assert not re.search(rb"(?<!\r)\n|\r(?!\n)", raw)
    assert raw.endswith(b"\r\n")
    assert max(map(len, raw.split(b"\r\n"))) <= 998
    assert b"\0" not in raw


def test_a_mail_says_who_writes_to_whom_and_when():
    message = by_new_parser(
        written(reply_to=Address("Support", "support+x@example.com"), cc=(Address("", "c@example.net"),))
    )
    assert message["From"] == "Support <support@example.com>"
    assert message["To"] == "Ann <ann@example.org>"
    assert message["Cc"] == "c@example.net"
    assert message["Reply-To"] == "Support <support+x@example.com>"
    assert message["Date"] == "Tue, 24 Nov 2026 12:00:00 +0000"
    assert message["Message-ID"] == "<token@example.com>"
    assert message["MIME-Version"] == "1.0"
    assert not message.defects


def test_the_same_mail_always_makes_the_same_bytes():
    assert written() == written()
    assert digest_of(written()) == digest_of(written())


def test_text_and_html_are_alternatives_and_the_html_is_last():
    message = by_new_parser(written("in text", "<p>in html</p>"))
    assert message.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("Plain words.", "7bit"),
        ("Grüße aus Köln, mit freundlichem Gruß und vielen weiteren Worten", "quoted-printable"),
        ("x" * 200, "quoted-printable"),
        ("Привет, у меня горит принтер", "base64"),
        ("プリンターが燃えています", "base64"),
        ("From the beginning", "quoted-printable"),
        ("one\n.\nthree", "7bit"),
        ("", "7bit"),
    ],
)
def test_each_text_has_the_encoding_that_fits_it(text, encoding):
    raw = written(text, None)
    message = by_new_parser(raw)
    check_wire(raw)
    assert message["Content-Transfer-Encoding"] == encoding
    assert message.get_content().replace("\r\n", "\n").rstrip("\n") == text
    assert by_old_parser(raw).get_payload(decode=True).decode().replace("\r\n", "\n").rstrip("\n") == text
    assert not re.search(rb"^From ", raw.partition(b"\r\n\r\n")[2], re.MULTILINE)


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=400))
def test_any_text_arrives_as_it_was_written(text):
    raw = written(text, text)
    check_wire(raw)
    wanted = re.sub(r"\r\n|[\r\x0b\x0c\x85\u2028\u2029]", "\n", text.rstrip())
    wanted = re.sub(r"[\x00-\x08\x0e-\x1f\x7f\ud800-\udfff]", "", wanted)
    for part in by_old_parser(raw).get_payload():
        assert part.get_payload(decode=True).decode() == wanted.replace("\n", "\r\n") + "\r\n"


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=300) | st.from_regex(r"[a-z ]{0,30}(\r\n|\n|\r)(Bcc: victim@example\.net|\r\nbody)?.{0,40}"))
def test_no_value_can_begin_a_header_or_a_body_of_its_own(value):
    raw = written(
        subject=value, sender=Address(value, US.address), to=(Address(value, ANN.address),), cc=(Address(value, "c@example.net"),),
        reply_to=Address(value, US.address), in_reply_to=value, references=(value, "good@example.org"), marks=(("X-Mark", value),),
        files=[File(value, value, b"content")],
    )  # fmt: skip
    check_wire(raw)
    message = by_old_parser(raw)
    allowed = {
        "date",
        "from",
        "to",
        "cc",
        "reply-to",
        "subject",
        "message-id",
        "in-reply-to",
        "references",
        "x-mark",
        "mime-version",
        "content-type",
    }
    assert {name.lower() for name in message.keys()} <= allowed  # noqa: SIM118
    assert len(message.keys()) == len(set(map(str.lower, message.keys())))
    assert message.get_payload()[0].get_content_type() == "multipart/alternative"
    assert message.get_payload()[1].get_payload(decode=True).rstrip(b"\r\n") == b"content"
    new = by_new_parser(raw)
    assert [a.addr_spec for a in new["To"].addresses] == [ANN.address]
    assert [a.addr_spec for a in new["Cc"].addresses] == ["c@example.net"]


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp", "Zs"]) | st.just(" "), max_size=200))
def test_two_parsers_read_the_same_subject_and_name(text):
    raw = written(subject=text, to=(Address(text, ANN.address),))
    wanted = text.strip()
    old, ours = by_old_parser(raw), parse(raw)
    if wanted:
        assert old_text(old["Subject"]) == wanted
    assert " ".join(wanted.split()) == " ".join(ours.subject.split())
    assert [a.address for a in ours.to] == [ANN.address]
    assert " ".join(ours.to[0].name.split()) == " ".join(wanted.split())


@pytest.mark.parametrize(
    "subject",
    [
        "Drucker brennt – bitte schnell löschen! " * 4,
        "=?utf-8?q?not_encoded?=",
        "プリンター" * 30,
        "a" * 200,
        "word " * 60,
        "\u202eevil",
    ],
)
def test_a_long_or_foreign_subject_is_folded_and_read_again(subject):
    raw = written(subject=subject)
    check_wire(raw)
    head = raw.partition(b"\r\n\r\n")[0].split(b"\r\n")
    assert max(map(len, head)) <= 78
    assert by_new_parser(raw)["Subject"] == subject.strip()


def test_an_address_that_is_not_ascii_stands_in_utf8():
    raw = written(to=(Address("Jörg", "jörg@exämple.org"),))
    assert "<jörg@exämple.org>".encode() in raw


def test_dots_where_no_atom_may_have_them_are_quoted():
    raw = written(to=(Address("", "a..b.@example.org"),))
    assert b'To: "a..b."@example.org\r\n' in raw
    assert by_new_parser(raw)["To"].addresses[0].username == "a..b."


def test_files_follow_the_text():
    files = [
        File("fire.png", "image/png", b"\x89PNG" * 1000),
        File("Größe und Gewicht.pdf", "application/pdf", b"%PDF"),
        File("Ein sehr langer Name mit Umlauten " * 5 + "ü.txt", "text/plain", b"text\n"),
        File('quote".txt', "text/plain; charset=utf-8", b"x"),
        File("", "multipart/mixed", b"x"),
    ]
    raw = written(files=files)
    check_wire(raw)
    parts = list(by_new_parser(raw).iter_attachments())
    assert [part.get_filename() for part in parts][:2] == ["fire.png", "Größe und Gewicht.pdf"]
    assert parts[2].get_filename().startswith("Ein sehr langer Name mit Umlauten Ein")
    assert parts[3].get_filename() == 'quote".txt'
    assert [part.get_payload(decode=True) for part in parts] == [file.content for file in files]
    assert [part.get_content_type() for part in parts] == [
        "image/png", "application/pdf", "text/plain", "application/octet-stream", "application/octet-stream"
    ]  # fmt: skip
    assert {part.get_content_disposition() for part in parts} == {"attachment"}
    ours = parse(raw)
    assert [a.size for a in ours.attachments] == [len(file.content) for file in files]


def test_an_attached_message_is_not_encoded():
    inner = b"From: a@example.org\nSubject: inner\n\nHello\n"
    part = next(by_new_parser(written(files=[File("inner.eml", "message/rfc822", inner)])).iter_attachments())
    assert part.get_content_type() == "message/rfc822"
    assert part["Content-Transfer-Encoding"] == "7bit"
    assert part.get_payload()[0]["Subject"] == "inner"


def test_an_attached_message_that_is_not_seven_bit_goes_as_a_file():
    inner = "From: a@example.org\n\nGrüße\n".encode()
    part = next(by_new_parser(written(files=[File("inner.eml", "message/rfc822", inner)])).iter_attachments())
    assert part.get_content_type() == "application/octet-stream"
    assert part.get_payload(decode=True) == inner
