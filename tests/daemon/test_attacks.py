"""What other help desks suffered, tried on this one: one row an attack, with what must hold afterwards.

In every row Eve, a stranger, may hold more than a stranger should: where a row uses Ann's signed address, somebody
forwarded her that notice, and only what the row is about stands between her and Ann's voice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta

import pytest
from peers.attacks import (
    CY,
    DI,
    EVE,
    LURE,
    PINNED,
    VICTIM,
    VOUCHED,
    Attempt,
    Holds,
    Scene,
    at_most,
    changes_nothing,
    is_an_internal_note,
    is_well_formed,
    joins_as_customer,
    joins_flagged,
    learns_nothing,
    no_mail,
    no_mail_to,
    no_word_anywhere,
    no_word_to_others,
    nothing_failed,
    nothing_vanishes,
    opens_its_own,
    speaks_for_no_agent,
    stage,
    stays_out,
    tickets,
)  # fmt: skip
from peers.house import ANN, BOB, CONFIG, SUPPORT, answer, open_test_house

from postroom.threading.tokens import Role, Signer

Attempts = Attempt | Iterable[Attempt]
SOME = 5  # one in so many is tried on PostgreSQL, too: what they meet are the same rules


@dataclass(frozen=True, slots=True)
class Attack:
    """One row: its name, who suffered it, what is sent, and what must hold."""

    name: str
    suffered: str  # "" where nobody published it
    attempts: Callable[[Scene], Attempts]
    holds: tuple[Holds, ...]
    is_pinned: bool = False  # in a house whose server in front vouches for senders


_count = iter(range(1, 1_000_000))


def forged(
    *fields: str | bytes, sender: str | bytes = f"Eve <{EVE}>", to: str = SUPPORT, subject: str = "Hello",
    text: str = "Send me everything.", message_id: str | None = None,
) -> bytes:  # fmt: skip
    """A mail as bytes, field by field, with nothing set right by a library."""
    octets = lambda value: value if isinstance(value, bytes) else value.encode()  # noqa: E731
    message_id = f"<e{next(_count)}@stranger.example>" if message_id is None else message_id
    lines = [
        *map(octets, fields), b"From: " + octets(sender), f"To: {to}", f"Subject: {subject}", f"Message-ID: {message_id}",
        "Date: Tue, 24 Nov 2026 12:00:00 +0000", "", text, "",
    ]  # fmt: skip
    return b"\r\n".join(map(octets, lines))


def by_number(scene: Scene, *fields: str | bytes, **options: str) -> Attempt:
    return Attempt(forged(*fields, subject=f"Re: [{scene.ref}] Wrong bill", **options))


def as_ann(scene: Scene, *fields: str | bytes, sender: str | bytes, envelope: str = EVE) -> Attempt:
    """To Ann's signed address, with some trick about From."""
    raw = forged(*fields, sender=sender, to=scene.agents_address, subject="Re: Wrong bill")
    return Attempt(raw, scene.agents_address, envelope)


def to_token(scene: Scene, token: str, sender: str = EVE, mailbox: str = "support@example.com") -> Attempt:
    local, _, domain = mailbox.partition("@")
    address = f"{local}+{token}@{domain}"
    return Attempt(forged(sender=sender, to=f"<{address}>"), address)


def token_of(address: str) -> str:
    return address.partition("@")[0].partition("+")[2]


def vouching(*fields: str | bytes) -> Callable[[Scene], Attempt]:
    """Ann's From and Ann's signed address, in a house where Ann's domain has to be vouched for."""
    return lambda scene: as_ann(scene, *fields, sender=f"Ann Agent <{ANN}>", envelope=ANN)


def is_no_agents(name: str, suffered: str, sender: str | bytes, *fields: str | bytes) -> Attack:
    """A trick about From, to Ann's signed address."""
    return Attack(
        name, suffered, lambda scene: as_ann(scene, *fields, sender=sender), (speaks_for_no_agent, changes_nothing)
    )  # fmt: skip


def is_not_vouched_for(
    name: str, *fields: str | bytes, suffered: str = "18 ways of composing From and results"
) -> Attack:
    return Attack(name, suffered, vouching(*fields), (speaks_for_no_agent, is_an_internal_note), is_pinned=True)


