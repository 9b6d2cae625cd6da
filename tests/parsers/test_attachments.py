"""What hangs on a message, and how it is found again."""

import base64
import hashlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroom.parsers.attachments import read_part, safe_name
from postroom.parsers.email import parse
from postroom.parsers.smime import signed_content
from postroom.parsers.tnef import open_tnef


def mixed(*parts: str) -> bytes:
    return (
        b"Content-Type: multipart/mixed; boundary=mixed-1\n\n"
        + "".join(f"--mixed-1\n{part}\n" for part in parts).encode()
        + b"--mixed-1--\n"
    )


def names(raw: bytes) -> list[str]:
    return [attachment.filename for attachment in parse(raw).attachments]


def test_an_attachment_is_read_again_out_of_the_raw_message() -> None:
    raw = mixed("Content-Type: application/pdf; name=a.pdf\nContent-Transfer-Encoding: base64\n\nSGVsbG8=")
    (attachment,) = parse(raw).attachments
    assert (attachment.size, attachment.sha256) == (5, hashlib.sha256(b"Hello").hexdigest())
    assert read_part(raw, attachment.part) == b"Hello"


@pytest.mark.parametrize("part", ["9", "1!1", "1!x", "x", "1!", "!"])
def test_a_part_that_is_not_there_is_a_key_error(part: str) -> None:
    with pytest.raises(KeyError):
        read_part(mixed("Content-Type: application/pdf\n\nx"), part)


def test_what_has_no_name_gets_the_same_one_each_time() -> None:
    raw = mixed(
        "\ntext",
        "Content-Type: image/png\n\nx",
        "Content-Type: application/x-thing\n\nx",
        "Content-Type: text/calendar\n\nx",
    )
    assert names(raw) == ["part-2.png", "part-3.bin", "invite.ics"]


def test_an_attached_message_is_kept_whole_and_named_by_its_subject() -> None:
    inner = "Subject: Printer/scanner\nContent-Type: multipart/mixed; boundary=in-1\n\n--in-1\n\nx\n--in-1--\n"
    raw = mixed("\ntext", f"Content-Type: message/rfc822\n\n{inner}")
    (attachment,) = parse(raw).attachments
    assert (attachment.filename, attachment.content_type) == ("Printer-scanner.eml", "message/rfc822")
    assert read_part(raw, attachment.part) == inner.encode()


def test_pictures_of_the_html_are_inline_and_files_are_not() -> None:
    raw = mixed(
        'Content-Type: text/html\n\n<img src="cid:Logo%40x"><img src="cid:logo@x">',
        "Content-Type: image/png; name=logo.png\nContent-ID: <logo@x>\n\nx",
        "Content-Type: image/png; name=shown.png\nContent-Disposition: inline\n\nx",
        "Content-Type: image/png; name=file.png\nContent-Disposition: attachment\nContent-ID: <other@x>\n\nx",
    )
    assert [(a.filename, a.inline, a.content_id) for a in parse(raw).attachments] == [
        ("logo.png", True, "logo@x"),
        ("shown.png", True, None),
        ("file.png", False, "other@x"),
    ]


def test_a_part_related_to_the_html_is_inline_though_it_does_not_say_so() -> None:
    raw = (
        b"Content-Type: multipart/related; boundary=rel-1\n\n--rel-1\nContent-Type: text/html\n\n<p>x\n"
        b"--rel-1\nContent-Type: image/png; name=a.png\nContent-Location: a.png\n\nx\n--rel-1--\n"
    )
    assert [(a.filename, a.inline) for a in parse(raw).attachments] == [("a.png", True)]


def test_signatures_are_attachments_and_never_text() -> None:
    raw = mixed(
        "\ntext",
        "Content-Type: application/pkcs7-signature\n\nx",
        "Content-Type: application/pgp-signature\n\n-----BEGIN PGP SIGNATURE-----",
    )
    assert names(raw) == ["smime.p7s", "signature.asc"]
    assert parse(raw).text.strip() == "text"


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("report.pdf", "report.pdf"), ("../../etc/passwd", "passwd"), ("C:\\temp\\x.exe", "x.exe"), ("gpj.\u202eexe.txt", "gpj.exe.txt"), ("a\r\nb.txt", "a b.txt"),
        ("a\x00b\x07.txt", "a b .txt"), ("..", ""), ("/", ""), ("  ", ""), ("x" * 300 + ".pdf", "x" * 251 + ".pdf"), ("u\u0308.txt", "ü.txt"), ("dir/", "dir"),
    ],
)  # fmt: skip
def test_a_name_is_shown_without_path_control_and_bidi_characters(written: str, shown: str) -> None:
    assert safe_name(written) == shown


@given(st.text(max_size=300))
def test_any_name_is_safe(name: str) -> None:
    shown = safe_name(name)
    assert len(shown) <= 255
    assert not set(shown) & set("/\\\0\r\n\u202e\u200f")
    assert shown not in (".", "..")


def test_uuencoded_files_are_attachments() -> None:
    raw = b"Subject: x\n\ntext\nbegin 644 cat.txt\n#0V%T\n`\nend\n"
    (attachment,) = parse(raw).attachments
    assert (attachment.filename, attachment.content_type, read_part(raw, attachment.part)) == (
        "cat.txt",
        "text/plain",
        b"Cat",
    )


