"""Which agents are told, with what, and how do they answer?"""

from dataclasses import replace
from email.message import EmailMessage

import pytest
from peers.outgoing import NOON, desk_in, mail
from sqlalchemy import select, update

from postroom.desk import actions
from postroom.desk.happened import Happened, What
from postroom.errors import ConfigError
from postroom.parsers.email import parse
from postroom.parsers.parsed import Address
from postroom.store import correspondents, messages, tables
from postroom.threading.tokens import Role

PNG = b"\x89PNG" * 5_000


def token(message):
    return message["Reply-To"].addresses[0].addr_spec.partition("@")[0].partition("+")[2]


def plain(message):
    return message.get_body(("plain",)).get_content().replace("\r\n", "\n")


def told(desk, purpose):
    return [delivery.recipient.partition("@")[0] for delivery in desk.outbox(purpose)]


def with_files(*files, message_id="first@example.org"):
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = (
        "Ann <ann@example.org>",
        "support@example.com",
        "Printer on fire",
    )
    message.set_content("See the files.")
    for name, content in files:
        message.add_attachment(content, "image", "png", filename=name)
    raw = message.as_bytes()
    return {"email": replace(parse(raw), message_id=message_id), "raw": raw}


def answer(text="Turn it off.", **changes):
    sent = {"message_id": "agent@example.com", "from_": (Address("Bob", "bob@example.com"),), "reply_text": text}
    return mail(**{**sent, **changes})


def note(desk, ticket, text, actor="bob"):
    with desk.store.write() as connection:
        row = connection.execute(select(tables.Ticket.__table__).where(tables.Ticket.id == ticket)).one()
        for happened in actions.add_note(connection, row, text, actor, NOON):
            desk.notifier.enqueue(connection, happened)


# -- whom the configuration names


@pytest.mark.parametrize(
    ("who", "people"),
    [
        (["assigned"], ["cora"]),
        (["queue"], ["bob", "cora"]),
        (["bob"], ["bob"]),
        (["assigned", "queue"], ["cora", "bob"]),
        (["CORA@Example.com", "team@example.com"], ["cora", "team"]),
        ([], []),
    ],
)
def test_the_configuration_says_who_is_told_of_an_answer(tmp_path, who, people):
    with desk_in(tmp_path, f"[notify.to]\ncustomer_reply = {who}") as desk:
        opened = desk.receive(mail())
        with desk.store.write() as connection:
            connection.execute(update(tables.Ticket).values(assigned_to=desk.agent("cora").id))
        desk.receive(mail(message_id="more@example.org"), ticket=opened.ticket)
        assert told(desk, "customer_reply") == people


@pytest.mark.parametrize("who", ["nobody", "bob@", "eve"])
def test_a_word_that_names_nobody_is_an_error(tmp_path, who):
    with (
        pytest.raises(ConfigError, match=r"notify\.to\.new_ticket\[0\]"),
        desk_in(tmp_path, f"[notify.to]\nnew_ticket = ['{who}']"),
    ):
        pass


def test_an_address_that_is_no_agents_is_told_and_cannot_answer_for_us(tmp_path):
    with desk_in(tmp_path, "[notify.to]\nnew_ticket = ['bob', 'team@example.com']") as desk:
        desk.receive(mail())
        agents, team = map(desk.mail, desk.outbox("new_ticket"))
        assert desk.signer.read_reply(token(agents), NOON).role is Role.AGENT
        assert team["Reply-To"] == "Support <support@example.com>"
        assert "what you write goes to Ann Customer <ann@example.org>" in " ".join(plain(agents).split())
        assert "reaches the agents, not the customer" in " ".join(plain(team).split())


@pytest.mark.parametrize(("wanted", "people"), [("false", []), ("true", ["cora"])])
def test_nobody_is_told_of_what_he_did_himself_unless_that_is_wanted(tmp_path, wanted, people):
    with desk_in(tmp_path, f"[notify]\nown_actions = {wanted}") as desk:
        opened = desk.receive(mail())
        desk.tell(Happened(What.ASSIGNED, opened.ticket, "cora", agent_id=desk.agent("cora").id))
        assert told(desk, "assignment") == people


# -- what is in a notice


