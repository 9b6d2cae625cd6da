"""Mail received, from the command line: listed, shown, printed byte for byte, tried again, explained."""

from __future__ import annotations

from datetime import UTC, datetime

from peers.commandline import FOLLOW_UP

from postroom.store import inbound
from postroom.store.engine import Store


def quarantine(desk, id_: int) -> None:
    store = Store(f"sqlite:///{desk.folder}/var/postroom.db")
    with store.write() as connection:
        inbound.quarantine(connection, id_, "the parse worker died (SIGSEGV)", datetime.now(UTC))
    store.dispose()


def test_mail_is_listed_newest_first_with_what_became_of_it(desk):
    mails = desk("inbound", "list", "--json").objects
    assert [(m["id"], m["state"], m["ticket"]) for m in mails] == [
        (3, "processed", "T-1002"), (2, "processed", "T-1001"), (1, "processed", "T-1001"),
    ]  # fmt: skip
    assert (mails[0]["mailbox"], mails[0]["recipient"]) == ("sales", "sales@example.com")
    assert desk("inbound", "list", "--state", "quarantined", "--json").objects == []
    assert "T-1001" in desk("inbound", "list").out


def test_raw_prints_the_exact_bytes(desk):
    assert desk.program("inbound", "raw", "2").out.encode() == FOLLOW_UP


def test_a_mail_is_shown_with_its_envelope(desk):
    out = desk("inbound", "show", "2").out
    assert "carla@customer.example.org" in out
    assert "T-1001" in out
    [mail] = desk("inbound", "show", "2", "--json").objects
    assert (mail["sender"], mail["source"], mail["size"]) == ("carla@customer.example.org", "ingest", len(FOLLOW_UP))


def test_a_quarantined_mail_is_seen_and_can_be_tried_again(desk):
    quarantine(desk, 2)
    [mail] = desk("inbound", "list", "--state", "quarantined", "--json").objects
    assert (mail["id"], mail["reason"]) == (2, "the parse worker died (SIGSEGV)")
    [mail] = desk("inbound", "retry", "2", "--json").objects
    assert (mail["state"], mail["failures"]) == ("pending", 0)


def test_what_is_processed_is_not_tried_again(desk):
    ran = desk("inbound", "retry", "2")
    assert (ran.status, "only what is quarantined" in ran.err) == (1, True)


def test_a_decision_is_explained_with_its_rules_and_evidence(desk):
    out = desk("inbound", "explain", "2").out
    for words in (
        "Mail 2: processed, T-1001",
        "Who wrote it?",
        "Which ticket?",
        "✓ known-message-id",
        "q1@customer.example.org",
    ):
        assert words in out
    [mail] = desk("inbound", "explain", "2", "--json").objects
    rules = {(line["step"], line["rule"]): line["outcome"] for line in mail["decision"]}
    assert rules["ticket", "known-message-id"] == "held"
    assert all(line.keys() >= {"step", "rule", "outcome", "why", "evidence"} for line in mail["decision"])


def test_an_unknown_mail_is_one_line(desk):
    for verb in ("show", "raw", "retry", "explain"):
        ran = desk("inbound", verb, "99")
        assert (ran.status, ran.err) == (
            1,
            "postroom: there is no mail 99; `postroom inbound list` shows those there are\n",
        )