def bounce(scene: Scene, recipient: str, message_id: str, to: str) -> Attempt:
    """A delivery report that names a mail of ours and one of its recipients."""
    raw = (
        f"From: MAILER-DAEMON@mx.stranger.example\r\nTo: {to}\r\nSubject: Undelivered\r\nMessage-ID: <b{next(_count)}@x.example>\r\n"
        "Auto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\nContent-Type: multipart/report; "
        "report-type=delivery-status; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nNo such user.\r\n"
        "--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example\r\n\r\n"
        f"Final-Recipient: rfc822; {recipient}\r\nAction: failed\r\nStatus: 5.1.1\r\n\r\n--b\r\n"
        f"Content-Type: text/rfc822-headers\r\n\r\nMessage-ID: <{message_id}>\r\n\r\n--b--\r\n"
    )
    return Attempt(raw.encode(), to.strip("<>"), "")


def bounce_address(scene: Scene, recipient: str) -> str:
    row = next(row for row, _ in scene.desk.outbox(purpose="reply") if row.recipient == recipient)
    return str(row.envelope_sender)


def with_file(name: str) -> bytes:
    """A mail of Cy's with a file of that name."""
    return (
        forged("MIME-Version: 1.0", 'Content-Type: multipart/mixed; boundary="b"', sender=CY, text="--b\r\n\r\nSee file.\r\n--b\r\n"
               f'Content-Type: text/html; name="{name}"\r\nContent-Disposition: attachment; filename="{name}"\r\n\r\n'
               "<script>alert(1)</script>\r\n--b--")
    )  # fmt: skip


def copy_of_anns_answer_first(scene: Scene) -> list[Attempt]:
    """Somebody who sees Ann's answer on its way sends a copy ahead, where it is no answer; then comes Ann's own."""
    real = answer(scene.notice, "The real answer.\n")
    stranger = real.replace(f"To: {scene.agents_address}".encode(), f"To: {scene.customers_address}".encode())
    assert stranger != real
    return [Attempt(stranger, scene.customers_address, EVE), Attempt(real, scene.agents_address)]


def copy_of_cys_answer_first(scene: Scene) -> list[Attempt]:
    """The same with a customer's answer, and a header that makes the copy an automatic one."""
    real = answer(scene.reply, "The real question.\n", CY)
    return [
        Attempt(b"Auto-Submitted: auto-replied\r\n" + real, scene.customers_address, EVE),
        Attempt(real, scene.customers_address),
    ]


def the_real_one_counts(author: str, words: str) -> Holds:
    def holds(scene: Scene) -> None:
        public = [m for m in scene.new_messages() if m.visibility == "public"]
        assert [(m.author_type, m.text) for m in public] == [(author, words)]
        assert [row for row, _ in scene.new_mail()] != []

    return holds


def confirmation_is_fixed(scene: Scene) -> None:
    """One confirmation, to the forged From, with a subject of ours."""
    (sent,) = [sent for row, sent in scene.new_mail() if row.purpose == "confirmation" and sent is not None]
    assert (sent.to[0].name, sent.to[0].address) == ("", VICTIM)
    assert "pills" not in sent.subject.lower()


def ends_on_eves_ticket(scene: Scene) -> None:
    assert scene.settled[1].ticket_id == scene.settled[0].ticket_id != scene.ticket


def eves_own_token(scene: Scene) -> Iterator[Attempt]:
    """Eve has a ticket of her own, and names Cy's wherever she can."""
    yield Attempt(forged(text="My own."))
    key = scene.desk.ticket(scene.settled[0].ticket_id).key
    own = scene.signer.reply(key, Role.CUSTOMER, scene.reply.date + timedelta(days=9))  # type: ignore[operator]
    address = f"support+{own}@example.com"
    second = forged(
        "In-Reply-To: <first@customer.example>", f"References: <{scene.reply.message_id}x> <first@customer.example>",
        subject=f"Re: [{scene.ref}]", to=f"{address}, {SUPPORT}",
    )  # fmt: skip
    yield Attempt(second, address)


def expired(scene: Scene, sender: str, address: str) -> Attempt:
    scene.desk.later = timedelta(days=400)
    return Attempt(forged(sender=sender, to=address), address)


def other_house(scene: Scene) -> Signer:
    return Signer([b"another house's key, never ours"])


def poisoned_first(scene: Scene) -> list[Attempt]:
    real = answer(scene.reply, "The real question.\n", CY, Message_ID="<next@customer.example>")
    poison = forged(message_id="<next@customer.example>", sender=CY, to=scene.customers_address, text="Never mind.")
    return [Attempt(poison, SUPPORT, EVE), Attempt(real, scene.customers_address)]


