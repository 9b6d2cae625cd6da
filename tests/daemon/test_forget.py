"""Forgetting a person: not one of his words is left in the database's files, and nothing of others' is lost."""

import base64
import hashlib
import subprocess
from datetime import timedelta

import pytest
from peers.house import ANN, BOB, SUPPORT, answer, mail, open_test_house
from peers.links import links_of, press

from postroom.config import Retention
from postroom.daemon import house
from postroom.desk import erasure
from postroom.parsers.attachments import read_part
from postroom.store import counters, inbound, outbox, wiping
from postroom.store.tables import Delivery, Ticket

EVE = "Evelyn.Canary@Person.Example"
NAME = "Evelyn Quaxolotl"
CANARIES = ("evelyn.canary", "quaxolotl", "zyxwombat", "flurbology", "krakenfile", "grimbleword")
SECRET = "krakenfile holds the grimbleword of all things\n"
DAY = timedelta(days=1)


@pytest.fixture
def rooms(store_url, tmp_path):
    with open_test_house(tmp_path, store={"url": store_url}) as opened:
        yield opened


def with_file(name, content, sender, subject, text, to=SUPPORT, **headers):
    """A mail with a file in base64."""
    fields = "".join(f"{key.replace('_', '-')}: {value}\r\n" for key, value in headers.items())
    return (
        f"From: {sender}\r\nTo: {to}\r\nSubject: {subject}\r\n{fields}MIME-Version: 1.0\r\n"
        'Content-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n'
        f"{text}\r\n--b\r\nContent-Type: text/plain\r\nContent-Disposition: attachment; filename={name}\r\n"
        f"Content-Transfer-Encoding: base64\r\n\r\n{base64.b64encode(content.encode()).decode()}\r\n--b--\r\n"
    ).encode()


def everything(rooms):
    """All bytes that the database has: its files, or what pg_dump writes, with base64 and hex undone where it is ours."""
    store = rooms.store
    if store.is_sqlite:
        return b"".join(path.read_bytes() for path in store.path.parent.glob("postroom.db*")).lower()
    url = store.engine.url
    command = ["pg_dump", "--inserts", "-h", url.host, "-p", str(url.port), "-U", url.username, url.database]
    dump = subprocess.run(command, check=True, capture_output=True).stdout
    with store.read() as connection:
        blobs = connection.exec_driver_sql("SELECT content FROM raw_mail").scalars()
        return dump.lower() + b"".join(bytes(blob) for blob in blobs).lower()


def found(rooms):
    """Those of the canaries that are there, as they are and in base64."""
    data = everything(rooms)
    encoded = base64.b64encode(SECRET.encode()).lower()[:40]
    return [word for word in CANARIES if word.encode() in data] + (["base64"] if encoded in data else [])


def plant(rooms):
    """Eve's own ticket, with an answer that quotes her, and Cy's ticket, in which she takes part and is quoted."""
    raw = with_file(
        "krakenfile.txt", SECRET, f"{NAME} <{EVE.upper()}>", "zyxwombat", "I study flurbology, and it fails me daily.",
        Message_ID=f"<1.{EVE}>",
    )  # fmt: skip
    own = rooms.take(raw).ticket_id
    notice = rooms.sent("new_ticket", ANN)
    rooms.take(
        answer(notice, "Dear Evelyn Quaxolotl,\nflurbology is hard.\n\n> I study flurbology\n"),
        notice.reply_to[0].address,
    )
    cys = rooms.take(
        mail(Message_ID="<cy1@customer.example>", Cc=EVE, subject="Shared", text="Mine own words, said by Cy.\n")
    )
    rooms.take(mail(f"{NAME} <{EVE}>", subject="Re: Shared", text="All of flurbology is a zyxwombat to me.\n",
                    In_Reply_To="<cy1@customer.example>", Message_ID=f"<2.{EVE}>",
                    Thread_Topic="a zyxwombat", Thread_Index="Aa" * 20))  # fmt: skip
    quoting = with_file(
        "plan.txt", "a plan of Cy's\n", "Cy Customer <cy@customer.example>", "Re: Shared",
        "I agree.\n\n> All of flurbology is a zyxwombat to me.", In_Reply_To="<cy1@customer.example>", Cc=EVE,
        Message_ID="<cy2@customer.example>",
    )  # fmt: skip
    rooms.take(quoting)
    with rooms.store.write() as connection:
        counters.take(connection, [counters.Limit(f"sender-hour:{EVE.lower()}", timedelta(hours=1), 3)], house.now())
    send_all(rooms)
    return own, cys.ticket_id


