"""Mail going out, from the command line."""

from __future__ import annotations

from peers.courier import settings


def test_what_waits_is_listed_and_shown_with_its_bytes(desk):
    mails = desk("outbox", "list", "--json").objects
    assert {(m["purpose"], m["recipient"], m["ticket"]) for m in mails} >= {
        ("confirmation", "carla@customer.example.org", "T-1001"), ("new_ticket", "ann@example.com", "T-1001"),
    }  # fmt: skip
    notice = next(m for m in mails if m["purpose"] == "new_ticket")
    assert notice["state"] == "pending"
    [shown] = desk("outbox", "show", str(notice["id"]), "--json").objects
    assert "Printer on fire" in shown["mail"]
    assert "Printer on fire" in desk("outbox", "show", str(notice["id"])).out
    assert len(desk("outbox", "list").out.splitlines()) == len(mails) + 1


def test_a_list_can_be_narrowed_to_a_state_or_a_ticket(desk):
    assert desk("outbox", "list", "--state", "sent", "--json").objects == []
    assert {m["ticket"] for m in desk("outbox", "list", "--ticket", "T-1002", "--json").objects} <= {"T-1002"}
    assert "there is no ticket T-9" in desk("outbox", "list", "--ticket", "T-9").err


def test_what_waits_can_be_cancelled_and_sent_after_all(desk):
    id_ = str(desk("outbox", "list", "--state", "pending", "--json").objects[0]["id"])
    [mail] = desk("outbox", "cancel", id_, "--json").objects
    assert (mail["state"], mail["reason"]) == ("cancelled", "cancelled from the command line")
    assert "is cancelled; only what waits" in desk("outbox", "cancel", id_).err
    [mail] = desk("outbox", "retry", id_, "--json").objects
    assert (mail["state"], mail["reason"]) == ("pending", None)
    assert "is pending; only what failed" in desk("outbox", "retry", id_).err


def test_an_unknown_mail_is_one_line(desk):
    for verb in ("show", "retry", "cancel"):
        ran = desk("outbox", verb, "99")
        assert (ran.status, "there is no outgoing mail 99" in ran.err) == (1, True)


def test_a_list_can_be_narrowed_to_a_recipient_his_domain_or_a_time(desk):
    def recipients(*arguments):
        return {m["recipient"] for m in desk("outbox", "list", "--json", *arguments).objects}

    assert recipients("--recipient", "CARLA@customer.example.org") == {"carla@customer.example.org"}
    assert recipients("--recipient", "@customer.example.org") == {"carla@customer.example.org"}
    assert recipients("--recipient", "@example.org") == set()
    assert recipients("--since", "1h") == recipients()
    assert recipients("--since", "2199-01-01") == set()
    assert "is no time" in desk("outbox", "list", "--since", "yesterday").err


def test_without_a_daemon_what_is_due_is_sent_by_hand(desk):
    waits = len(desk("outbox", "list", "--state", "pending", "--json").objects)
    [said] = desk("outbox", "send", "--json").objects
    assert said["outbox"] == {"sent": waits}
    assert desk("outbox", "send").out == f"{waits} sent\n"


def test_a_smarthost_that_is_down_is_shown_and_its_mail_says_that_it_waits(desk, smarthost):
    smarthost.stop()
    desk.config.write_text(desk.config.read_text() + settings(smarthost))
    assert desk("outbox", "send").status == 0
    [row] = desk("status", "--json").objects[0]["smarthosts"]
    assert (
        row["name"],
        row["failingSince"] is not None,
        "Connection" in row["lastError"] or "Connect" in row["lastError"],
    ) == ("outgoing.smtp", True, True)
    assert "for outgoing.smtp since" in desk("status").out
    mails = desk("outbox", "list", "--state", "pending", "--json").objects
    assert {m["attempts"] for m in mails} == {0}
    assert any(m["reason"] and m["reason"].startswith("waits for outgoing.smtp") and m["nextAttemptAt"] for m in mails)
