"""The one door: whole messages of many programs, and any octets at all."""

import importlib.util
import random
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroom.parsers.email import parse
from postroom.parsers.parsed import Address, Kind, ParsedEmail

EMAILS = sorted((Path(__file__).parents[1] / "emails").glob("*.eml"))
_spec = importlib.util.spec_from_file_location("fuzz_parse", Path(__file__).with_name("fuzz_parse.py"))
assert _spec is not None
assert _spec.loader is not None
fuzz_parse = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(fuzz_parse)


def email(name: str) -> ParsedEmail:
    return parse((Path(__file__).parents[1] / "emails" / f"{name}.eml").read_bytes())


def test_a_reply_from_gmail() -> None:
    read = email("gmail-reply")
    assert read.message_id == "CAF0=xk2@mail.example.net"
    assert read.in_reply_to == ("CAF0=xk1@mail.example.net",)
    assert read.references == ("T-1042.a1b2c3@example.com", "CAF0=xk1@mail.example.net")
    assert read.from_ == (Address("Zoë Köhler", "zoe.koehler@example.net"),)
    assert read.to == (Address("Support", "support@example.com"),)
    assert read.date == datetime(2026, 11, 25, 9, 11, 2, tzinfo=UTC)
    assert read.subject == "Re: Drucker im 3. Stock druckt nicht – bitte um Rückruf"
    assert read.reply_text.startswith("Danke, jetzt geht es wieder.")
    assert read.quoted_text is not None
    assert "schalten Sie das Gerät" in read.quoted_text
    assert "schalten Sie das Gerät" not in read.reply_text
    assert read.html is not None
    assert read.hops == 2
    assert read.header("received") is None
    assert read.header("Delivered-To") == "support@example.com"
    assert read.kind is Kind.MESSAGE
    assert read.defects == ()


def test_a_report_from_outlook_with_a_logo_and_a_sheet() -> None:
    read = email("outlook-logo-and-report")
    assert read.from_ == (Address("Novak, Petra", "Petra.Novak@example.net"),)
    assert read.to == (
        Address("support@example.com", "support@example.com"),
        Address("Horak, Jan", "jan.horak@example.net"),
    )
    assert read.cc == (Address("IT Team", "it@example.net"),)
    assert [(a.filename, a.inline) for a in read.attachments] == [
        ("image001.png", True),
        ("Übersicht 2026 Q3.xlsx", False),
    ]
    assert "do not add up" in read.text
    assert read.html is not None
    assert 'src="cid:image001.png@01DC5E00.ABCDEF00"' in read.html
    assert "MsoNormal" not in read.html


def test_pictures_between_paragraphs_from_apple_mail() -> None:
    read = email("apple-mail-photos")
    assert [line for line in read.text.splitlines() if line.strip()] == [
        "This is the display before it fails:", "and this is the log of that minute:", "Thanks", "Luca",
    ]  # fmt: skip
    assert [(a.filename, a.inline) for a in read.attachments] == [("IMG_0001.png", True), ("printer.log", False)]


def test_interleaved_answers_in_flowed_text_from_thunderbird() -> None:
    read = email("thunderbird-flowed")
    assert "Always at minute 17, whichever time I connected, and it has been so for two weeks – since" in read.text
    assert "> Which client do you use?" in read.reply_text
    assert read.signature is not None
    assert read.signature.startswith("-- \nAnn Other")


def test_japanese_lines_are_joined_without_a_blank() -> None:
    read = email("thunderbird-delsp-japanese")
    assert read.subject == "インストールできません"
    assert read.from_ == (Address("山田花子", "yamada@example.jp"),)
    assert "昨日からインストールできません。" in read.text


def test_raw_latin_1_headers_of_an_old_program() -> None:
    read = email("raw-latin1-headers")
    assert read.subject == "Störung der Spülmaschine, Rückruf erbeten"
    assert read.from_ == (Address("Jürgen Müller", "juergen@example.de"),)
    assert read.to == (Address("Kundendienst für Küchengeräte", "support@example.com"),)
    assert "die Maschine öffnet die Tür nicht mehr" in read.text


def test_a_message_that_was_forwarded_as_an_attachment() -> None:
    read = email("forwarded-as-attachment")
    assert "ten minutes" not in read.text
    assert [(a.filename, a.content_type) for a in read.attachments] == [
        ("Router keeps rebooting.eml", "message/rfc822")
    ]
    assert read.forwarded is not None
    assert read.forwarded.sender == Address("Bob Builder", "bob@example.net")
    assert read.forwarded.cc == (Address("", "boss@example.net"),)
    assert (read.forwarded.subject, read.forwarded.date) == (
        "Router keeps rebooting",
        "Wed, 25 Nov 2026 09:00:00 +0100",
    )
    assert read.forwarded.text.strip() == "It reboots every ten minutes."


def test_an_invitation_without_words() -> None:
    read = email("invitation")
    assert read.text.splitlines()[:5] == [
        "Invitation: Handover of the new laptops, part 2",
        "When: 2026-12-01 09:00 Europe/Prague – 2026-12-01 09:30 Europe/Prague",
        "Where: Room 12",
        "Organizer: Carla <carla@example.org>",
        "Attendees: Support; first line <support@example.com>",
    ]
    assert [a.filename for a in read.attachments] == ["invite.ics"]


