"""Each rule of POLICIES.md by its name, against the real index in SQLite."""

from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from postroom.parsers.parsed import Address, ParsedEmail
from postroom.store import migrate, thread_index, tickets
from postroom.store.engine import Store
from postroom.store.thread_index import ThreadIndex
from postroom.threading.find import ask, best_first, find_ticket, read_tokens
from postroom.threading.match import Outcome
from postroom.threading.tokens import Role, Signer

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
LATER = NOW + timedelta(days=30)
CY, EVE = "cy@customer.example", "eve@stranger.example"
signer = Signer([b"k" * 32])


@pytest.fixture
def connection(tmp_path):
    store = Store(f"sqlite:///{tmp_path}/p.db")
    migrate.upgrade(store)
    with store.write() as connection:
        yield connection
    store.dispose()


def a_ticket(connection, number=1042, requester=CY, subject="printer", status="open", refs=(), named=(), **values):
    id_ = tickets.add(connection, {
        "number": number, "ref": f"T-{number}", "subject": subject, "normal_subject": subject, "description": "",
        "ticket_type": "question", "source": "email", "submitter_name": "", "submitter_email": requester,
        "queue": "support", "requester": requester, "status": status, "priority": "medium",
        "created_at": NOW, "updated_at": NOW, **values,
    }, Random(number))  # fmt: skip
    tickets.change(connection, id_, {"key": number})
    for ref in refs:
        thread_index.add_refs(connection, id_, ref, named)
    person = {"address": requester, "name": "", "role": "requester", "agreed": True, "created_at": NOW}
    thread_index.add_participants(connection, id_, [person])
    return id_


def search(connection, email, author=CY, recipient="support@example.com", archive=False, now=NOW, agent=None):
    def tag_of(address):
        local, _, domain = address.partition("@")
        base, _, tag = local.partition("+")
        return tag or None if (base.lower(), domain) == ("support", "example.com") else None

    tokens = best_first(read_tokens(email, recipient, tag_of, signer, now), agent)
    question = ask(email, author, tokens, signer, "T-", now, archive)
    return find_ticket(email, ThreadIndex(connection), question)


def outcome(match, rule):
    return next(f.outcome for f in match.tried if f.rule == rule)


def signed(number=1042, role=Role.CUSTOMER, agent=None, expires=LATER):
    return f"support+{signer.reply(number, role, expires, agent)}@example.com"


# 1 reply-address


@pytest.mark.parametrize("place", ["envelope", "to", "cc", "delivered-to", "x-original-to", "envelope-to"])
def test_reply_address_is_read_wherever_the_mail_names_it(connection, place):
    id_ = a_ticket(connection)
    address = (Address("", signed()),)
    email = {
        "envelope": ParsedEmail(), "to": ParsedEmail(to=address), "cc": ParsedEmail(cc=address),
    }.get(place, ParsedEmail(headers=((place, f"<{signed()}>"),)))  # fmt: skip
    match = search(connection, email, author=EVE, recipient=signed() if place == "envelope" else "support@example.com")
    assert (match.ticket, match.rule) == (id_, "reply-address")


def test_reply_address_wins_over_every_header(connection):
    id_, other = a_ticket(connection), a_ticket(connection, 1043, refs=["other@customer.example"])
    email = ParsedEmail(in_reply_to=("other@customer.example",), subject="Re: [T-1043] printer")
    assert search(connection, email, recipient=signed()).ticket == id_ != other


def test_reply_address_that_expired_does_not_hold(connection):
    a_ticket(connection)
    match = search(connection, ParsedEmail(), recipient=signed(expires=NOW - timedelta(days=3)))
    assert match.ticket is None
    assert "expired" in match.tried[0].why


def test_reply_address_of_the_author_comes_before_another_agents(connection):
    a_ticket(connection)
    email = ParsedEmail(
        to=(Address("", signed(role=Role.AGENT, agent=2)),), cc=(Address("", signed(role=Role.AGENT, agent=1)),)
    )
    match = search(connection, email, agent=1)
    assert match.token is not None
    assert match.token.agent == 1


def test_reply_address_leads_to_the_ticket_that_the_old_one_was_merged_into(connection):
    target = a_ticket(connection, 1050)
    a_ticket(connection, 1042, merged_into=target)
    assert search(connection, ParsedEmail(), recipient=signed(1042)).ticket == target


# 2 own-message-id


def test_own_message_id_is_good_for_whoever_received_that_mail(connection):
    id_ = a_ticket(connection)
    ours = f"{signer.message_id(1042, 7)}@example.com"
    match = search(connection, ParsedEmail(in_reply_to=(ours,)), author=EVE)
    assert (match.ticket, match.rule) == (id_, "own-message-id")


def test_own_message_id_is_found_in_references_newest_first(connection):
    a_ticket(connection, 1041), a_ticket(connection, 1042)
    refs = tuple(f"{signer.message_id(n, 7)}@example.com" for n in (1041, 1042))
    match = search(connection, ParsedEmail(references=("root@customer.example", *refs)))
    assert match.tried[1].evidence["ticket"] == "T-1042"


def test_a_forged_own_message_id_is_worth_nothing(connection):
    a_ticket(connection)
    forged = Signer([b"x" * 32]).message_id(1042, 7)
    assert search(connection, ParsedEmail(in_reply_to=(f"{forged}@example.com",)), author=EVE).ticket is None


# 3 known-message-id


def test_known_message_id_is_for_participants(connection):
    id_ = a_ticket(connection, refs=["first@customer.example"])
    match = search(connection, ParsedEmail(in_reply_to=("first@customer.example",)))
    assert (match.ticket, match.rule) == (id_, "known-message-id")