def says(words: str) -> Holds:
    def holds(scene: Scene) -> None:
        assert words in [message.text for message in scene.desk.conversation(scene.ticket)]

    return holds


def html_is_ours(scene: Scene) -> None:
    """No HTML of ours holds a tag of a stranger's."""
    import email

    for row, _ in scene.new_mail():
        for part in email.message_from_bytes(row.content).walk():
            if part.get_content_type() == "text/html":
                page = part.get_payload(decode=True)
                assert b"<script" not in page
                assert b"<img src=x" not in page


def priority_is(scene: Scene, wanted: str) -> None:
    ticket = scene.desk.ticket(scene.ticket)
    assert (ticket.priority, ticket.tags) == (wanted, [])


def a_crowd_gets_nothing(scene: Scene) -> None:
    """Also not when an agent answers the ticket that copied it."""
    notice = scene.desk.sent("new_ticket", ANN)
    before = len(scene.desk.outbox())
    to = notice.reply_to[0].address
    scene.desk.take(answer(notice, Authentication_Results=VOUCHED), recipient=to)
    assert [row.recipient for row, _ in scene.desk.outbox()[before:] if row.purpose == "reply"] == [EVE]


def is_nowhere_on_disk(scene: Scene) -> None:
    """File names are data: shown without their path."""
    shown = [a.filename for _, sent in scene.new_mail() if sent for a in sent.attachments]
    assert not [name for name in shown if "/" in name or "\\" in name]


