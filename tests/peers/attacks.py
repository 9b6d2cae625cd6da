"""A ticket with a secret, the people around it, and what must hold after somebody has attacked it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from email.header import decode_header, make_header
from typing import Any

from peers.house import ANN, SUPPORT, TestHouse, answer, mail

from postroom.daemon.receive import Settled
from postroom.parsers.parsed import ParsedEmail
from postroom.threading.tokens import Signer

CY, DI, EVE, VICTIM = "cy@customer.example", "di@other.example", "eve@stranger.example", "victim@elsewhere.example"
SECRET = "4711"  # what Cy tells, and Ann repeats
LURE = "Buy-Pills"  # what an attacker would like us to send on
PINNED = "mx.example.com"  # vouches for senders, in a house where one does
VOUCHED = f"{PINNED}; dmarc=pass header.from=example.com"
CONTROLS = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Attempt:
    """One mail of an attack."""

    raw: bytes
    recipient: str = SUPPORT
    sender: str | None = None  # the envelope's; None is From's address


@dataclass(slots=True)
class Scene:
    """Cy's ticket, which Ann has answered, with what each of them holds; and what came of the attack."""

    desk: TestHouse
    ticket: int = 0
    confirmation: ParsedEmail = field(default_factory=ParsedEmail)  # Cy's
    notice: ParsedEmail = field(default_factory=ParsedEmail)  # Ann's
    reply: ParsedEmail = field(default_factory=ParsedEmail)  # Cy's, and of whom he copied
    settled: list[Settled] = field(default_factory=list)
    messages_before: set[int] = field(default_factory=set)
    outbox_before: int = 0

    @property
    def customers_address(self) -> str:
        """The signed address that Cy was given."""
        return self.reply.reply_to[0].address

    @property
    def agents_address(self) -> str:
        """The signed address that Ann was given."""
        return self.notice.reply_to[0].address

    @property
    def ref(self) -> str:
        """The ticket's reference."""
        return str(self.desk.ticket(self.ticket).ref)

    @property
    def signer(self) -> Signer:
        """The house's own signer."""
        signer: Signer = self.desk.house.signer
        return signer

    def take(self, attempts: Iterable[Attempt]) -> None:
        """Let the attack happen, mail by mail."""
        self.messages_before = {message.id for message in self.desk.conversation(self.ticket)}
        self.outbox_before = len(self.desk.outbox())
        for one in attempts:
            self.settled.append(self.desk.take(one.raw, one.recipient, one.sender))

    def new_messages(self) -> list[Any]:
        """What the attack brought onto the ticket."""
        return [m for m in self.desk.conversation(self.ticket) if m.id not in self.messages_before]

    def new_mail(self) -> list[tuple[Any, ParsedEmail | None]]:
        """What goes out since, without what was suppressed."""
        return [(row, sent) for row, sent in self.desk.outbox()[self.outbox_before :] if row.state != "suppressed"]

    def ann_answers(self, text: str = "Once more.\n") -> list[str]:
        """Ann answers the ticket now; who gets her answer."""
        before = len(self.desk.outbox())
        vouched = {"Authentication_Results": VOUCHED}
        self.desk.take(answer(self.notice, text, **vouched), recipient=self.agents_address)
        return [row.recipient for row, _ in self.desk.outbox()[before:] if row.purpose == "reply"]


def stage(desk: TestHouse) -> Scene:
    """Cy asks and copies Di, Ann answers."""
    scene = Scene(desk)
    opened = desk.take(mail(
        subject="Wrong bill", text=f"My account is {SECRET}.\n", Message_ID="<first@customer.example>", Cc=f"Di <{DI}>",
    ))  # fmt: skip
    assert opened.ticket_id is not None
    scene.ticket, scene.confirmation = opened.ticket_id, desk.sent("confirmation", CY)
    scene.notice = desk.sent("new_ticket", ANN)
    assert scene.ann_answers(f"Account {SECRET} is settled.\n") == [CY, DI]
    scene.reply = desk.sent("reply", CY)
    return scene


Holds = Callable[[Scene], None]


def nothing_vanishes(scene: Scene) -> None:
    """Every mail ends in one visible state with a reason."""
    for one in scene.settled:
        assert one.state in ("processed", "duplicate")
        assert one.reason
        assert one.decision


def stays_out(scene: Scene) -> None:
    """Not a word of it on the ticket."""
    assert scene.new_messages() == []


def opens_its_own(scene: Scene) -> None:
    """It is a ticket of its own, where people can read it."""
    assert all(one.outcome == "opened" and one.ticket_id != scene.ticket for one in scene.settled)


