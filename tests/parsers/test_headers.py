"""What a header says."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroom.parsers import headers


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (b"plain", "plain"),
        (b"a\r\n\tfolded\r\n  line", "a folded line"),
        (b"=?utf-8?q?a?= =?utf-8?q?b?=", "ab"),
        (b"=?utf-8?q?a?=\r\n =?utf-8?q?b?=", "ab"),
        (b"x =?utf-8?q?a?= y", "x a y"),
        (b"x=?utf-8?q?a?=y", "xay"),
        (b"=?utf-8?q?a b c?=", "a b c"),
        (b"=?utf-8?Q?50=25_off?=", "50% off"),
        (b"=?utf-8?B?w?= =?utf-8?B?7w=?=", "ü"),
        (b"=?utf-8?Q?=C3?= =?utf-8?Q?=BC?=", "ü"),
        (b"=?utf-8?B?4oI=?=\n =?utf-8?B?rA==?=", "€"),
        (b"=?GB2312?B?1tA=?= =?GB2312?B?zsQ=?=", "中文"),
        (b"=?ISO-2022-JP?B?GyRCRnxLXBsoQg==?=", "日本"),
        (b"=?koi8-r?B?8NLJ18XU?=", "Привет"),
        (b"=?utf-8*en?q?hi?=", "hi"),
        (b"=?iso-8859-1?q?a?= =?utf-8?q?=C3=BC?=", "aü"),
        (b"=?unknown?q?J=FCrgen?=", "Jürgen"),
        (b"=?utf-8?q?J=FCrgen?=", "Jürgen"),
        (b"=?utf-8?b?SGVsbG8", "Hello"),
        (b"=?utf-8?x?a?=", "=?utf-8?x?a?="),
        (b"=?utf-8?q?a=0D=0ABcc:_x@example.org?=", "a Bcc: x@example.org"),
        (b"=?utf-8?q?a=00b?=", "ab"),
        (b"J\xfcrgen", "Jürgen"),
        (b"J\xc3\xbcrgen", "Jürgen"),
        (b"\x1b$BF|K\\\x1b(B", "日本"),
    ],
)
def test_a_header_is_decoded_to_one_line(written: bytes, read: str) -> None:
    assert headers.decode(written) == read


def test_raw_text_is_read_by_the_charset_of_the_rest_of_the_mail() -> None:
    assert headers.decode("Žluť".encode("cp1250"), hint="windows-1250") == "Žluť"


@given(st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=60), st.integers(1, 7))
def test_words_cut_anywhere_are_whole_again(text: str, size: int) -> None:
    octets = text.encode()
    words = [base64.b64encode(octets[at : at + size]).decode() for at in range(0, len(octets), size)]
    written = "\r\n ".join(f"=?utf-8?B?{word}?=" for word in words)
    assert headers.decode(written.encode()) == text.strip()


@given(st.binary(max_size=300))
def test_any_octets_are_one_line_without_controls(data: bytes) -> None:
    for written in (data, b"=?utf-8?q?" + data + b"?=", b"=?utf-7?b?" + base64.b64encode(data) + b"?="):
        text = headers.decode(written)
        assert not set(text) & set("\0\r\n\x7f")
        text.encode()


@pytest.mark.parametrize("piece", ["=?utf-8?q?a?= ", "=?utf-8?q?", "=?", "?=", "=?a?q?=", " ", "=?utf-8?b?QQ?="])
def test_a_flood_of_words_ends(piece: str) -> None:
    headers.decode_words(piece * (300_000 // len(piece)))