def send_all(rooms):
    with rooms.store.write() as connection:
        pending = Delivery.__table__.update().where(Delivery.state == "pending")
        connection.execute(pending.values(state="sent", sent_at=house.now()))


def forget(rooms):
    with wiping.thoroughly(rooms.store) as wiped:
        done = erasure.forget(rooms.store, EVE.lower(), house.now())
    assert not wiped.problem
    return done


def test_not_a_word_is_left(rooms):
    own, _ = plant(rooms)
    assert set(found(rooms)) == set(CANARIES) - {"grimbleword"} | {"base64"}  # which is in the file alone
    ref = rooms.ticket(own).ref
    done = forget(rooms)
    assert found(rooms) == []
    assert (done.tickets, done.left, done.kept) == (1, 0, 0)
    ticket = rooms.ticket(own)
    assert (ticket.ref, ticket.subject, ticket.requester) == (ref, "(erased)", "")
    assert {message.author_type for message in rooms.conversation(own)} == {"user", "agent"}
    assert {"opened", "message", "erased"} <= set(rooms.events(own))


def test_of_anothers_ticket_only_his_own_words_go(rooms):
    _, cys = plant(rooms)
    forget(rooms)
    cy = "cy@customer.example"
    ticket = rooms.ticket(cys)
    assert (ticket.subject, ticket.requester) == ("Shared", cy)
    texts = {message.author_address: message.text for message in rooms.conversation(cys)}
    assert texts["erased"] == ""
    assert texts[cy] == "I agree."
    assert "Mine own words, said by Cy." in [message.text for message in rooms.conversation(cys)]
    assert EVE.lower() not in rooms.participants(cys)
    with rooms.store.read() as connection:
        [last] = [row for row in inbound.find(connection) if row.message_id == rooms.conversation(cys)[-1].id]
        raw = inbound.raw(connection, last.id)
    assert read_part(raw, "2") == b"a plan of Cy's\n"


def test_one_whose_address_holds_his_is_another_and_loses_nothing(rooms, monkeypatch):
    monkeypatch.setattr(erasure, "SWEEP_CHUNK", 3)  # in a table without row numbers there are more of them
    longer = [f"jo{EVE.lower()}", f"mary-{EVE.lower()}", f"{EVE.lower()}.net"]
    others = {
        one: rooms.take(mail(one, subject=f"From {one}", text=f"Write to {one}, please.\n")).ticket_id for one in longer
    }
    for number in range(5):
        rooms.take(mail(f"{number}x{EVE.lower()}", text="x\n"))
    last = rooms.take(mail(Cc=f"{EVE}, zoe@customer.example")).ticket_id
    forget(rooms)
    for address, ticket in others.items():
        assert (rooms.ticket(ticket).requester, rooms.ticket(ticket).subject) == (address, f"From {address}")
        [message] = rooms.conversation(ticket)
        assert (message.author_address, message.text) == (address, f"Write to {address}, please.")
        with rooms.store.read() as connection:
            assert f"Write to {address}, please.".encode() in inbound.raw(connection, message.inbound_id)
        assert address in rooms.participants(ticket)
    assert EVE.lower() not in rooms.participants(last)


def test_a_name_that_others_bear_stays_theirs(rooms):
    namesake = rooms.take(mail(f"{NAME} <other@customer.example>", text=f"Yours, {NAME}\n")).ticket_id
    quoted = rooms.take(mail(text="I asked Ann Agent about it.\n")).ticket_id
    rooms.take(mail(f"{NAME} <{EVE}>", text="x\n"))
    rooms.take(mail(f"Ann Agent <{EVE}>", text="y\n"))
    for number in range(30):  # as many as he likes, and each is cut out where others say it
        rooms.take(mail(f"Evelyn the {number}th <{EVE}>", text="z\n"))
    told = rooms.take(mail(text="Ask Evelyn the 7th, not Evelyn the 7thousandth.\n")).ticket_id
    with rooms.store.read() as connection:
        assert set(erasure.traces(connection, EVE.lower()).names) == {f"Evelyn the {n}th" for n in range(30)}
    forget(rooms)
    assert rooms.conversation(told)[0].text == "Ask [erased], not Evelyn the 7thousandth."
    assert rooms.conversation(namesake)[0].text == f"Yours, {NAME}"
    assert rooms.conversation(quoted)[0].text == "I asked Ann Agent about it."