def test_a_signature_by_pgp_is_no_text() -> None:
    read = email("pgp-signed")
    assert read.text.strip() == "Please reset my second factor – the phone is lost."
    assert [a.filename for a in read.attachments] == ["signature.asc"]


def test_a_boundary_that_a_gateway_rewrote() -> None:
    read = email("lost-boundary")
    assert read.text.strip() == "Your order 4711 has been sent."
    assert "message: the boundary was wrong and was guessed" in read.defects


def test_two_from_headers_are_two_authors() -> None:
    read = parse(b"From: ann@example.org\nFrom: boss@example.com\nSubject: x\n\n")
    assert [address.address for address in read.from_] == ["ann@example.org", "boss@example.com"]


def test_references_in_two_headers_are_all_read() -> None:
    read = parse(b"References: <a@b>\nReferences: <c@d> <a@b>\n\n")
    assert read.references == ("a@b", "c@d")


def test_the_body_digest_does_not_change_on_the_way() -> None:
    one = parse(b"Subject: a\r\n\r\ntext  \r\nmore\r\n\r\n")
    other = parse(b"Received: x\nSubject: a\n\ntext\nmore\n")
    assert one.body_digest == other.body_digest
    assert one.body_digest != parse(b"Subject: a\n\ntext\nmore!\n").body_digest


@pytest.mark.parametrize("path", EMAILS, ids=lambda path: path.stem)
def test_what_is_read_briefly_lacks_html_and_digests_and_nothing_else(path: Path) -> None:
    whole, brief = parse(path.read_bytes()), parse(path.read_bytes(), brief=True)
    files = tuple(replace(file, sha256="") for file in whole.attachments)
    forwarded = whole.forwarded
    if forwarded is not None:
        forwarded = replace(forwarded, attachments=tuple(replace(f, sha256="") for f in forwarded.attachments))
    assert replace(whole, html=None, attachments=files, forwarded=forwarded) == brief


def test_overlong_headers_are_cut_and_named() -> None:
    read = parse(b"Subject: " + b"long " * 10_000 + b"\nTo: a@example.org\n\nbody")
    assert len(read.subject) <= 16 * 1024
    assert read.to == (Address("", "a@example.org"),)
    assert "subject: longer than 16 KiB; the rest was not read" in read.defects


@pytest.mark.parametrize("path", EMAILS, ids=lambda path: path.stem)
def test_a_message_cut_anywhere_keeps_its_promises(path: Path) -> None:
    raw = path.read_bytes()
    for length in range(0, len(raw), max(len(raw) // 40, 1)):
        assert fuzz_parse.check(raw[:length]) is None


def test_mutated_messages_keep_their_promises() -> None:
    chance = random.Random(20261125)
    seeds = [path.read_bytes() for path in EMAILS]
    for _ in range(150):
        mutated = fuzz_parse.mutate(chance, seeds)[:100_000]
        assert fuzz_parse.check(mutated) is None


@given(st.binary(max_size=400))
def test_any_octets_are_a_message(raw: bytes) -> None:
    assert fuzz_parse.check(raw) is None


_NAMES = ["From", "To", "Cc", "Subject", "Date", "Message-ID", "References", "In-Reply-To", "Reply-To", "Content-Type", "Content-Disposition",
          "Content-Transfer-Encoding", "Received", "Auto-Submitted", "X-Any"]  # fmt: skip
_VALUES = st.sampled_from([
    b"multipart/mixed; boundary=b", b"multipart/alternative; boundary=b", b"text/html", b"text/plain; charset=utf-16; format=flowed", b"message/rfc822",
    b"application/ms-tnef", b"base64", b"quoted-printable", b"a@example.org", b"=?utf-8?q?a=00?=", b"<a@b>", b"application/pkcs7-mime",
    b"multipart/report; report-type=delivery-status; boundary=b", b"attachment; filename*0*=utf-8''%00", b"auto-replied", b"text/calendar",
]) | st.binary(max_size=40)  # fmt: skip
_BODIES = st.lists(st.sampled_from([b"--b\n", b"--b--\n", b"Content-Type: text/html\n\n", b"<p>x", b"\n", b"> a\n", b"On Monday Ann wrote:\n", b"-- \n"]) | st.binary(max_size=40), max_size=10)  # fmt: skip


@given(st.lists(st.tuples(st.sampled_from(_NAMES), _VALUES), max_size=8), _BODIES)
def test_headers_and_bodies_of_all_sorts_are_a_message(fields: list[tuple[str, bytes]], body: list[bytes]) -> None:
    raw = b"".join(name.encode() + b": " + value + b"\n" for name, value in fields) + b"\n" + b"".join(body)
    assert fuzz_parse.check(raw) is None


@pytest.mark.parametrize("number", [0, 1])
def test_parsing_twice_says_the_same(number: int) -> None:
    raw = EMAILS[number].read_bytes()
    assert parse(raw) == parse(raw)
