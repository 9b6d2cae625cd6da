"""What is a bounce and what is not, whole messages through the MIME tree."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroom.parsers import mime
from postroom.parsers.automatic import Classification, classify
from postroom.parsers.bounce_text import read_notice, read_recipients
from postroom.parsers.parsed import Kind

NOTICE = """\
This is the mail system at host mx.example.net.

I'm sorry to have to inform you that your message could not
be delivered to one or more recipients. It's attached below.

<ann@example.net>: host mail.example.net[203.0.113.9] said: 550 5.1.1
    <ann@example.net>: Recipient address rejected: User unknown
"""
REPORT = """\
Reporting-MTA: dns; mx.example.net

Final-Recipient: rfc822; ann@example.net
Action: failed
Status: 5.1.1
Diagnostic-Code: smtp; 550 5.1.1 User unknown
"""
ORIGINAL = """\
Message-ID: <original.1@support.example>
From: Support <desk@support.example>
To: Ann <ann@example.net>
Subject: Your request
"""


def part(content_type: str, body: str) -> str:
    return f"--b1\nContent-Type: {content_type}\n\n{body}\n"


def multipart(headers: str, *parts: str, kind: str = "multipart/report; report-type=delivery-status") -> bytes:
    head = f"{headers}MIME-Version: 1.0\nContent-Type: {kind}; boundary=b1\n\n"
    return (head + "".join(parts) + "--b1--\n").encode()


def classified(raw: bytes, text: str | None = None) -> Classification:
    tree = mime.read_tree(raw)
    if text is None:
        text = "\n".join(p.text() for p in tree.root.walk() if p.content_type == "text/plain" and len(p.path) < 2)
    return classify(tree, text)


DAEMON = "Return-Path: <>\nFrom: Mail Delivery System <MAILER-DAEMON@mx.example.net>\nTo: desk@support.example\nSubject: Undelivered Mail Returned to Sender\n"
CUSTOMER = "Return-Path: <bob@customer.example>\nFrom: Bob <bob@customer.example>\nTo: desk@support.example\n"


@pytest.mark.parametrize(
    "original", ["message/rfc822", "text/rfc822-headers", "message/global", "message/rfc822-headers"]
)
def test_a_report_tells_its_recipients_and_the_original(original: str) -> None:
    raw = multipart(
        DAEMON, part("text/plain", NOTICE), part("message/delivery-status", REPORT), part(original, ORIGINAL)
    )
    found = classified(raw)
    assert found.kind is Kind.BOUNCE
    assert found.automatic.is_automatic
    assert found.automatic.unanswerable
    assert found.bounce is not None
    assert found.bounce.original_message_id == "original.1@support.example"
    (recipient,) = found.bounce.recipients
    assert (recipient.address, recipient.action, recipient.status) == ("ann@example.net", "failed", "5.1.1")
    assert recipient.permanent
    assert recipient.diagnostic == "550 5.1.1 User unknown"


@pytest.mark.parametrize(
    ("action", "status", "permanent"),
    [
        ("delayed", "4.4.1", False),
        ("delivered", "2.1.5", False),
        ("relayed", "2.0.0", False),
        ("failed", "5.0.0", True),
    ],
)
def test_a_status_notification_is_a_bounce_whatever_its_action(action: str, status: str, permanent: bool) -> None:
    report = f"Reporting-MTA: dns; mx.example.net\n\nFinal-Recipient: rfc822; ann@example.net\nAction: {action}\nStatus: {status}\n"
    found = classified(multipart(DAEMON, part("text/plain", "See below."), part("message/delivery-status", report)))
    assert found.kind is Kind.BOUNCE
    assert found.bounce is not None
    assert [(r.action, r.status, r.permanent) for r in found.bounce.recipients] == [(action, status, permanent)]


def test_a_vague_report_is_completed_from_its_prose() -> None:
    report = "Final-Recipient: rfc822; ann@example.net\nAction: delayed\nStatus: 4.0.0\n"
    text = "A message is delayed for more than 4 hours for the following\nlist of recipients:\n\nann@example.net: 421 4.7.0 Too much mail from 192.0.2.7\n"
    found = classified(multipart(DAEMON, part("text/plain", text), part("message/delivery-status", report)))
    assert found.bounce is not None
    (recipient,) = found.bounce.recipients
    assert recipient.status == "4.7.0"
    assert recipient.diagnostic == "421 4.7.0 Too much mail from 192.0.2.7"


def test_a_vague_report_of_one_recipient_takes_the_code_of_its_transcript() -> None:
    report = "Final-Recipient: rfc822; ann@example.net\nAction: failed\nStatus: 5.0.0\nDiagnostic-Code: x-unix; 255\n"
    text = "   ----- Transcript of session follows -----\n554 5.3.0 unknown mailer error 255\n"
    found = classified(multipart(DAEMON, part("text/plain", text), part("message/delivery-status", report)))
    assert found.bounce is not None
    assert [r.status for r in found.bounce.recipients] == ["5.3.0"]


def test_a_report_without_fields_is_read_from_its_prose() -> None:
    found = classified(multipart(DAEMON, part("text/plain", NOTICE), part("message/rfc822", ORIGINAL)))
    assert found.bounce is not None
    assert [(r.address, r.status) for r in found.bounce.recipients] == [("ann@example.net", "5.1.1")]
    assert found.bounce.original_message_id == "original.1@support.example"


def test_a_report_that_lost_its_parts_is_read_as_text() -> None:
    raw = (
        DAEMON
        + "Content-Type: multipart/report; report-type=delivery-status; boundary=gone\n\n"
        + NOTICE
        + "\n"
        + REPORT
    ).encode()
    found = classified(raw, NOTICE + "\n" + REPORT)
    assert found.bounce is not None
    assert [(r.address, r.status) for r in found.bounce.recipients] == [("ann@example.net", "5.1.1")]


def test_a_report_whose_status_part_was_renamed_is_read() -> None:
    raw = multipart(
        DAEMON, part("text/plain", "It failed."), part("text/plain", REPORT), part("message/rfc822", ORIGINAL)
    )
    found = classified(raw, "It failed.")
    assert found.bounce is not None
    assert [r.address for r in found.bounce.recipients] == ["ann@example.net"]


def test_a_report_in_a_relays_own_wrapping_is_found() -> None:
    inner = (
        multipart(DAEMON, part("text/plain", NOTICE), part("message/delivery-status", REPORT))
        .decode()
        .replace("b1", "b2")
    )
    raw = multipart(
        DAEMON,
        part("text/plain", "The message below was scanned."),
        part("message/rfc822", inner),
        kind="multipart/mixed",
    )
    found = classified(raw, "The message below was scanned.")
    assert found.kind is Kind.BOUNCE
    assert found.bounce is not None
    assert [r.address for r in found.bounce.recipients] == ["ann@example.net"]


def test_failed_recipients_in_the_header_are_all_there_are() -> None:
    raw = (DAEMON + "X-Failed-Recipients: ann@example.net,\n bob@example.net\n\n" + NOTICE).encode()
    found = classified(raw, NOTICE)
    assert found.bounce is not None
    assert [r.address for r in found.bounce.recipients] == ["ann@example.net", "bob@example.net"]
    assert found.bounce.recipients[0].status == "5.1.1"


def test_one_whom_nobody_names_is_the_one_it_was_written_to() -> None:
    raw = multipart(
        DAEMON,
        part("text/plain", "Your mail could not be delivered: user unknown."),
        part("message/rfc822", ORIGINAL),
        kind="multipart/mixed",
    )
    found = classified(raw)
    assert found.bounce is not None
    assert [(r.address, r.status) for r in found.bounce.recipients] == [("ann@example.net", "5.1.1")]


def test_what_a_bounce_answers_stands_in_for_a_missing_copy() -> None:
    raw = (DAEMON + "In-Reply-To: <original.1@support.example>\n\n" + NOTICE).encode()
    found = classified(raw, NOTICE)
    assert found.bounce is not None
    assert found.bounce.original_message_id == "original.1@support.example"


def test_an_address_that_can_help_is_no_recipient() -> None:
    notice = read_notice("Sorry, ann@example.net does not exist here. Please contact helpdesk@example.net.\n")
    assert [r.address for r in read_recipients(notice)] == ["ann@example.net"]
    wrapped = read_notice(
        "It could not be delivered:\n\n<ann@example.net>\n\nFor further assistance, please contact\n<postmaster@example.net>\n"
    )
    assert [r.address for r in read_recipients(wrapped)] == ["ann@example.net"]


def test_the_line_with_the_code_is_the_diagnostic() -> None:
    notice = read_notice(
        "Your message to ann@example.net couldn't be delivered.\nann wasn't found at example.net.\n\n"
        "Reported error:  550 5.1.10 RESOLVER.ADR.RecipientNotFound\n"
    )
    (recipient,) = read_recipients(notice)
    assert recipient.status == "5.1.10"
    assert recipient.diagnostic == "Reported error:  550 5.1.10 RESOLVER.ADR.RecipientNotFound"


def test_several_recipients_of_one_line_share_their_reason() -> None:
    notice = read_notice(
        "Could not be delivered to the following recipients:\n\nann@example.net; bob@example.net\nReason: 550 unknown user\n"
    )
    assert [(r.address, r.status) for r in read_recipients(notice)] == [
        ("ann@example.net", "5.1.1"),
        ("bob@example.net", "5.1.1"),
    ]


# Not bounces.


def test_a_customer_who_forwards_a_report_as_an_attachment_wrote_a_message() -> None:
    inner = (
        multipart(DAEMON, part("text/plain", NOTICE), part("message/delivery-status", REPORT))
        .decode()
        .replace("b1", "b2")
    )
    raw = multipart(
        CUSTOMER + "Subject: FW: Undelivered Mail Returned to Sender\n",
        part("text/plain", "What is this?"),
        part("message/rfc822", inner),
        kind="multipart/mixed",
    )
    found = classified(raw)
    assert found.kind is Kind.MESSAGE
    assert found.bounce is None
    assert not found.automatic.is_automatic


def test_a_customer_whose_program_forwards_the_parts_one_by_one_wrote_a_message() -> None:
    raw = multipart(
        CUSTOMER + "Subject: Fwd: Undelivered Mail Returned to Sender\n",
        part("text/plain", "I can't reach Ann, see below.\n\n" + NOTICE),
        part("message/delivery-status", REPORT),
        part("message/rfc822", ORIGINAL),
        kind="multipart/mixed",
    )
    assert classified(raw).kind is Kind.MESSAGE


@pytest.mark.parametrize("prefix", ["", "> ", "| "])
@pytest.mark.parametrize(
    "subject", ["Help", "Re: Undelivered Mail Returned to Sender", "Undelivered mail?", "WG: failure notice"]
)
def test_a_customer_who_quotes_a_notice_wrote_a_message(prefix: str, subject: str) -> None:
    text = "Hello, I got this:\n\n" + "".join(f"{prefix}{line}\n" for line in (NOTICE + "\n" + REPORT).splitlines())
    raw = (CUSTOMER + f"Subject: {subject}\nIn-Reply-To: <x@y.example>\n\n{text}").encode()
    found = classified(raw, text)
    assert found.kind is Kind.MESSAGE
    assert not found.automatic.is_automatic


def test_a_postmaster_who_answers_in_person_wrote_a_message() -> None:
    text = "Dear desk,\n\nwe have fixed the alias, please try again.\n\nRegards, Eve\n\n> <ann@example.net>: unknown user\n> This is the qmail-send program at mx.example.net.\n"
    raw = (
        "Return-Path: <postmaster@example.net>\nFrom: Postmaster <postmaster@example.net>\nTo: desk@support.example\nSubject: Re: failure notice\n\n"
        + text
    ).encode()
    assert classified(raw, text).kind is Kind.MESSAGE


def test_a_postmaster_who_quotes_a_notice_under_words_of_their_own_wrote_a_message() -> None:
    text = "Dear desk,\n\nwe have fixed the alias.\n\n> Hi. This is the qmail-send program at mx.example.net.\n> <ann@example.net>:\n"
    raw = (
        "From: Postmaster <postmaster@example.net>\nTo: desk@support.example\nSubject: Your alias\n\n" + text
    ).encode()
    assert classified(raw, text).kind is Kind.MESSAGE


@pytest.mark.parametrize(
    "sender",
    [
        "Parcels <noreply@parcels.example>",
        "Royal Mail Delivery <delivery@parcels.example>",
        "Delivery <smtp@parcels.example>",
    ],
)
def test_a_parcel_that_could_not_be_delivered_is_no_bounce(sender: str) -> None:
    text = "Delivery failed\n\nWe were unable to deliver your parcel 550 123.\nRecipient: bob@customer.example\n"
    raw = (
        f"Return-Path: <bounce-17@parcels.example>\nFrom: {sender}\nTo: desk@support.example\n"
        f"Subject: Delivery failed: your parcel\nAuto-Submitted: auto-generated\n\n{text}"
    ).encode()
    found = classified(raw, text)
    assert found.kind is Kind.MESSAGE
    assert found.automatic.is_automatic


def test_an_absence_note_without_a_sender_is_an_automatic_reply() -> None:
    text = "Thank you for your message. I am away until Monday; your mail will not be forwarded.\nFor urgent matters write to bob@example.net.\n"
    raw = (
        "Return-Path: <>\nFrom: Ann <ann@example.net>\nTo: desk@support.example\nSubject: Automatic reply: Your request\nAuto-Submitted: auto-replied\n\n"
        + text
    ).encode()
    found = classified(raw, text)
    assert found.kind is Kind.AUTO_REPLY
    assert found.bounce is None


def test_a_list_that_turns_a_message_away_is_a_bounce_of_the_list() -> None:
    text = "You are not a member of this mailing list <gardeners@lists.example>.\n\nTo join, write to\n\n\tgardeners-ctl@lists.example\n"
    raw = (
        "Return-Path: <gardeners-admin@lists.example>\nFrom: gardeners-admin@lists.example\nTo: desk@support.example\nSubject: You are not member (gardeners ML)\n\n"
        + text
    ).encode()
    found = classified(raw, text)
    assert found.bounce is not None
    assert [r.address for r in found.bounce.recipients] == ["gardeners@lists.example"]
    person = raw.replace(b"gardeners-admin@", b"ann@")
    assert classified(person, text).kind is Kind.MESSAGE


# Hostile.

HOSTILE = [
    b"\n" + b"@" * 500_000,
    b"\n" + b"a@b.example: 550 5.1.1\n" * 50_000,
    b"\n" + b"\n" * 500_000,
    b"\n" + b"5.1." * 200_000,
    b"\n" + b"<" * 500_000,
    b"X-Failed-Recipients: " + b"a@b.example, " * 15_000 + b"\n\nhi\n",
    b"Auto-Submitted: " + b"(" * 200_000 + b"\n\nhi\n",
    b"Content-Type: multipart/report; report-type=delivery-status; boundary=b\n\n"
    + b"--b\nContent-Type: message/delivery-status\n\nFinal-Recipient: rfc822;a@b\n\n" * 20_000,
    b"Content-Type: multipart/report; boundary=b\n\n--b\nContent-Type: message/delivery-status\n\nDiagnostic-Code:"
    + b"\n x" * 300_000,
]


@pytest.mark.parametrize("octets", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_bounce_is_read_to_its_limits(octets: bytes) -> None:
    raw = DAEMON.encode() + octets
    tree = mime.read_tree(raw)
    text = "" if tree.root.children else tree.root.text()
    assert classify(tree, text).kind is Kind.BOUNCE


WORDS = st.sampled_from([
    "Return-Path: <>\n", "From: MAILER-DAEMON@x.example\n", "From: \n", "From: <>\n", "Subject: failure notice\n", "Subject: Auto: x\n",
    "Content-Type: multipart/report; report-type=delivery-status; boundary=b\n", "Content-Type: message/delivery-status\n",
    "Content-Type: message/rfc822\n", "Content-Type: multipart/report\n", "Content-Type: text/rfc822-headers\n", "Auto-Submitted: ()(;\n",
    "--b\n", "--b--\n", "\n", " ", "Final-Recipient: rfc822; a@b\n", "Action: failed\n", "Status: 5\n", "Message-ID: <\n", "\x00", "\udce9",
    "<a@b>: 550 no\n", "could not be delivered\n", "ann@", "@", "X-Failed-Recipients: ,@,\n", "Precedence: bulk\n", "List-Id: x\n",
])  # fmt: skip


@given(st.lists(WORDS, max_size=40).map("".join), st.lists(WORDS, max_size=40).map("".join))
def test_classifying_never_raises(raw: str, text: str) -> None:
    found = classify(mime.read_tree(raw.encode("utf-8", "surrogateescape")), text)
    assert (found.bounce is not None) == (found.kind is Kind.BOUNCE)
    assert found.automatic.is_automatic == (found.automatic.reason is not None)


@given(st.binary(max_size=400), st.text(max_size=400))
def test_classifying_noise_never_raises(raw: bytes, text: str) -> None:
    classify(mime.read_tree(raw), text)
