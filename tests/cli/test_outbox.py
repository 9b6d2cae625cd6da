"""Mail going out, from the command line."""

from __future__ import annotations


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
