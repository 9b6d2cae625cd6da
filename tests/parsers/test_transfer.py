"""Transfer encodings, right and wrong."""

import base64
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroom.parsers import transfer


@given(st.binary(max_size=500))
def test_whatever_was_encoded_comes_back(data: bytes) -> None:
    assert transfer.decode(base64.encodebytes(data), "base64") == (data, None)


@given(st.binary(max_size=500))
def test_any_octets_decode_to_something(data: bytes) -> None:
    for encoding in ("base64", "quoted-printable", "uuencode", "identity"):
        transfer.decode(data, encoding)


@given(st.binary(max_size=500), st.sampled_from([base64.encodebytes, base64.b64encode]))
def test_the_size_of_sound_base64_is_known_without_decoding_it(data: bytes, encode: Callable[[bytes], bytes]) -> None:
    assert transfer.size_of_base64(encode(data)) == len(data)


@given(st.text("Aa/+=-! \r\n", max_size=40))
def test_a_size_is_never_wrong_where_one_is_given(text: str) -> None:
    data = text.encode()
    octets, defect = transfer.decode(data, "base64")
    assert transfer.size_of_base64(data) in (None, len(octets))
    assert defect is None or transfer.size_of_base64(data) is None


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (b"SGVsbG8", b"Hello"), (b"SGVsbG8=", b"Hello"), (b"SGVs\r\n bG8=\r\n", b"Hello"), (b"SGVs!bG8=", b"Hello"), (b"SGVsbG8==", b"Hello"),
        (b"SGVsbG8=\r\nSGVsbG8=\r\n", b"HelloHello"), (b"SGVsbG8=\n_____\nlist footer", b"Hello"), (b"SGVsbG8gd29ybGQhI_-_", b"Hello world!#\xff\xbf"),
        (b"", b""), (b"=", b""), (b"S", b""),
    ],
)  # fmt: skip
def test_base64_is_read_through_its_damage(written: bytes, read: bytes) -> None:
    assert transfer.decode(written, "base64")[0] == read


def test_text_that_was_called_base64_stays_text() -> None:
    text = b"Dear support, this was never encoded, whatever the header says.\r\n"
    assert transfer.decode(text, "base64") == (text, "what was called base64 is none")


def test_quoted_printable_keeps_what_is_no_escape() -> None:
    assert transfer.decode(b"50=25 =\r\noff =XY =3", "quoted-printable")[0] == b"50% off =XY =3"


@pytest.mark.parametrize("written", [b"base64", b"BASE64", b" base64 ", b"base64;", b'"base64"', b"base-64"])
def test_an_encoding_is_known_however_it_is_written(written: bytes) -> None:
    assert transfer.encoding_of(written) == "base64"


def test_uuencoded_files_are_found_in_a_text_and_prose_is_not_taken_for_one() -> None:
    text = b"see:\nbegin 644 cat.txt\n#0V%T\n`\nend\nbegin 100 days of rest here\nbegin 644 prose follows this line\nand it is none\nend\n"
    blocks = transfer.find_uuencoded(text)
    assert [(block.filename, block.decoded(text)) for block in blocks] == [(b"cat.txt", b"Cat")]
