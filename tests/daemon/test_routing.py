"""Mail that opens a ticket meets the rules: routed, assigned, tagged, ignored or blocked, and always explained."""

import threading
from contextlib import ExitStack

import pytest
from peers.house import ANN, BOB, CONFIG, answer, mail, open_test_house

from postroom.desk.assigning import choose
from postroom.store import agents
from postroom.store.engine import Store

CY, EVE = "cy@customer.example", "eve@stranger.example"
HUGO = {"name": "hugo", "title": "Hugo", "address": "hugo@example.com"}


@pytest.fixture
def desk_with(store_url, tmp_path):
    """Opens a desk whose configuration has these sections."""
    store = {"url": store_url}
    with ExitStack() as closing:
        yield lambda **changes: closing.enter_context(open_test_house(tmp_path, store=store, **changes))


def rule(name="r", when=None, **then):
    return {"name": name, "when": when or {"mailbox": "support"}, "then": then}


def assigning(how, agents=("ann", "bob")):
    return {**CONFIG["queue"], "support": {"agents": list(agents), "assign": how}}


def lines_of(settled, step="route"):
    return [line for line in settled.decision if line["step"] == step]


def names(desk, *tickets):
    with desk.store.read() as connection:
        known = agents.names(connection)
    return [known.get(ticket.assigned_to) for ticket in tickets or desk.tickets()]


def test_a_ticket_goes_where_the_rules_lead(desk_with):
    desk = desk_with(
        tickets={"categories": ["billing"]},
        rule=[rule("invoices", {"subject": {"contains": "invoice"}}, queue="sales", priority="high", type="task",
                   category="billing", tags=["Invoice"], assign="bob")],
    )  # fmt: skip
    settled = desk.take(mail(subject="Your invoice 4711"))
    ticket = desk.ticket(settled.ticket_id)
    assert (ticket.queue, ticket.priority, ticket.ticket_type, ticket.category, ticket.tags) == (
        "sales", "high", "task", "billing", ["invoice"],
    )  # fmt: skip
    assert names(desk) == ["bob"]
    assert [line["rule"] for line in lines_of(settled)] == ["invoices", "route"]
    assert desk.sent("assignment", BOB)
    assert not desk.outbox(recipient=ANN)
    assert desk.events(ticket.id)[:4] == ["opened", "message", "assigned", "tagged"]


def test_an_assignment_by_the_house_is_not_told_as_the_customers_doing(desk_with):
    desk = desk_with(queue=assigning("round_robin"))
    desk.take(mail())
    assert desk.sent("assignment", ANN).text.splitlines()[2] == "Postroom gave you ticket T-1001"


def test_the_mailboxs_queue_is_explained_without_any_rule(desk_with):
    settled = desk_with().take(mail(to="sales@example.com"), recipient="sales@example.com")
    assert [line["why"] for line in lines_of(settled)] == ["queue sales (mailbox sales's)"]


def test_a_reply_meets_no_rule(desk_with):
    desk = desk_with(rule=[rule("late", {"subject": {"contains": "Re:"}}, ignore="replies are noise")])
    opened = desk.take(mail())
    added = desk.take(answer(desk.sent("confirmation", CY), "More.\n", CY))
    assert (added.outcome, added.ticket_id, lines_of(added)) == ("added", opened.ticket_id, [])


def test_of_spam_nobody_is_told_and_nobody_gets_it(desk_with):
    desk = desk_with(rule=[rule("spam", spam=True)], queue=assigning("round_robin"))
    settled = desk.take(mail())
    ticket = desk.ticket(settled.ticket_id)
    assert (settled.outcome, ticket.tags, ticket.assigned_to) == ("opened", ["spam"], None)
    assert [(row.purpose, row.state, row.reason) for row, _ in desk.outbox()] == [
        ("confirmation", "suppressed", "spam: its ticket is tagged spam")
    ]
    assert [line["rule"] for line in lines_of(settled, "notify")] == ["spam"]


def test_a_second_mail_on_a_spam_ticket_is_told_to_nobody_either(desk_with):
    desk = desk_with(rule=[rule("spam", spam=True)])
    desk.take(mail(Message_ID="<first@customer.example>"))
    second = desk.take(mail(In_Reply_To="<first@customer.example>"))
    assert second.outcome == "added"
    assert not desk.outbox(state="pending")


def test_an_ignored_mail_is_kept_with_the_reason_and_opens_nothing(desk_with):
    desk = desk_with(rule=[rule("backups", {"subject": {"contains": "backup ok"}}, ignore="all is well")])
    settled = desk.take(mail(subject="Backup OK"))
    assert (settled.state, settled.outcome, settled.reason) == ("processed", "settled", "all is well (rule backups)")
    assert (desk.tickets(), desk.outbox()) == ([], [])
    assert [line["rule"] for line in lines_of(settled)] == ["backups", "route"]