def test_it_says_who_gets_the_answer(desk):
    opened = desk.receive(mail(cc=(Address("Boss", "boss@example.org"),)), authenticated=True)
    desk.receive(mail(message_id="more@example.org"), ticket=opened.ticket)
    for purpose in ("new_ticket", "customer_reply"):
        words = " ".join(plain(desk.mail(desk.outbox(purpose)[0])).split())
        assert "what you write goes to Ann Customer <ann@example.org>, Boss <boss@example.org>." in words


def test_whom_no_agent_has_agreed_to_is_not_among_them(desk):
    opened = desk.receive(mail())
    desk.receive(
        mail(message_id="x@example.net", from_=(Address("", "eve@example.net"),)), ticket=opened.ticket, agreed=False
    )
    words = " ".join(plain(desk.mail(desk.outbox("customer_reply")[0])).split())
    assert words.endswith("what you write goes to Ann Customer <ann@example.org>.")


def test_a_customers_files_come_with_the_notice(desk):
    desk.receive(**with_files(("fire.png", PNG)))
    for delivery in desk.outbox("new_ticket"):
        message = desk.mail(delivery)
        (part,) = message.iter_attachments()
        assert (part.get_filename(), part.get_content_type(), part.get_payload(decode=True)) == (
            "fire.png",
            "image/png",
            PNG,
        )
        assert "- fire.png (20 KiB)\n" in plain(message)


def test_those_that_are_too_big_together_are_named(tmp_path):
    with desk_in(tmp_path, "[notify]\nattach_max = '25 KiB'") as desk:
        desk.receive(**with_files(("a.png", PNG), ("b.png", PNG), ("c.png", PNG[:100])))
        message = desk.mail(desk.outbox("new_ticket")[0])
        assert [part.get_filename() for part in message.iter_attachments()] == ["a.png", "c.png"]
        assert "- a.png (20 KiB)\n- b.png (20 KiB), not with this mail\n- c.png (100 B)\n" in plain(message)


def test_none_are_attached_where_none_are_wanted(tmp_path):
    with desk_in(tmp_path, "[notify]\nattach_max = 0") as desk:
        desk.receive(**with_files(("fire.png", PNG)))
        message = desk.mail(desk.outbox("new_ticket")[0])
        assert list(message.iter_attachments()) == []
        assert "- fire.png (20 KiB), not with this mail" in plain(message)


def test_to_many_the_files_are_named_and_who_gets_the_ticket_gets_them(tmp_path):
    with desk_in(tmp_path, "[notify]\nattach_readers = 1") as desk:
        opened = desk.receive(**with_files(("fire.png", PNG)))
        for delivery in desk.outbox("new_ticket"):
            assert list(desk.mail(delivery).iter_attachments()) == []
            assert "- fire.png (20 KiB), not with this mail" in plain(desk.mail(delivery))
        desk.tell(Happened(What.ASSIGNED, opened.ticket, "bob", agent_id=desk.agent("cora").id))
        message = desk.mail(desk.outbox("assignment")[0])
        assert [part.get_filename() for part in message.iter_attachments()] == ["fire.png"]


def test_an_assignment_shows_the_last_words_of_both(desk):
    opened = desk.receive(mail())
    desk.receive(answer("Turn it off."), ticket=opened.ticket, agent="bob")
    desk.receive(mail(message_id="more@example.org", reply_text="Still burning."), ticket=opened.ticket)
    desk.tell(Happened(What.ASSIGNED, opened.ticket, "bob", agent_id=desk.agent("cora").id))
    text = plain(desk.mail(desk.outbox("assignment")[0]))
    assert "Still burning." in text
    assert "The last answer, by Bob Agent <bob@example.com>, November 24, 2026, 12:00 PM UTC:\n\nTurn it off.\n" in text


# -- notes


def test_a_note_is_told_to_the_agents_whom_it_names(desk):
    opened = desk.receive(mail())
    note(desk, opened.ticket, "@cora, @bob and @nobody: can you look? (not x@cora.example)")
    (delivery,) = desk.outbox("note")
    message = desk.mail(delivery)
    assert delivery.recipient == "cora@example.com"
    assert "@cora, @bob and @nobody: can you look?" in plain(message)
    assert "has not seen this note" in " ".join(plain(message).split())
    assert desk.signer.read_reply(token(message), NOON).agent == desk.agent("cora").id


