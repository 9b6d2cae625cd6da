"""The text of a mail that Outlook sent as RTF."""

import struct

from hypothesis import given
from hypothesis import strategies as st

from postroom.parsers.rtf import RTF_OCTETS, text_of_compressed, text_of_rtf, unpack
from postroom.parsers.tnef import open_tnef

RTF = (
    rb"{\rtf1\ansi\ansicpg1250{\fonttbl{\f0 Arial;}}{\*\generator x;}\f0\fs20 Dobr\'fd den,\par"
    + b"\r\n"
    + rb"cena \u8364?10 \{net\}\line {\b tu\u269 ?n\'e9}\tab end}"
)
TEXT = "Dobrý den,\ncena €10 {net}\ntučné\tend"
# The example of [MS-OXRTFCP] §4.1.1: literals and references, some into the dictionary that both sides know.
PACKED = bytes.fromhex(
    "2d0000002b0000004c5a4675f1c5c7a703000a007263706731323542320af32068656c090020627705b06c647d0a800fa0"
)


def compressed(rtf: bytes) -> bytes:
    """Literals only, eight behind each control octet of zero, and the reference that ends it."""
    pieces = b"".join(b"\0" + rtf[at : at + 8] for at in range(0, len(rtf) // 8 * 8, 8))
    rest = rtf[len(rtf) // 8 * 8 :]
    end = (207 + len(rtf)) % 4096
    packed = pieces + bytes([1 << len(rest)]) + rest + struct.pack(">H", end << 4)
    return struct.pack("<II4sI", len(packed) + 12, len(rtf), b"LZFu", 0) + packed


def test_rtf_reads_as_text() -> None:
    assert text_of_rtf(RTF) == TEXT


def test_packed_rtf_is_unpacked_as_the_specification_shows() -> None:
    assert unpack(PACKED) == b"{\\rtf1\\ansi\\ansicpg1252\\pard hello world}\r\n"


def test_literals_and_uncompressed_rtf_are_unpacked() -> None:
    assert unpack(compressed(RTF)) == RTF
    assert unpack(struct.pack("<II4sI", len(RTF) + 12, len(RTF), b"MELA", 0) + RTF) == RTF


def test_html_that_was_put_into_rtf_gives_its_words_once() -> None:
    rtf = rb"{\rtf1\ansi\fromhtml1{\*\htmltag64 <p>}\htmlrtf {\htmlrtf0 Hello{\*\htmltag84 &amp;}\htmlrtf x\htmlrtf0 \par}}"
    assert text_of_rtf(rtf) == "Hello"


def test_a_winmail_dat_with_nothing_but_rtf_has_a_text() -> None:
    packed = compressed(RTF)
    properties = struct.pack("<IHHII", 1, 0x102, 0x1009, 1, len(packed)) + packed + b"\0" * (-len(packed) % 4)
    stream = (
        struct.pack("<IH", 0x223E9F78, 1) + struct.pack("<BII", 1, 0x00069003, len(properties)) + properties + b"\0\0"
    )
    assert open_tnef(stream).text == TEXT


def test_a_small_file_does_not_unpack_to_a_large_one() -> None:
    bomb = struct.pack("<II4sI", 2**31, 2**32 - 1, b"LZFu", 0) + (b"\xff" + b"\x00\x0f" * 8) * 100_000
    assert len(unpack(bomb)) <= RTF_OCTETS


@given(st.binary(max_size=300))
def test_any_octets_may_stand_where_rtf_was_announced(data: bytes) -> None:
    text_of_rtf(b"{\\rtf1" + data)
    text_of_compressed(struct.pack("<II4sI", len(data), 10_000, b"LZFu", 0) + data).encode()