def test_known_message_id_is_refused_to_strangers_with_the_reason(connection):
    id_ = a_ticket(connection, refs=["first@customer.example"])
    match = search(connection, ParsedEmail(in_reply_to=("first@customer.example",)), author=EVE)
    assert (match.ticket, match.refused) == (None, (id_,))
    assert outcome(match, "known-message-id") is Outcome.REFUSED
    assert EVE in next(f.why for f in match.tried if f.rule == "known-message-id")


def test_known_message_id_prefers_what_is_answered_over_older_references(connection):
    a_ticket(connection, 1041, refs=["old@customer.example"])
    id_ = a_ticket(connection, 1042, refs=["new@customer.example"])
    email = ParsedEmail(
        references=("old@customer.example", "new@customer.example"), in_reply_to=("new@customer.example",)
    )
    match = search(connection, email)
    assert match.ticket == id_
    assert len(match.also) == 1


def test_an_archives_own_threads_are_trusted(connection):
    id_ = a_ticket(connection, refs=["first@customer.example"])
    assert (
        search(connection, ParsedEmail(in_reply_to=("first@customer.example",)), author=EVE, archive=True).ticket == id_
    )


# 4 shared-ancestor


def test_shared_ancestor_finds_the_thread_that_we_were_copied_into_midway(connection):
    id_ = a_ticket(connection, refs=["second@customer.example"], named=["root@elsewhere.example"])
    match = search(connection, ParsedEmail(references=("root@elsewhere.example",)))
    assert (match.ticket, match.rule) == (id_, "shared-ancestor")


def test_shared_ancestor_joins_an_original_that_its_reply_overtook(connection):
    id_ = a_ticket(connection, refs=["reply@customer.example"], named=["original@customer.example"])
    assert search(connection, ParsedEmail(message_id="original@customer.example")).ticket == id_


def test_shared_ancestor_is_refused_to_strangers(connection):
    id_ = a_ticket(connection, refs=["second@customer.example"], named=["newsletter@sender.example"])
    match = search(connection, ParsedEmail(references=("newsletter@sender.example",)), author=EVE)
    assert (match.ticket, match.refused) == (None, (id_,))


# 5 subject-tag


def test_subject_tag_is_for_participants(connection):
    id_ = a_ticket(connection)
    match = search(connection, ParsedEmail(subject="Re: [t-1042] printer"))
    assert (match.ticket, match.rule) == (id_, "subject-tag")
    assert search(connection, ParsedEmail(subject="[T-1042]"), author=EVE).ticket is None


@pytest.mark.parametrize("subject", ["T-1042", "[X-1042]", "[T-99999999999999]", "[T-7]", "[T-]", "[1042]"])
def test_subject_tag_of_another_desk_names_no_ticket(connection, subject):
    a_ticket(connection)
    assert search(connection, ParsedEmail(subject=subject)).ticket is None


# 6 subject


def test_subject_finds_the_one_unresolved_ticket_of_the_requester(connection):
    id_ = a_ticket(connection, subject="printer is broken")
    match = search(connection, ParsedEmail(subject="AW: Printer is broken"))
    assert (match.ticket, match.rule) == (id_, "subject")


@pytest.mark.parametrize(
    "email",
    [
        ParsedEmail(subject="printer is broken"),
        ParsedEmail(subject="Re: printer is broken", references=("lost@customer.example",)),
        ParsedEmail(subject="Re: printer"),
    ],
    ids=["no reply", "has references", "another subject"],
)
def test_subject_is_only_for_a_reply_without_references(connection, email):
    a_ticket(connection, subject="printer is broken")
    assert search(connection, email).ticket is None


def test_subject_never_merges_strangers_resolved_silent_or_ambiguous_tickets(connection):
    reply = ParsedEmail(subject="Re: printer is broken")
    id_ = a_ticket(connection, subject="printer is broken")
    assert search(connection, reply, author=EVE).ticket is None
    assert search(connection, reply, now=NOW + timedelta(days=15)).ticket is None
    assert search(connection, reply, archive=True).ticket is None
    tickets.change(connection, id_, {"status": "resolved"})
    assert search(connection, reply).ticket is None
    tickets.change(connection, id_, {"status": "open"})
    a_ticket(connection, 1043, subject="printer is broken")
    assert search(connection, reply).ticket is None


# all of them


def test_thread_index_and_thread_topic_never_match(connection):
    a_ticket(connection, subject="printer is broken")
    headers = (("thread-index", "AdAbcdefg=="), ("thread-topic", "printer is broken"))
    assert search(connection, ParsedEmail(subject="printer is broken", headers=headers)).ticket is None


def test_every_rule_that_was_tried_is_kept_in_order(connection):
    match = search(connection, ParsedEmail(subject="hello"))
    rules = ["reply-address", "own-message-id", "known-message-id", "shared-ancestor", "subject-tag", "subject"]
    assert [f.rule for f in match.tried] == rules
    assert all(f.why for f in match.tried)


def test_of_ten_thousand_references_the_nearest_and_the_root_are_looked_up(connection):
    root, near = (
        a_ticket(connection, 1041, refs=["root@customer.example"]),
        a_ticket(connection, 1042, refs=["9990@x.example"]),
    )
    refs = ("root@customer.example", *(f"{i}@x.example" for i in range(10_000)))
    match = search(connection, ParsedEmail(references=refs))
    assert (match.ticket, match.also) == (near, (root,))