def test_a_message_id_that_he_took_from_another_still_leads_to_that_ones_ticket(rooms):
    cys = rooms.take(mail(Message_ID="<cy1@customer.example>"))
    rooms.take(mail(EVE, text="flurbology\n", Message_ID="<cy1@customer.example>"))
    forget(rooms)
    later = rooms.take(mail(In_Reply_To="<cy1@customer.example>", text="And another thing.\n"))
    assert (later.outcome, later.ticket_id) == ("added", cys.ticket_id)


def test_forgetting_again_does_nothing_more(rooms):
    plant(rooms)
    forget(rooms)
    done = forget(rooms)
    assert (done.tickets, done.messages, done.received, done.sent, done.left) == (0, 0, 0, 0, 0)


@pytest.mark.parametrize("step", ["his tickets", "his mail", "every other table"])
def test_what_was_broken_off_is_finished_by_doing_it_again(rooms, step):
    plant(rooms)

    def die(words):
        if words == step:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        erasure.forget(rooms.store, EVE.lower(), house.now(), die)
    assert "quaxolotl" in found(rooms)
    assert forget(rooms).left == 0
    assert found(rooms) == []


def test_what_is_still_to_be_sent_to_him_is_cancelled_and_to_others_is_sent(rooms):
    rooms.take(mail(EVE, Message_ID="<e@person.example>"))
    rooms.take(mail())
    forget(rooms)
    states = {(row.purpose, row.recipient): row.state for row, _ in rooms.outbox()}
    assert states["confirmation", "erased"] == "cancelled"
    assert states["confirmation", "cy@customer.example"] == "pending"


def test_what_was_forgotten_does_not_come_back_by_being_fetched_again(rooms):
    raw = mail(EVE, text="flurbology\n")
    first = rooms.take(raw)
    forget(rooms)
    with rooms.store.write() as connection:
        new = inbound.NewInbound(
            "support", SUPPORT, raw, hashlib.sha256(raw).hexdigest(), "imap", EVE.lower(), house.now() + DAY
        )
        [accepted] = inbound.accept(connection, [new])
    assert (accepted.id, accepted.is_new) == (first.id, False)
    assert "flurbology" not in found(rooms)


def test_what_was_kept_long_enough_is_purged_and_nothing_else(rooms):
    old = rooms.take(mail(text="old words\n"))
    rooms.take(mail(BOB, Subject="x", text="a note\n"))
    send_all(rooms)
    with rooms.store.write() as connection:
        closed = {"status": "closed", "closed_at": house.now() - 40 * DAY}
        connection.execute(Ticket.__table__.update().where(Ticket.id == old.ticket_id).values(closed))
    now = house.now()
    assert erasure.purge(rooms.store, Retention(), now + 900 * DAY) == {}
    keep = Retention(received_days=30, sent_days=30, quarantined_days=30, closed_ticket_days=30)
    assert erasure.purge(rooms.store, keep, now) == {"closed_tickets": 1}
    assert rooms.conversation(old.ticket_id)[0].text == ""
    later = erasure.purge(rooms.store, keep, now + 31 * DAY)
    assert later["received"] == 1
    assert later["sent"] >= 1
    assert erasure.purge(rooms.store, keep, now + 32 * DAY) == {}
    assert rooms.tickets()[1].subject != "(erased)"


def test_what_came_back_to_us_is_purged_only_when_it_waits_for_nobody_any_more(rooms):
    rooms.take(mail())
    [(row, _)] = rooms.outbox(purpose="confirmation")
    with rooms.store.read() as connection:
        raw = outbox.raw(connection, row.id)
    assert rooms.take(raw).reason == "one of our own mails came back"
    assert erasure.purge(rooms.store, Retention(received_days=30), house.now() + 31 * DAY)["received"] == 2
    with rooms.store.read() as connection:
        assert outbox.raw(connection, row.id) == raw


def test_what_a_solution_says_and_what_he_said_of_it_go_too(rooms):
    id_ = rooms.take(mail(f"{NAME} <{EVE}>", Message_ID=f"<1.{EVE}>")).ticket_id
    notice = rooms.sent("new_ticket", ANN)
    rooms.take(answer(notice, "#solution\nDear Evelyn, flurbology is solved.\n"), notice.reply_to[0].address)
    _, not_solved = links_of(rooms.sent("solution", EVE.lower()))
    raw, address = press(not_solved, f"{NAME} <{EVE}>", "A zyxwombat is missing.")
    rooms.take(raw, address)
    with rooms.store.write() as connection:
        connection.execute(
            Ticket.__table__.update().where(Ticket.id == id_).values(satisfaction_notes="what a grimbleword")
        )
    send_all(rooms)
    assert found(rooms) != []
    forget(rooms)
    assert found(rooms) == []
