"""Which mail a report is about: its Message-IDs, and the envelope senders that it went out with."""

import pytest

from postroom.parsers.email import parse

HEAD = "From: mx@provider.example\r\nTo: support@example.com\r\nSubject: report\r\nMessage-ID: <own@provider.example>\r\nMIME-Version: 1.0\r\n"


def report(report_type, *parts):
    text = f'{HEAD}Content-Type: multipart/report; report-type={report_type}; boundary="b"\r\n\r\n'
    return parse((text + "".join(f"--b\r\n{part}\r\n" for part in parts) + "--b--\r\n").encode())


def test_a_complaint_names_the_mail_and_its_envelope_sender():
    found = report(
        "feedback-report",
        "Content-Type: text/plain\r\n\r\nA complaint.",
        "Content-Type: message/feedback-report\r\n\r\nFeedback-Type: Abuse\r\nOriginal-Mail-From: <support+b1@example.com>",
        "Content-Type: message/rfc822\r\n\r\nReturn-Path: <support+b2@example.com>\r\nMessage-ID: <ours@example.com>\r\n\r\nHello",
    ).reported
    assert found.message_ids == ("ours@example.com",)
    assert found.senders == ("support+b1@example.com", "support+b2@example.com")
    assert found.feedback == "abuse"


def test_a_receipt_names_the_mail_in_a_field():
    found = report(
        "disposition-notification",
        "Content-Type: text/plain\r\n\r\nread",
        "Content-Type: message/disposition-notification\r\n\r\nFinal-Recipient: rfc822; a@b.example\r\nOriginal-Message-ID: <ours@example.com>\r\nDisposition: manual-action/MDN-sent-manually; displayed",
    ).reported
    assert found.message_ids == ("ours@example.com",)


def test_a_bounce_of_a_bounce_names_both_mails_the_outer_one_first():
    inner = "Content-Type: message/rfc822\r\n\r\nMessage-ID: <outer@x.example>\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\nContent-Type: message/rfc822\r\n\r\nMessage-ID: <inner@example.com>\r\n\r\nHello\r\n--c--"
    found = report(
        "delivery-status",
        "Content-Type: message/delivery-status\r\n\r\nFinal-Recipient: rfc822; a@b.example\r\nAction: failed\r\nStatus: 5.1.1",
        inner,
    )
    assert found.reported.message_ids == ("outer@x.example", "inner@example.com")


@pytest.mark.parametrize(
    "line",
    ["> Message-ID: <ours@example.com>", "   Message-Id:\r\n  <ours@example.com>", "Message-ID: ours@example.com"],
)
def test_a_copied_header_may_stand_in_the_text(line):
    found = report(
        "delivery-status", f"Content-Type: text/plain\r\n\r\nIt failed. The mail was:\r\n\r\n{line}\r\nSubject: x"
    )
    assert found.reported.message_ids == ("ours@example.com",)


def test_its_own_fields_are_not_those_of_the_mail_and_other_mail_reports_nothing():
    assert (
        "own@provider.example"
        not in report("delivery-status", "Content-Type: text/plain\r\n\r\nno").reported.message_ids
    )
    assert parse(f"{HEAD}\r\nMessage-ID: <ours@example.com>\r\n".encode()).reported is None