@pytest.mark.parametrize("text", ["can you look?", "mail cora@example.com", "@coral", "x@cora"])
def test_a_note_that_names_nobody_is_told_to_nobody(desk, text):
    opened = desk.receive(mail())
    note(desk, opened.ticket, text)
    assert desk.outbox("note") == []


def test_an_agent_may_be_named_by_his_address(desk):
    opened = desk.receive(mail())
    note(desk, opened.ticket, "for @cora@example.com.")
    assert told(desk, "note") == ["cora"]


def test_notes_can_be_switched_off(tmp_path):
    with desk_in(tmp_path, "[notify]\nnote = false") as desk:
        opened = desk.receive(mail())
        note(desk, opened.ticket, "@cora")
        assert desk.outbox("note") == []


def test_a_note_that_names_nobody_we_have_tells_its_writer_whom_there_is(desk):
    opened = desk.receive(mail())
    note(desk, opened.ticket, "@corra and @cora: can you look?")
    assert told(desk, "note") == ["cora"]
    (delivery,) = desk.outbox("unknown_name")
    message = desk.mail(delivery)
    text = " ".join(plain(message).split())
    assert delivery.recipient == "bob@example.com"
    assert "is kept, but there is no agent @corra " in text
    assert "There are: @bob, @cora." in text
    assert "nothing of it goes to the customer" in text


def test_the_tickets_agent_is_told_what_a_colleague_answers_or_notes_and_not_what_he_does_himself(desk):
    opened = desk.receive(mail())
    desk.receive(answer("First."), ticket=opened.ticket, agent="bob")
    note(desk, opened.ticket, "my own")
    assert desk.outbox("colleague") == []
    note(desk, opened.ticket, "ask the caretaker", actor="cora")
    note(desk, opened.ticket, "@bob too", actor="cora")
    assert told(desk, "colleague") == told(desk, "note") == ["bob"]
    text = plain(desk.mail(desk.outbox("colleague")[0]))
    assert "wrote a note on" in text
    assert "ask the caretaker" in text


def test_what_colleagues_do_can_be_switched_off(tmp_path):
    with desk_in(tmp_path, "[notify]\ncolleague = false") as desk:
        opened = desk.receive(mail())
        desk.receive(answer(), ticket=opened.ticket, agent="bob")
        note(desk, opened.ticket, "look", actor="cora")
        assert desk.outbox("colleague") == []


def test_what_a_customer_writes_names_nobody(desk):
    opened = desk.receive(mail(reply_text="@cora please"))
    desk.tell(Happened(What.NOTED, opened.ticket, "ann@example.org", opened.happened.message_id))
    assert desk.outbox("note") == []


# -- a mail that claims an agent


def test_a_mail_that_claims_an_agent_is_told_to_the_tickets_and_to_the_one_claimed(desk):
    opened = desk.receive(mail())
    desk.receive(answer(), ticket=opened.ticket, agent="bob")
    with desk.store.write() as connection:
        id_ = messages.add(connection, {
            "ticket_id": opened.ticket, "author_type": "user", "author_address": "cora@example.com", "author_name": "Cora",
            "visibility": "internal", "subject": "x", "text": "#status closed", "flags": ["unproven-agent"], "references": [],
            "timestamp": NOON, "created_at": NOON,
        })  # fmt: skip
        happened = Happened(What.NOTED, opened.ticket, "cora@example.com", id_, why="it came to no signed address")
        desk.notifier.enqueue(connection, happened)
    assert told(desk, "unproven_agent") == ["cora", "bob"]
    text = " ".join(plain(desk.mail(desk.outbox("unproven_agent")[0])).split())
    assert "from Cora <cora@example.com>" in text
    assert "The reason: it came to no signed address." in text
    assert "#status closed" in text


def test_of_mails_that_claim_an_agent_a_tickets_agents_are_told_once_an_hour(desk):
    opened = desk.receive(mail())

    def claim(number):
        with desk.store.write() as connection:
            id_ = messages.add(connection, {
                "ticket_id": opened.ticket, "author_type": "user", "author_address": "cora@example.com", "author_name": "Cora",
                "visibility": "internal", "subject": "x", "text": str(number), "flags": ["unproven-agent"], "references": [],
                "timestamp": NOON, "created_at": NOON,
            })  # fmt: skip
            happened = Happened(What.NOTED, opened.ticket, "cora@example.com", id_)
            return desk.notifier.enqueue(connection, happened)[-1]["outcome"]

    assert [claim(number) for number in range(5)] == ["enqueued", *["nothing"] * 4]
    desk.clock.advance(hours=1, seconds=1)
    assert claim(6) == "enqueued"