ATTACKS = (
    # who may join: numbers, Message-IDs, references
    Attack("a guessed ticket number in the subject", "Zendesk 2024 and before", by_number, (stays_out, opens_its_own, learns_nothing)),
    Attack("a guessed number, the customer's From, and the attacker in Cc", "Zendesk 2024: outsiders got the history",
           lambda s: by_number(s, f"Cc: {EVE}", sender=CY), (no_mail_to(EVE),)),
    Attack("a known Message-ID, the customer's From, and the attacker in Cc", "Zendesk 2024",
           lambda s: Attempt(forged("In-Reply-To: <first@customer.example>", f"Cc: {EVE}", sender=CY)), (no_mail_to(EVE),)),
    Attack("a guessed number and the attacker in To", "Zendesk 2024",
           lambda s: by_number(s, sender=CY, to=f"{SUPPORT}, {EVE}"), (no_mail_to(EVE),)),
    Attack("the customer's subject with Re:, the customer's From, and the attacker in Cc", "",
           lambda s: Attempt(forged(f"Cc: {EVE}", subject="Re: Wrong bill", sender=CY)), (no_mail_to(EVE),)),
    Attack("a ticket number behind the plus", "", lambda s: to_token(s, "1001"), (stays_out, opens_its_own)),
    Attack("a known Message-ID in In-Reply-To", "tickets joined by known Message-IDs",
           lambda s: Attempt(forged("In-Reply-To: <first@customer.example>")), (stays_out, opens_its_own, learns_nothing)),
    Attack("a thousand guessed references", "", lambda s: Attempt(forged(
        "References: " + "\r\n ".join(f"<{n}@customer.example>" for n in range(999)) + "\r\n <first@customer.example>")),
           (stays_out, opens_its_own)),
    Attack("a Message-ID that looks like one of ours", "CVE-2026-47123",
           lambda s: Attempt(forged(f"In-Reply-To: <{'a' * 44}@example.com>")), (stays_out,)),
    Attack("one of our Message-IDs with its ticket changed", "CVE-2026-47123", lambda s: Attempt(forged(
        f"In-Reply-To: <b{(s.reply.message_id or '')[1:]}>")), (stays_out,)),
    Attack("one of our Message-IDs, signed by another house", "", lambda s: Attempt(forged(
        f"In-Reply-To: <{other_house(s).message_id(1001, 7)}@example.com>")), (stays_out,)),
    Attack("the subject tag of another site", "", lambda s: Attempt(forged(
        subject="Re: [OTHER-1001] [T-1001x] [T-] [T-99999999999999999999]")), (stays_out, opens_its_own)),
    Attack("the same tag as of another site, by a customer who has it from there", "",
           lambda s: Attempt(forged(subject=f"Re: [{s.ref}] Order", sender=VICTIM)), (stays_out, learns_nothing)),
    Attack("the customer's subject, word by word", "", lambda s: Attempt(forged(subject="Re: Wrong bill")), (stays_out,)),
    Attack("Thread-Index and Thread-Topic of the customer's mail", "", lambda s: Attempt(forged(
        "Thread-Topic: Wrong bill", "Thread-Index: AdB0cm9vbQ==")), (stays_out,)),
    Attack("a reference that joins the attacker's ticket with the customer's", "", lambda s: [
        Attempt(forged(message_id="<mine@stranger.example>")),
        Attempt(forged("References: <mine@stranger.example> <first@customer.example>"))], (stays_out, tickets(2))),
    Attack("a thousand addresses in Cc", "", lambda s: Attempt(forged(
        "Cc: " + ",\r\n ".join(f"v{n}@elsewhere.example" for n in range(1000)))),
           (stays_out, *(at_most(0, f"v{n}@elsewhere.example") for n in (0, 500)), a_crowd_gets_nothing)),
    Attack("a known Message-ID and the customer's From, which a server in front says is forged", "tickets joined by known Message-IDs",
           lambda s: Attempt(forged(f"Authentication-Results: {PINNED}; dmarc=fail header.from=customer.example",
                                    "In-Reply-To: <first@customer.example>", sender=CY)),
           (stays_out, opens_its_own, at_most(0, CY)), is_pinned=True),
    # tokens
    Attack("a customer's signed address in the hands of a stranger", "", lambda s: Attempt(
        forged(to=s.customers_address), s.customers_address), (joins_flagged, no_mail_to(EVE))),
    Attack("a customer's signed address and an agent's From", "CVE-2026-47123, one token for all roles", lambda s: Attempt(
        forged(sender=ANN, to=s.customers_address), s.customers_address), (speaks_for_no_agent, is_an_internal_note, changes_nothing)),
    Attack("an agent's signed address and another agent's From", "", lambda s: as_ann(s, sender=BOB, envelope=BOB),
           (speaks_for_no_agent, is_an_internal_note)),
    Attack("an agent's signed address in the hands of the customer", "", lambda s: as_ann(s, sender=CY, envelope=CY),
           (speaks_for_no_agent, is_an_internal_note, changes_nothing)),
    Attack("an agent's signed address in the hands of a stranger", "", lambda s: as_ann(s, sender=EVE),
           (speaks_for_no_agent, is_an_internal_note, no_mail_to(EVE))),
    Attack("a signed address on another mailbox", "", lambda s: to_token(
        s, token_of(s.customers_address), mailbox="sales@example.com"), (joins_flagged, no_mail_to(EVE), learns_nothing)),
    Attack("an agent's token on another mailbox", "", lambda s: to_token(
        s, token_of(s.agents_address), mailbox="sales@example.com"), (speaks_for_no_agent, is_an_internal_note)),
    Attack("a bounce token as a reply address", "", lambda s: Attempt(
        forged(to=bounce_address(s, CY)), bounce_address(s, CY)), (stays_out,)),
    Attack("a Message-ID's token as a reply address", "", lambda s: to_token(
        s, (s.reply.message_id or "").partition("@")[0]), (stays_out,)),
    Attack("a reply token as a Message-ID", "", lambda s: Attempt(forged(
        f"In-Reply-To: <{token_of(s.customers_address)}@example.com>")), (stays_out,)),
    Attack("a reply token as a bounce address", "", lambda s: bounce(s, CY, "x@y", s.customers_address), (nothing_failed,)),
    Attack("a token of another house's key", "", lambda s: to_token(
        s, other_house(s).reply(1001, Role.CUSTOMER, s.reply.date + timedelta(days=9))), (stays_out,)),  # type: ignore[operator]
    Attack("an agent's token that has expired", "CVE-2021-38562, tokens without an end", lambda s: expired(
        s, ANN, s.agents_address), (speaks_for_no_agent,)),
    Attack("a customer's token that has expired", "CVE-2021-38562", lambda s: expired(s, EVE, s.customers_address), (stays_out,)),
    Attack("a token in upper case gives no more", "", lambda s: to_token(
        s, token_of(s.agents_address).upper()), (speaks_for_no_agent, is_an_internal_note)),
    *(Attack(f"a token with {what}", "", lambda s, change=change: to_token(s, change(token_of(s.agents_address)), ANN), (
        speaks_for_no_agent, stays_out)) for what, change in (
            ("junk behind it", lambda t: t + "aa"), ("junk before it", lambda t: "aa" + t), ("its end cut off", lambda t: t[:-1]),
            ("its halves swapped", lambda t: t[22:] + t[:22]), ("a second plus", lambda t: t[:20] + "+" + t[20:]))),
    Attack("one's own token, and another's ticket everywhere else", "", eves_own_token, (stays_out, ends_on_eves_ticket, learns_nothing)),
    # From, to an agent's signed address
    is_no_agents("From twice", "spoofing by doubled From", EVE, f"From: {ANN}"),
    is_no_agents("From twice, the agent's last", "", ANN, f"From: {EVE}"),
    is_no_agents("From with several addresses", "", f"{ANN}, {EVE}"),
    is_no_agents("From with the agent twice", "", f"{ANN}, {ANN}"),
    is_no_agents("a group in From", "", f"Agents: {ANN}, {EVE};"),
    is_no_agents("an empty From", "", ""),
    is_no_agents("a comment in From", "", f"{ANN} (x) <{EVE}>"),
    is_no_agents("the agent's address in a comment", "", f"{EVE} ({ANN})"),
    is_no_agents("an address as a display name", "two recipients out of one display name", f'"Ann Agent <{ANN}>" <{EVE}>'),
    is_no_agents("an address as a display name, unquoted", "", f"Ann Agent <{ANN}> <{EVE}>"),
    is_no_agents("an encoded word as an address", "CVE-2023-27043", f"=?utf-8?q?ann=40example.com?= <{EVE}>"),
    is_no_agents("an encoded word with an angle bracket", "CVE-2023-27043", f"=?utf-8?q?=3Cann=40example.com=3E?= <{EVE}>"),
    is_no_agents("an encoded word within an address", "encoded-word addresses, 2024", "<=?utf-8?q?ann=40example.com=3E=00?=@stranger.example>"),
    is_no_agents("a quoted local part with an address", "", '"ann@example.com"@stranger.example'),
    is_no_agents("a route in From", "", "<@example.com:eve@stranger.example>"),
    is_no_agents("two at-signs", "", "<ann@example.com@stranger.example>"),
    is_no_agents("a NUL behind the agent's address", "", b"ann@example.com\x00@stranger.example"),
    is_no_agents("a NUL within the agent's address", "", b"<ann@exam\x00ple.com>"),
    is_no_agents("a control character in the address", "", b"<ann\x08@example.com>"),
    is_no_agents("a bare CR before another From", "CVE-2023-51764 and kin", f"{EVE}\rFrom: {ANN}"),
    is_no_agents("a Cyrillic letter", "homographs", "<аnn@example.com>"),
    is_no_agents("a full-width at-sign", "", "<ann＠example.com>"),
    is_no_agents("a comma born in folding", "CVE-2025-1795", f"=?utf-8?q?{'x' * 60}=2C?=\r\n =?utf-8?q?_ann=40example.com=2C?= <{EVE}>"),
    is_no_agents("a Sender", "", EVE, f"Sender: {ANN}"),
    is_no_agents("a Reply-To", "", EVE, f"Reply-To: {ANN}"),
    is_no_agents("a Resent-From", "", EVE, f"Resent-From: {ANN}", f"Resent-Sender: {ANN}"),
    is_no_agents("the agent as envelope sender", "", EVE, f"Return-Path: <{ANN}>", f"X-Envelope-From: {ANN}"),
    is_no_agents("control headers", "CVE-2023-41259", EVE, "X-Postroom-Agent: ann", "X-Postroom-Role: agent", "X-OTRS-From: ann@example.com",
                 f"X-Ticket-Author: {ANN}", "X-RT-Command: resolve", "X-Zammad-Ticket-State: closed"),
    Attack("an agent's own address out of the blue", "", lambda s: Attempt(forged(sender=ANN, subject=f"[{s.ref}] #close", text="#close")),
           (speaks_for_no_agent, changes_nothing, at_most(0, CY), at_most(1, ANN))),  # she is told that somebody uses her name
    # who vouches: Ann's own From and signed address, where a server in front must have said that it is she
    is_not_vouched_for("nobody vouches"),
    is_not_vouched_for("another server vouches", "Authentication-Results: mx.stranger.example; dmarc=pass header.from=example.com"),
    is_not_vouched_for("our server's name with another's behind it", f"Authentication-Results: {PINNED}.stranger.example; dmarc=pass header.from=example.com"),
    is_not_vouched_for("our server's name in a comment", f"Authentication-Results: ({PINNED}) mx.stranger.example; dmarc=pass header.from=example.com"),
    is_not_vouched_for("our server's name behind another's", f"Authentication-Results: mx.stranger.example {PINNED}; dmarc=pass header.from=example.com"),
    is_not_vouched_for("a forged header below the real one", f"Authentication-Results: {PINNED}; dmarc=fail header.from=example.com", f"Authentication-Results: {VOUCHED}"),
    is_not_vouched_for("a forged header below one that checked nothing", f"Authentication-Results: {PINNED}; none", f"Authentication-Results: {VOUCHED}"),
    is_not_vouched_for("a result within a comment", f"Authentication-Results: {PINNED}; none (; dmarc=pass header.from=example.com)"),
    is_not_vouched_for("a result within a reason", f'Authentication-Results: {PINNED}; dmarc=fail reason="; dmarc=pass header.from=example.com" header.from=example.com'),
    is_not_vouched_for("the property in a comment", f"Authentication-Results: {PINNED}; dmarc=pass (header.from=example.com) header.from=stranger.example"),
    is_not_vouched_for("the property of another method", f"Authentication-Results: {PINNED}; spf=pass smtp.helo=example.com; dkim=none header.from=example.com"),
    is_not_vouched_for("an envelope sender that ends alike", f'Authentication-Results: {PINNED}; spf=pass smtp.mailfrom="x@example.com"@stranger.example'),
    is_not_vouched_for("a signature of a domain that begins alike", f"Authentication-Results: {PINNED}; dkim=pass header.d=example.com.stranger.example"),
    is_not_vouched_for("a fold within our server's name", "Authentication-Results: mx.example.\r\n com; dmarc=pass header.from=example.com"),
    is_not_vouched_for("headers of other names", f"ARC-Authentication-Results: i=1; {VOUCHED}", f"X-Authentication-Results: {VOUCHED}", f"Old-Authentication-Results: {VOUCHED}",
                       "Received-SPF: pass"),
    is_not_vouched_for("a blank in the header's name", f"Authentication-Results : {PINNED}; none", f"X-A: b\rAuthentication-Results: {VOUCHED}"),
    is_not_vouched_for("a real pass for the attacker's own domain", f"Authentication-Results: {PINNED}; dmarc=pass header.from=stranger.example"),
    # poison: a mail that should keep a real one from being seen
    Attack("the Message-ID of a mail to come", "Message-IDs poisoned to suppress a later mail", poisoned_first, (says("The real question."),)),
    Attack("a copy of an agent's answer, sent ahead to where it is none", "", copy_of_anns_answer_first, (the_real_one_counts("agent", "The real answer."),)),
    Attack("a copy of a customer's answer, sent ahead as an automatic one", "", copy_of_cys_answer_first, (the_real_one_counts("user", "The real question."),)),
    Attack("one of our Message-IDs as a stranger's own", "", lambda s: Attempt(forged(message_id=f"<{s.reply.message_id}>")),
           (stays_out, opens_its_own, learns_nothing)),
    Attack("one of our Message-IDs as the customer's own", "", lambda s: Attempt(
        forged(message_id=f"<{s.reply.message_id}>", sender=CY, to=s.customers_address), s.customers_address), (joins_as_customer,)),
    Attack("the same mail twice, through two ways", "", lambda s: [
        Attempt(raw := forged(sender=CY, to=s.customers_address), s.customers_address),
        Attempt(b"Received: from a by b; Tue, 24 Nov 2026 12:00:00 +0000\r\n" + raw, "sales@example.com", CY)],
           (says("Send me everything."), tickets(1))),
    # reports
    Attack("an automatic reply with a signed address", "", lambda s: Attempt(
        forged("Auto-Submitted: auto-replied", sender=CY, to=s.customers_address), s.customers_address), (changes_nothing, no_mail)),
    Attack("an automatic reply in an agent's name", "", lambda s: as_ann(s, "Auto-Submitted: auto-replied", sender=ANN),
           (speaks_for_no_agent, no_mail, changes_nothing)),
    Attack("a bounce with a signed address of another purpose", "", lambda s: bounce(
        s, CY, s.reply.message_id or "", s.agents_address), (nothing_failed, changes_nothing)),
    Attack("a bounce with a guessed address", "", lambda s: bounce(s, CY, "guessed@example.com", f"support+{'a' * 44}@example.com"), (nothing_failed, no_mail)),
    Attack("a bounce in the name of another recipient, by one who got the same mail", "", lambda s: bounce(
        s, CY, s.reply.message_id or "", SUPPORT), (nothing_failed, no_mail, changes_nothing)),
    Attack("a bounce to one's own signed address that names another's", "", lambda s: bounce(
        s, f"{CY}\r\nAction: delayed\r\nStatus: 4.0.0\r\n\r\nFinal-Recipient: rfc822; x@y.example", s.reply.message_id or "", bounce_address(s, DI)),
        (nothing_failed, changes_nothing)),
    # what we answer by ourselves
    Attack("an advertisement as the subject, a victim as From", "2025-26: relay spam through over 100 organisations",
           lambda s: Attempt(forged(sender=f"{LURE} http://pills.example <{VICTIM}>", subject=f"{LURE} http://pills.example", text=LURE)),
           (confirmation_is_fixed, no_word_to_others(LURE, "pills.example"))),
    Attack("a bomb of confirmations", "", lambda s: [Attempt(forged(sender=VICTIM, text=f"{n}")) for n in range(12)], (at_most(3, VICTIM),)),
    Attack("a bomb of confirmations, by subaddresses", "", lambda s: [
        Attempt(forged(sender=f"victim+{n}@elsewhere.example", text=f"{n}")) for n in range(12)],
           tuple(at_most(1, f"victim+{n}@elsewhere.example") if n < 3 else at_most(0, f"victim+{n}@elsewhere.example") for n in range(12))),
    Attack("a Reply-To that redirects the confirmation", "Reply-To redirecting the confirmation",
           lambda s: Attempt(forged(f"Reply-To: {VICTIM}")), (no_mail_to(VICTIM),)),
    Attack("a mail that names none of our addresses", "", lambda s: Attempt(forged(to=VICTIM)), (at_most(0, EVE), at_most(0, VICTIM))),
    Attack("the null envelope sender", "", lambda s: Attempt(forged(sender=VICTIM), SUPPORT, ""), (at_most(0, VICTIM),)),
    Attack("one of our own addresses as From", "loops", lambda s: [Attempt(forged(sender=f"<{a}>", text=a)) for a in (SUPPORT, "sales@example.com")],
           (at_most(0, SUPPORT), at_most(0, "sales@example.com"))),
    Attack("our own signed address as From", "loops", lambda s: Attempt(forged(sender=f"<{s.customers_address}>")),
           (lambda s: at_most(0, s.customers_address)(s),)),
    Attack("our own address as From, and a signed one as Reply-To", "", lambda s: Attempt(
        forged(f"Reply-To: {s.customers_address}", sender=SUPPORT)), (stays_out, no_mail, changes_nothing)),
    # words that would become something else
    Attack("line ends in an encoded subject", "CVE-2024-6923", lambda s: [
        Attempt(forged(subject="=?utf-8?q?Hi=0D=0ABcc:_victim@elsewhere.example=0D=0AX-Injected:_1?=", sender=CY, to=s.customers_address), s.customers_address),
        Attempt(answer(s.notice, "Hi.\n", Subject="x").replace(b"Subject: x", b"Subject: =?utf-8?q?Hi=0AX-Injected:_1?="), s.agents_address)],
           (is_well_formed,)),
    Attack("line ends in an encoded name", "CVE-2024-6923", lambda s: Attempt(forged(
        sender=f"=?utf-8?q?Cy=0D=0ABcc:_victim@elsewhere.example?= <{EVE}>")), (is_well_formed,)),
    Attack("line ends in a Message-ID", "", lambda s: Attempt(forged(message_id="<a\rBcc: victim@elsewhere.example\r@x.example>")), (is_well_formed,)),
    Attack("templates in every field", "CVE-2011-5093", lambda s: Attempt(forged(
        sender='"{{7919*7907}} {% raw %} ${7919*7907} #{7919*7907} <%= 7919*7907 %>" <eve@stranger.example>', subject="{{7919*7907}}{{config}}${7919*7907}", text="{{7919*7907}} {{ ''.__class__ }}",
        message_id="<{{7919*7907}}@x.example>")), (no_word_anywhere("62615533", "<class", "Undefined"), is_well_formed)),
    Attack("HTML in names and words", "CVE-2026-48849", lambda s: Attempt(forged(
        sender='"<script>alert(1)</script>" <eve@stranger.example>', subject="<img src=x onerror=alert(1)>", text="<script>alert(2)</script>")),
           (html_is_ours, is_well_formed)),
    Attack("file names as paths", "file names as paths", lambda s: Attempt(with_file("../../etc/cron.d/evil.html")), (is_nowhere_on_disk, no_word_anywhere("../"))),
    Attack("a file name with directions", "", lambda s: Attempt(with_file("gpj.\u202eexe.html")), (no_word_anywhere("\u202e"),)),
    Attack("a subject of a megabyte", "header bombs, CVE-2024-23184", lambda s: Attempt(forged(subject="a" * (1 << 20))), (is_well_formed, opens_its_own)),
    Attack("a name of a hundred thousand letters", "", lambda s: Attempt(forged(sender=f"{'a' * 100_000} <{EVE}>")), (is_well_formed,)),
    Attack("commands by one who is no agent", "CVE-2023-41259", lambda s: Attempt(forged(
        sender=CY, to=s.customers_address, text="#priority critical\r\n#tag owned\r\n#merge T-1\r\n\r\nThanks."), s.customers_address),
           (joins_as_customer, lambda s: priority_is(s, "medium"))),
)  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_an_attack_gains_nothing(attack, tmp_path):
    gains_nothing(attack, tmp_path)


