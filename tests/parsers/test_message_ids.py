"""Bare ids out of headers that are not always right."""

from email.message import EmailMessage

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroom.parsers.message_ids import read_ids, read_message_id


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (b"<a@b>", "a@b"), (b" <a@b>\r\n", "a@b"), (b"a@b", "a@b"), (b"<a\r\n b@c>", "ab@c"), (b"<a@b> (added by a relay)", "a@b"),
        (b'"<a@b>"', "a@b"), (b"<a@b", "a@b"), (b"<[a@b]>", "[a@b]"), (b"<no-at-sign>", "no-at-sign"), (b"<>", None), (b"", None), (b"a@b c", "a@b"),
    ],
)  # fmt: skip
def test_a_message_id_is_bare(written: bytes, expected: str | None) -> None:
    assert read_message_id(written) == expected


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (b"<a@b> <c@d>", ["a@b", "c@d"]), (b"<a@b><c@d>\r\n\t<a@b>", ["a@b", "c@d"]), (b"<a@b>,<c@d>", ["a@b", "c@d"]), (b"a@b c@d", ["a@b", "c@d"]),
        (b'Your message of "Mon, 1 Jan 1996" <a@b>', ["a@b"]), (b"<a@b> (Ann's message of today)", ["a@b"]),
        (b'Message from Ann <ann@example.org> of "Mon, 1 Jan 1996 10:00:00" <id@example.org>', ["id@example.org"]),
        (b"Your letter", []), (b"", []), (b"<>", []),
    ],
)  # fmt: skip
def test_references_are_ids_and_no_phrases(written: bytes, expected: list[str]) -> None:
    assert read_ids(written) == expected


def test_overlong_references_keep_the_root_and_the_parents() -> None:
    found = read_ids(b" ".join(b"<%d@example.org>" % number for number in range(5000)))
    assert (found[0], found[-1]) == ("0@example.org", "4999@example.org")
    assert len(found) <= 1000


@given(st.binary(max_size=200))
def test_any_octets_give_bare_ids(data: bytes) -> None:
    for found in (*read_ids(data), read_message_id(data) or ""):
        assert not set(found) & set("<> \t\r\n\0")


def test_references_that_a_program_wrote_as_encoded_words_are_read() -> None:
    message = EmailMessage()
    ids = [f"{'x' * 60}{n}@mail.customer.example" for n in range(4)]
    message["References"] = " ".join(f"<{i}>" for i in ids)
    written = message.as_bytes()
    assert b"=?utf-8?" in written
    assert read_ids(written.partition(b":")[2].partition(b"\n\n")[0]) == ids