# -- what was not delivered


def refused(desk, reason):
    opened = desk.receive(mail())
    desk.receive(answer("\n".join(f"line {number}" for number in range(20))), ticket=opened.ticket, agent="bob")
    (delivery,) = desk.outbox("reply")
    with desk.store.write() as connection:
        desk.notifier.undeliverable(connection, delivery, reason)
    (notice,) = desk.outbox("undeliverable")
    return desk.mail(notice)


def test_it_says_which_answer_was_not_delivered_to_whom_and_why(desk):
    message = refused(desk, "5.2.2 552 mailbox full")
    text = plain(message)
    assert "The answer to ann@example.org on T-1001 was not delivered" in text
    assert "The mailbox is full." in text
    assert "552 mailbox full" in text
    assert "> line 0\n> line 1\n" in text
    assert "> line 11\n> […]\n" in text
    assert "line 12" not in text


def test_it_stands_below_the_agents_own_mail(desk):
    message = refused(desk, "550 5.1.1 no such user")
    assert message["In-Reply-To"] == "<agent@example.com>"
    assert message["References"].split()[-1] == "<agent@example.com>"


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("550 5.1.1 <a@b>: no such user", "There is no such address."),
        ("550 5.1.2 bad destination system", "There is no such mail domain"),
        ("552 5.3.4 message too big", "The mail was too big"),
        ("554 5.7.1 rejected as spam", "The other side refuses mail from us"),
        ("gave up after 39 attempts: it is silent", "could not be reached for days"),
        ("whatever", "does not tell why"),
    ],
)
def test_it_says_what_the_agent_can_do(desk, reason, said):
    assert said in " ".join(plain(refused(desk, reason)).split())


# -- languages


GERMAN, ENGLISH = "Guten Tag,", "Hello,"


def confirmation(desk, headers=(), **changes):
    desk.receive(mail(headers=headers, **changes))
    return plain(desk.mail(desk.outbox("confirmation")[-1]))


@pytest.mark.parametrize(
    ("headers", "greeting"),
    [
        ((("content-language", "de-AT"),), GERMAN),
        ((("accept-language", "de-DE, en;q=0.5"),), GERMAN),
        (
            (("content-language", "fr"), ("accept-language", "de")),
            ENGLISH,
        ),  # what is written counts before what is liked
        ((("content-language", "x" * 1000),), ENGLISH),
        ((), ENGLISH),
    ],
)
def test_a_customer_is_answered_in_the_language_of_his_mail(desk, headers, greeting):
    assert confirmation(desk, headers).startswith(greeting)


def test_the_language_that_is_stored_for_him_comes_first(desk):
    with desk.store.write() as connection:
        correspondents.set_language(connection, "ann@example.org", "de", NOON)
    assert confirmation(desk, (("content-language", "en"),)).startswith(GERMAN)


def test_all_that_follows_is_in_the_language_of_the_mail_that_opened_it(desk):
    opened = desk.receive(mail(headers=(("content-language", "de"),)))
    desk.receive(answer(), ticket=opened.ticket, agent="bob")
    assert "schrieb Ann Customer:" in plain(desk.mail(desk.outbox("reply")[0]))


def test_an_agent_has_a_language_and_a_queue_a_time_zone(tmp_path):
    settings = "[agent.bob]\nname = 'Bob'\naddress = 'bob@example.com'\nlanguage = 'de'\n"
    settings += "[queue.support]\nagents = ['bob', 'cora']\ntime_zone = 'Europe/Berlin'\n"
    with desk_in(tmp_path, settings) as desk:
        desk.receive(mail())
        german, english = (plain(desk.mail(delivery)) for delivery in desk.outbox("new_ticket"))
        assert "Datum: 24. November 2026, 12:59 MEZ\n" in german
        assert "Date: November 24, 2026, 12:59 PM CET\n" in english