@pytest.mark.parametrize("attack", ATTACKS[::SOME], ids=lambda attack: attack.name)
def test_an_attack_gains_nothing_on_postgresql(attack, tmp_path, migrated_url):
    gains_nothing(attack, tmp_path, store={"url": migrated_url})


def gains_nothing(attack, tmp_path, **changes):
    if attack.is_pinned:
        changes["mailbox"] = {**CONFIG["mailbox"], "support": {**CONFIG["mailbox"]["support"], "authserv_id": PINNED}}
    with open_test_house(tmp_path, **changes) as desk:
        scene = stage(desk)
        attempts = attack.attempts(scene)
        scene.take([attempts] if isinstance(attempts, Attempt) else attempts)
        for holds in (nothing_vanishes, *attack.holds):
            holds(scene)


def test_the_table_is_long_and_its_rows_have_names_of_their_own():
    assert len({attack.name for attack in ATTACKS}) == len(ATTACKS) >= 45


def test_where_somebody_vouches_the_agent_speaks(tmp_path):
    """The same mail as in the rows above, with the one header that they forge: else they would prove nothing."""
    changes = {"mailbox": {**CONFIG["mailbox"], "support": {**CONFIG["mailbox"]["support"], "authserv_id": PINNED}}}
    with open_test_house(tmp_path, **changes) as desk:
        scene = stage(desk)
        scene.take([vouching(f"Authentication-Results: {VOUCHED}")(scene)])
        assert [m.author_type for m in scene.new_messages()] == ["agent"]