def tnef(*attributes: tuple[int, int, bytes]) -> bytes:
    """A TNEF stream ([MS-OXTNEF] §2.1): level, id, data."""
    stream = struct.pack("<IH", 0x223E9F78, 1)
    for level, attribute, data in attributes:
        stream += struct.pack("<BII", level, attribute, len(data)) + data + struct.pack("<H", sum(data) & 0xFFFF)
    return stream


def mapi(*properties: tuple[int, int, bytes]) -> bytes:
    """A list of MAPI properties of variable length: type, id, value."""
    listed = struct.pack("<I", len(properties))
    for kind, name, value in properties:
        listed += struct.pack("<HHII", kind, name, 1, len(value)) + value + b"\0" * (-len(value) % 4)
    return listed


WINMAIL = tnef(
    (1, 0x00069007, struct.pack("<II", 1250, 0)),
    (1, 0x00069003, mapi((0x1F, 0x1000, "Dobrý den".encode("utf-16-le")))),
    (2, 0x00069002, b"\0" * 14),
    (2, 0x00018010, b"P\xf8ehled.xls\0"),
    (2, 0x0006800F, b"first file"),
    (2, 0x00069002, b"\0" * 14),
    (2, 0x00018010, b"LONGNA~1.PDF\0"),
    (2, 0x0006800F, b"second file"),
    (2, 0x00069005, mapi((0x1F, 0x3707, "Long näme.pdf\0".encode("utf-16-le")), (0x1E, 0x370E, b"application/pdf\0"))),
)


def test_winmail_dat_is_opened_for_its_files_and_for_its_text_where_there_is_no_other() -> None:
    raw = (
        b"Content-Type: application/ms-tnef; name=winmail.dat\nContent-Transfer-Encoding: base64\n\n"
        + base64.encodebytes(WINMAIL)
    )
    email = parse(raw)
    assert email.text == "Dobrý den"
    assert [(a.filename, a.content_type) for a in email.attachments] == [
        ("Přehled.xls", "application/octet-stream"),
        ("Long näme.pdf", "application/pdf"),
    ]
    assert [read_part(raw, a.part) for a in email.attachments] == [b"first file", b"second file"]


def test_a_winmail_dat_that_cannot_be_opened_stays_an_attachment() -> None:
    raw = mixed("\ntext", "Content-Type: application/ms-tnef; name=winmail.dat\n\nnothing of the kind")
    assert names(raw) == ["winmail.dat"]
    assert "part 2: winmail.dat could not be opened, or is empty" in parse(raw).defects


def test_a_winmail_dat_cut_anywhere_gives_what_is_there() -> None:
    for length in range(len(WINMAIL)):
        assert len(open_tnef(WINMAIL[:length]).files) <= 2


def der(tag: int, *contents: bytes) -> bytes:
    content = b"".join(contents)
    size = len(content)
    length = (
        bytes([size])
        if size < 0x80
        else bytes([0x80 | (size.bit_length() + 7) // 8]) + size.to_bytes((size.bit_length() + 7) // 8, "big")
    )
    return bytes([tag]) + length + content


def signed(content: bytes, *, streamed: bool = False) -> bytes:
    """A CMS SignedData without signers (RFC 5652 §5.1), in DER or as it is streamed in BER."""
    signed_data, data = bytes.fromhex("2a864886f70d010702"), bytes.fromhex("2a864886f70d010701")
    if streamed:
        pieces = b"".join(der(0x04, content[at : at + 7]) for at in range(0, len(content), 7))
        inner = b"\x30\x80" + der(0x06, data) + b"\xa0\x80\x24\x80" + pieces + b"\0\0" * 3
        return (
            b"\x30\x80"
            + der(0x06, signed_data)
            + b"\xa0\x80\x30\x80"
            + der(0x02, b"\1")
            + der(0x31)
            + inner
            + b"\0\0" * 3
        )
    inner = der(0x30, der(0x06, data), der(0xA0, der(0x04, content)))
    return der(0x30, der(0x06, signed_data), der(0xA0, der(0x30, der(0x02, b"\1"), der(0x31), inner)))


@pytest.mark.parametrize("streamed", [False, True])
def test_an_opaque_signature_is_unwrapped_so_that_its_text_is_read(streamed: bool) -> None:
    entity = mixed("Content-Type: text/plain; charset=utf-8\n\nGrüße", "Content-Type: application/pdf; name=a.pdf\n\nx")
    head = b"Content-Type: application/pkcs7-mime; smime-type=signed-data; name=smime.p7m\nContent-Transfer-Encoding: base64\n\n"
    raw = head + base64.encodebytes(signed(entity, streamed=streamed))
    email = parse(raw)
    assert email.text.strip() == "Grüße"
    assert [a.filename for a in email.attachments] == ["a.pdf"]
    assert read_part(raw, email.attachments[0].part) == b"x"


def test_encrypted_s_mime_stays_an_attachment() -> None:
    enveloped = der(0x30, der(0x06, bytes.fromhex("2a864886f70d010703")), der(0xA0, b""))
    raw = (
        b"Content-Type: application/pkcs7-mime; smime-type=enveloped-data\nContent-Transfer-Encoding: base64\n\n"
        + base64.encodebytes(enveloped)
    )
    assert names(raw) == ["smime.p7m"]


@given(st.binary(max_size=300))
def test_any_octets_may_stand_where_cms_or_tnef_was_announced(data: bytes) -> None:
    signed_content(data)
    signed_content(signed(data)[: len(data)])
    open_tnef(WINMAIL[:6] + data)
    assert signed_content(signed(data)) == data
