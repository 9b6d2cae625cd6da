"""Reading the envelope of a message that was delivered into a folder."""

from pathlib import Path

import pytest

from postroom import config
from postroom.daemon import envelope
from postroom.desk.mailboxes import Mailboxes

SERVED = Mailboxes(
    config.parse(
        {
            "mailbox": {
                "support": {"address": "support@example.com", "aliases": ["help@example.com"], "queue": "support"},
                "sales": {"address": "sales@example.com", "queue": "support"},
            }
        },
        Path(),
    )
)


def recipient(*lines: str) -> str:
    return envelope.recipient("\r\n".join([*lines, "", "body"]).encode(), SERVED, "support", "Support@Example.com")


@pytest.mark.parametrize("field", ["Delivered-To", "X-Original-To", "Envelope-To", "DELIVERED-TO", "envelope-to"])
def test_the_last_server_s_note_says_the_recipient(field: str) -> None:
    assert recipient("Received: x", f"{field}: Help+abc@Example.com") == "help+abc@example.com"


def test_without_a_note_it_is_the_mailbox_s_address() -> None:
    assert recipient("To: help@example.com", "Subject: hello") == "support@example.com"


def test_an_address_of_a_stranger_or_of_another_mailbox_is_passed_over() -> None:
    lines = ["Delivered-To: archive@example.net", "Delivered-To: sales@example.com", "Delivered-To: <help@example.com>"]
    assert recipient(*lines) == "help@example.com"


def test_of_several_the_topmost_is_the_last_hop_s() -> None:
    assert recipient("Delivered-To: help@example.com", "Delivered-To: support+x@example.com") == "help@example.com"


def test_exim_lists_several_in_one_field() -> None:
    assert recipient("Envelope-to: other@example.net, support+k7@example.com") == "support+k7@example.com"


def test_a_folded_field_is_unfolded() -> None:
    assert recipient("X-Original-To:", "\thelp@example.com") == "help@example.com"


def test_a_note_in_the_body_is_none() -> None:
    raw = b"Subject: x\r\n\r\nDelivered-To: help@example.com\r\n"
    assert envelope.recipient(raw, SERVED, "support", "support@example.com") == "support@example.com"


@pytest.mark.parametrize("tag", ["a\0b", "a b", "\u202ea", "\x1b[31m", "x" * 320])
def test_an_address_that_no_store_or_screen_should_see_is_passed_over(tag: str) -> None:
    assert recipient(f"Delivered-To: support+{tag}@example.com") == "support@example.com"


def test_octets_that_are_no_utf_8_are_passed_over() -> None:
    raw = b"Delivered-To: support+\xff@example.com\r\n\r\n"
    assert envelope.recipient(raw, SERVED, "support", "support@example.com") == "support@example.com"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (" <ann@example.org>", "ann@example.org"),
        (" ann@example.org", "ann@example.org"),
        (" <>", ""),
        ("", None),
        (" <not an address>", None),
        (" <a@b> <c@d>", None),
    ],
)
def test_the_envelope_s_sender_is_the_return_path(value: str, expected: str | None) -> None:
    assert envelope.sender(f"Return-Path:{value}\r\nFrom: x@y\r\n\r\n".encode()) == expected


def test_of_several_return_paths_the_topmost_counts() -> None:
    assert envelope.sender(b"Return-Path: <>\nReturn-Path: <ann@example.org>\n\n") == ""


def test_without_a_return_path_the_sender_is_unknown() -> None:
    assert envelope.sender(b"From: ann@example.org\r\n\r\nReturn-Path: <x@y>") is None


@pytest.mark.parametrize("raw", [b"", b"\r\n", b"no header at all", b"Return-Path", b" folded from nothing\r\n\r\n"])
def test_what_is_no_mail_has_no_sender(raw: bytes) -> None:
    assert envelope.sender(raw) is None


def test_a_header_of_a_quarter_of_a_million_folds_is_read_in_one_pass() -> None:
    raw = b"Delivered-To: help@example.com" + b"\n " * 2_000_000
    assert envelope.recipient(raw, SERVED, "support", "support@example.com") == "help@example.com"