def test_whom_the_holder_of_our_mail_copies_is_answered_too(tmp_path):
    """The same copy as in the rows about Cc, by one who answers a mail of ours."""
    with open_test_house(tmp_path) as desk:
        scene = stage(desk)
        scene.take([Attempt(answer(scene.reply, "And my boss.\n", CY, Cc=VICTIM), scene.customers_address)])
        assert scene.ann_answers() == [CY, DI, VICTIM]


def test_whom_a_vouched_for_customer_copies_is_answered_too(tmp_path):
    changes = {"mailbox": {**CONFIG["mailbox"], "support": {**CONFIG["mailbox"]["support"], "authserv_id": PINNED}}}
    with open_test_house(tmp_path, **changes) as desk:
        scene = stage(desk)
        passed = f"Authentication-Results: {PINNED}; dmarc=pass header.from=customer.example"
        scene.take([by_number(scene, passed, f"Cc: {VICTIM}", sender=CY)])
        assert scene.ann_answers() == [CY, DI, VICTIM]


def test_our_own_mail_that_came_back_by_another_way_has_no_effect(tmp_path):
    """The mail whose Message-ID the rows above take."""
    with open_test_house(tmp_path) as desk:
        scene = stage(desk)
        raw = next(row.content for row, _ in desk.outbox(purpose="reply"))
        scene.take([Attempt(b"Received: from a by b; Tue, 24 Nov 2026 12:00:00 +0000\r\n" + raw, SUPPORT, "")])
        assert [one.reason for one in scene.settled] == ["one of our own mails came back"]
        assert scene.new_messages() == []


def test_the_agents_plain_address_is_the_agents(tmp_path):
    """Likewise for the rows about From."""
    with open_test_house(tmp_path) as desk:
        scene = stage(desk)
        scene.take([as_ann(scene, sender=f"Ann Agent <{ANN}>", envelope=ANN)])
        assert [m.author_type for m in scene.new_messages()] == ["agent"]