def speaks_for_no_agent(scene: Scene) -> None:
    """Nobody gets a word of it as an agent's, and nothing of it is public as an agent's."""
    assert [row.purpose for row, _ in scene.new_mail() if row.purpose == "reply"] == []
    for ticket in scene.desk.tickets():
        said = [m for m in scene.desk.conversation(ticket.id) if m.id not in scene.messages_before]
        assert [m.text for m in said if m.author_type == "agent" and m.visibility == "public"] == []


def is_an_internal_note(scene: Scene) -> None:
    """It is kept for agents' eyes, flagged."""
    for message in scene.new_messages():
        assert (message.visibility, message.flags) == ("internal", ["unproven-agent"])


def joins_flagged(scene: Scene) -> None:
    """It is on the ticket, as the word of one whom nobody knows."""
    assert [message.flags for message in scene.new_messages()] == [["new-participant"]]


def joins_as_customer(scene: Scene) -> None:
    """It is on the ticket, as a customer's word."""
    assert [(m.author_type, m.visibility) for m in scene.new_messages()] == [("user", "public")] * len(scene.settled)


def changes_nothing(scene: Scene) -> None:
    """The ticket stands as Ann left it."""
    ticket = scene.desk.ticket(scene.ticket)
    assert (ticket.status, ticket.priority, ticket.tags, ticket.merged_into, ticket.queue) == (
        "pending_customer", "medium", [], None, "support",
    )  # fmt: skip


def no_mail(scene: Scene) -> None:
    """Nothing at all is sent."""
    assert [(row.purpose, row.recipient) for row, _ in scene.new_mail()] == []


def no_mail_to(*addresses: str) -> Holds:
    """Nothing is sent to these, now or with Ann's next answer."""

    def holds(scene: Scene) -> None:
        recipients = [row.recipient for row, _ in scene.new_mail()] + scene.ann_answers()
        assert set(recipients) & set(addresses) == set()

    return holds


def at_most(count: int, address: str) -> Holds:
    """So many mails go to that address, not more."""

    def holds(scene: Scene) -> None:
        assert len([row for row, _ in scene.new_mail() if row.recipient == address]) <= count

    return holds


def learns_nothing(scene: Scene) -> None:
    """What was said on the ticket goes to nobody new."""
    for row, sent in scene.new_mail():
        if row.recipient not in (CY, DI, ANN):
            assert sent is not None
            assert SECRET not in everything(row.content)


def no_word_to_others(*words: str) -> Holds:
    """None of these words is in any mail that we send by ourselves to others than agents."""

    def holds(scene: Scene) -> None:
        for row, _ in scene.new_mail():
            if row.purpose in ("confirmation", "status"):
                assert [word for word in words if word.lower() in everything(row.content).lower()] == []

    return holds


def no_word_anywhere(*words: str) -> Holds:
    """None of these is in any mail that we send, to whomever."""

    def holds(scene: Scene) -> None:
        scene.ann_answers()
        for row, _ in scene.new_mail():
            assert [word for word in words if word in everything(row.content)] == []

    return holds


def is_well_formed(scene: Scene) -> None:
    """All that we send has the fields that we wrote, each once, in lines that fit."""
    scene.ann_answers()
    for row, sent in scene.new_mail():
        head = row.content.partition(b"\r\n\r\n")[0]
        names = re.findall(rb"(?m)^([^\s:]+):", head)
        assert len(names) == len({name.lower() for name in names})
        assert not {b"bcc", b"x-injected"} & {name.lower() for name in names}
        assert CONTROLS.search(row.content) is None
        assert max(map(len, row.content.split(b"\r\n"))) <= 998
        assert sent is not None
        assert [a.address for a in sent.to][:1] == [row.recipient] or row.purpose == "reply"


def nothing_failed(scene: Scene) -> None:
    """No delivery is taken for failed."""
    assert [row.recipient for row, _ in scene.desk.outbox(state="failed")] == []


def tickets(count: int) -> Holds:
    """So many tickets there are then."""

    def holds(scene: Scene) -> None:
        assert len(scene.desk.tickets()) == count

    return holds


def everything(raw: bytes) -> str:
    """All that a mail of ours says: its fields decoded, its texts, its HTML."""
    import email  # the standard library's, as a second reader

    message = email.message_from_bytes(raw)
    fields = [f"{name}: {make_header(decode_header(str(value)))}" for name, value in message.items()]
    texts = [
        part.get_payload(decode=True).decode("utf-8", "replace")  # type: ignore[union-attr]
        for part in message.walk()
        if part.get_content_maintype() == "text"
    ]
    return "\n".join(fields + texts)
