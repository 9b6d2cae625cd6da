"""The fields of delivery status notifications (RFC 3464), as they are and as they come."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroom.parsers.dsn import has_report_fields, read_report, typed_address
from postroom.parsers.parsed import BouncedRecipient


def test_each_recipient_has_its_group_of_fields() -> None:
    assert read_report("""\
Reporting-MTA: dns; mx.example.net
Arrival-Date: Tue, 3 Mar 2026 10:15:00 +0100

Original-Recipient: rfc822;ann@example.net
Final-Recipient: rfc822; ann@Example.Net
Action: failed
Status: 5.1.1
Remote-MTA: dns; mail.example.net
Diagnostic-Code: smtp; 550 5.1.1 <ann@example.net>: Recipient address
    rejected: User unknown

Final-Recipient: rfc822; bob@example.net
Action: delayed
Status: 4.4.1 (no answer)
Will-Retry-Until: Sun, 8 Mar 2026 10:15:00 +0100

Final-Recipient: rfc822; eve@example.net
Action: relayed (to a system without DSN)
Status: 2.0.0
""") == (
        BouncedRecipient(
            "ann@example.net",
            "failed",
            "5.1.1",
            True,
            "550 5.1.1 <ann@example.net>: Recipient address rejected: User unknown",
        ),
        BouncedRecipient("bob@example.net", "delayed", "4.4.1", False, None),
        BouncedRecipient("eve@example.net", "relayed", "2.0.0", False, None),
    )


def test_a_blank_line_between_all_fields_does_not_part_them() -> None:
    text = "Final-Recipient: rfc822; ann@example.net\n\nAction: failed\n\nStatus: 5.2.2\n\nFinal-Recipient: rfc822; bob@example.net\n\nAction: failed\n\nStatus: 5.1.1\n"
    assert [(r.address, r.status) for r in read_report(text)] == [
        ("ann@example.net", "5.2.2"),
        ("bob@example.net", "5.1.1"),
    ]


def test_a_missing_blank_line_does_not_join_two_recipients() -> None:
    text = "Final-Recipient: rfc822; ann@example.net\nAction: failed\nStatus: 5.2.2\nFinal-Recipient: rfc822; bob@example.net\nAction: delayed\nStatus: 4.4.1\n"
    assert [(r.address, r.action) for r in read_report(text)] == [
        ("ann@example.net", "failed"),
        ("bob@example.net", "delayed"),
    ]


def test_fields_are_read_out_of_prose() -> None:
    text = "An error occurred.\n\nTechnical report:\n\nAction: failed\nFinal-Recipient: rfc822; ann@example.net\nDiagnostic-Code: smtp; 550 nobody\nStatus: 5.1.1\n\nBye\n"
    assert read_report(text) == (BouncedRecipient("ann@example.net", "failed", "5.1.1", True, "550 nobody"),)


@pytest.mark.parametrize(
    ("fields", "status", "permanent"),
    [
        ("Status: 5.0.0\nDiagnostic-Code: smtp; 550-5.2.2 mailbox full", "5.2.2", True),
        ("Status: 5.0.0\nDiagnostic-Code: smtp; 550 user unknown", "5.0.0", True),  # what is written wins
        ("Status: 5.1.1\nDiagnostic-Code: smtp; 550 5.7.1 blocked", "5.7.1", True),  # the remote host's own answer
        ("Status: 4.4.7\nDiagnostic-Code: smtp; 550 5.1.1 in the end", "5.1.1", True),
        ("Status: 5.1.1\nDiagnostic-Code: x-unix; exit 5.0.0", "5.1.1", True),
        ("Diagnostic-Code: smtp; 552 mailbox full", "5.2.2", True),
        ("Status: 4.2.2", "4.2.2", False),
        ("Status: 550 5.1.1", "5.1.1", True),
        ("Status: unknown", None, True),
        ("", None, True),
    ],
)
def test_the_status_is_the_most_telling_that_is_written(fields: str, status: str | None, permanent: bool) -> None:
    (recipient,) = read_report(f"Final-Recipient: rfc822; a@b.example\nAction: failed\n{fields}\n")
    assert (recipient.status, recipient.permanent) == (status, permanent)


@pytest.mark.parametrize(
    ("action", "status", "read"),
    [
        ("failed", "5.1.1", "failed"),
        ("FAILURE", "5.1.1", "failed"),
        ("failed (expired)", "4.4.7", "failed"),
        ("delayed", "4.4.1", "delayed"),
        ("deliverable", "2.1.5", "delivered"),
        ("delivered", "2.0.0", "delivered"),
        ("expanded", "2.1.5", "expanded"),
        ("", "2.0.0", "delivered"),
        ("", "4.4.1", "delayed"),
        ("", "5.1.1", "failed"),
    ],
)
def test_the_action_is_one_of_the_five(action: str, status: str, read: str) -> None:
    (recipient,) = read_report(f"Final-Recipient: rfc822; a@b.example\nAction: {action}\nStatus: {status}\n")
    assert recipient.action == read
    assert recipient.permanent == (read == "failed" and status.startswith("5"))


@pytest.mark.parametrize(
    ("value", "address"),
    [
        ("rfc822; ann@example.net", "ann@example.net"),
        ("RFC822;<Ann@EXAMPLE.net>", "Ann@example.net"),
        ("ann@example.net", "ann@example.net"),
        ("rfc822; ann@example.net (Ann)", "ann@example.net"),
        ('rfc822; "ann b"@example.net', '"ann b"@example.net'),
        ("utf-8; f\\x{F6}rster@b\\x{FC}cher.example", "förster@bücher.example"),
        ("utf-8; förster@bücher.example", "förster@bücher.example"),
        ("rfc822; bounce+x=y.example@list.example", "bounce+x=y.example@list.example"),
        ("rfc822; ann@[192.0.2.1]", "ann@[192.0.2.1]"),
        ("rfc822; ann@#example.net", "ann@#example.net"),
        ("x400; /S=ann/O=example/", "/S=ann/O=example/"),
        ("LOCAL; ann", None),
        ("", None),
    ],
)
def test_an_address_is_read_whatever_its_form(value: str, address: str | None) -> None:
    assert typed_address(value) == address


def test_the_original_recipient_stands_in_for_a_local_one() -> None:
    text = "Original-Recipient: rfc822;ann@example.net\nFinal-Recipient: LOCAL; ann\nAction: failed\nStatus: 5.1.1\n"
    assert [r.address for r in read_report(text)] == ["ann@example.net"]


def test_quoted_fields_are_no_report() -> None:
    assert not has_report_fields("> Final-Recipient: rfc822; a@b.example\n> Action: failed\n> Status: 5.1.1\n")
    assert not has_report_fields("Status: open\nAction: none\n")


def test_a_report_without_end_is_read_to_a_limit() -> None:
    many = "".join(f"Final-Recipient: rfc822; u{n}@b.example\nAction: failed\n\n" for n in range(50_000))
    assert len(read_report(many)) == 1000
    endless = "Final-Recipient: rfc822; a@b.example\nDiagnostic-Code: smtp; 550\n" + " 5.1.1 no\n" * 200_000
    (recipient,) = read_report(endless)
    assert len(recipient.diagnostic or "") <= 1000


@given(
    st.lists(
        st.sampled_from(
            [
                "Final-Recipient:",
                "Action:",
                "Status:",
                "Diagnostic-Code:",
                " ",
                "\n",
                "a@b",
                ";",
                "5.1.1",
                "\x00",
                "é",
                "\\x{d800}",
                "\\x{110000}",
            ]
        ),
        max_size=60,
    ).map(" ".join)
)
def test_reading_fields_never_raises(text: str) -> None:
    for recipient in read_report(text):
        assert recipient.action in {"failed", "delayed", "delivered", "relayed", "expanded"}
        recipient.address.encode()  # no lone surrogate
