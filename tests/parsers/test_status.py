"""Enhanced status codes out of diagnostics (RFC 3463)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroom.parsers.status import derived_status, explicit_status, find_status


@pytest.mark.parametrize(
    ("diagnostic", "status"),
    [
        ("550 5.1.1 <ann@example.net>: Recipient address rejected: User unknown", "5.1.1"),
        ("550-5.7.26 This mail has been blocked because the sender is unauthenticated.", "5.7.26"),
        ("550-5.1.1 The email account that you tried to reach does not exist", "5.1.1"),
        ("Sorry, no mailbox here by that name. (#5.1.1)", "5.1.1"),
        ("<mx.example.net #5.2.2 SMTP; mailbox full>", "5.2.2"),
        ("#< #4.4.7 smtp;550 4.4.7 QUEUE.Expired; message expired> #SMTP#", "4.4.7"),
        ("421 4.7.0 [TSS04] Messages from 192.0.2.25 temporarily deferred", "4.7.0"),
        ("Remote Server returned '550 5.7.606 Access denied, banned sending IP [192.0.2.25]'", "5.7.606"),
    ],
)
def test_a_code_that_is_written_is_taken(diagnostic: str, status: str) -> None:
    assert explicit_status(diagnostic) == status


@pytest.mark.parametrize(
    ("diagnostic", "status"),
    [
        ("554 4.4.7 Message expired: unable to deliver in 840 minutes.<421 4.4.2 Connection timed out>", "4.4.2"),
        ("<<< 552 5.2.2 Over quota\n554 5.0.0 Service unavailable\n<<< 503 5.5.1 No recipients", "5.2.2"),
        (">>> MAIL FROM <<< 250 2.1.0 Ok >>> RCPT TO <<< 550 5.1.1 unknown", "5.1.1"),
        ("503 5.5.1 Need RCPT", "5.5.1"),
    ],
)
def test_of_several_codes_the_cause_is_taken(diagnostic: str, status: str) -> None:
    assert explicit_status(diagnostic) == status


@pytest.mark.parametrize(
    "text",
    [
        "host 5.1.2.3 said no",
        "connect to mx.example.net[5.1.1.9]:25",
        "with Sendmail 8.14.4/5.1.1-b2",
        "mta-5.5.0-3 says hello",
        "Exim 4.94.2rc",
        "on 5.10.2026",
        "2.1.5 Ok",
        "",
    ],
)
def test_what_only_looks_like_a_code_is_none(text: str) -> None:
    assert explicit_status(text) is None


@pytest.mark.parametrize(
    ("diagnostic", "status"),
    [
        ("550 User unknown", "5.1.1"),
        ("450 User unknown", "4.1.1"),
        ("552 Error: disk quota exceeded", "5.2.2"),
        ("The recipient's mailbox\n    is full", "5.2.2"),
        ("The recipient’s mailbox doesn’t exist", "5.1.1"),
        ("Host or domain name not found. Name service error for name=x.example", "5.1.2"),
        ("Host not found, try again", "4.4.3"),
        ("connect to x.example[192.0.2.1]:25: Connection refused", "4.4.1"),
        ("lost connection with x.example while receiving the initial server greeting", "4.4.2"),
        ("552 Message size exceeds fixed limit", "5.3.4"),
        ("554 Your message was rejected as spam", "5.7.1"),
        ("too many hops, this message is looping", "5.4.6"),
        ("retry timeout exceeded", "4.4.7"),
        ("451 Greylisted, please try again later", "4.7.1"),
        ("Unrouteable address", "5.1.0"),
        ("Empfänger unbekannt", "5.1.1"),
        ("utilisateur inconnu", "5.1.1"),
        ("あて先不明", "5.1.1"),
        ("550", "5.0.0"),
        ("421 mx.example.net", "4.3.2"),
        ("552", "5.2.2"),
        ("556", "5.1.10"),
    ],
)
def test_words_and_reply_codes_stand_for_a_status(diagnostic: str, status: str) -> None:
    assert derived_status(diagnostic) == status
    assert find_status(diagnostic) == status


@pytest.mark.parametrize(
    "text", ["", "Thank you very much", "within 450 minutes", "port 4500", "2026-04-55", "/index/550/", "1,550,000"]
)
def test_prose_stands_for_none(text: str) -> None:
    assert find_status(text) is None


@given(st.text(alphabet="0123456789.# -<>[]()aé\n", max_size=300))
def test_a_status_found_is_always_one_of_failure(text: str) -> None:
    status = find_status(text)
    assert status is None or (status[0] in "45" and len(status.split(".")) == 3)