def test_a_blocked_senders_mail_is_kept_with_the_reason(desk_with):
    desk = desk_with(block={"senders": ["@stranger.example"]})
    settled = desk.take(mail(sender=EVE))
    assert (settled.outcome, settled.reason) == (
        "settled", "eve@stranger.example is blocked by @stranger.example of block.senders",
    )  # fmt: skip
    assert lines_of(settled, "place")[0]["rule"] == "blocked"
    assert (desk.tickets(), desk.outbox()) == ([], [])


def test_a_blocked_sender_joins_no_ticket_either(desk_with):
    desk = desk_with(block={"senders": [EVE]})
    opened = desk.take(mail(Cc=EVE, Message_ID="<first@customer.example>"))
    settled = desk.take(mail(sender=EVE, In_Reply_To="<first@customer.example>"))
    assert settled.outcome == "settled"
    assert len(desk.conversation(opened.ticket_id)) == 1


def test_an_agent_is_never_blocked(desk_with):
    desk = desk_with(block={"senders": ["@example.com"]})
    opened = desk.take(mail())
    notice = desk.sent("new_ticket", ANN)
    settled = desk.take(answer(notice), recipient=notice.reply_to[0].address)
    assert (settled.outcome, settled.ticket_id) == ("added", opened.ticket_id)
    assert desk.take(mail(sender=ANN)).outcome == "opened"


def test_history_meets_neither_rules_nor_blocks(desk_with):
    desk = desk_with(block={"senders": [EVE]}, rule=[rule(ignore="noise")], queue=assigning("round_robin"))
    settled = desk.take(mail(sender=EVE), archive=True)
    assert settled.outcome == "opened"
    assert names(desk) == [None]


def test_round_robin_gives_each_ticket_to_the_next_agent(desk_with):
    desk = desk_with(queue=assigning("round_robin"))
    for _ in range(5):
        desk.take(mail())
    assert names(desk) == ["ann", "bob", "ann", "bob", "ann"]


def test_turns_skip_who_was_removed_and_take_in_who_is_new(desk_with):
    desk = desk_with(queue=assigning("round_robin"))
    with desk.store.write() as connection:
        hugo = agents.add(connection, agents.NewAgent(**HUGO, queues=("support",), source="cli"))
    for _ in range(4):
        desk.take(mail())
    with desk.store.write() as connection:
        agents.remove(connection, hugo)
    for _ in range(3):
        desk.take(mail())
    assert names(desk) == ["ann", "bob", "hugo", "ann", "bob", "ann", "bob"]


def test_the_least_loaded_agent_gets_it_and_equals_take_turns(desk_with):
    desk = desk_with(queue=assigning("least_loaded"), rule=[
        rule("for ann", {"subject": {"contains": "ann"}}, assign="ann"),
    ])  # fmt: skip
    for subject in ("for ann", "for ann", "x", "x", "x", "x"):
        desk.take(mail(subject=subject))
    assert names(desk) == ["ann", "ann", "bob", "bob", "ann", "bob"]


@pytest.mark.parametrize(("how", "wanted"), [("none", None), ("bob", "bob")])
def test_a_queue_can_be_nobodys_or_one_agents(desk_with, how, wanted):
    desk = desk_with(queue=assigning(how))
    desk.take(mail())
    assert names(desk) == [wanted]


def test_a_rule_can_leave_it_to_nobody(desk_with):
    desk = desk_with(queue=assigning("round_robin"), rule=[rule(assign="none")])
    desk.take(mail())
    assert names(desk) == [None]


def test_a_queue_without_agents_assigns_nobody(desk_with):
    desk = desk_with(queue=assigning("round_robin", ()))
    desk.take(mail())
    assert names(desk) == [None]


def test_two_daemons_take_turns_without_giving_one_twice(store_url):
    stores = [Store(store_url), Store(store_url)]
    with stores[0].write() as connection:
        for name in ("ann", "bob", "cora"):
            agents.add(connection, agents.NewAgent(name, name, f"{name}@example.com", ("support",), "cli"))
    chosen: list[str] = []
    begin = threading.Barrier(2)

    def assign(store):
        begin.wait()
        for _ in range(15):
            with store.write() as connection:
                choice = choose(connection, "support", "round_robin", CY, ("closed",))
                chosen.append(choice.name)

    threads = [threading.Thread(target=assign, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for store in stores:
        store.dispose()
    assert {name: chosen.count(name) for name in set(chosen)} == {"ann": 10, "bob": 10, "cora": 10}
