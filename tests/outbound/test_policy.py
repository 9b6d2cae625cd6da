"""One test for each rule, named after it: what it refuses, and that an ordinary mail beside it is answered."""

from dataclasses import replace

import pytest
from peers.outgoing import mail

from postroom.config import Answers
from postroom.outbound.policy import RULES, Facts, limits, may_repeat_subject, over, refuse
from postroom.parsers.parsed import Address, Automatic, Kind

ORDINARY = Facts(mail(), "ann@example.org", "ann@example.org", None)


def rule_for(**changes):
    refusal = refuse(replace(ORDINARY, **changes))
    return refusal and refusal.rule


def test_an_ordinary_mail_is_answered():
    assert refuse(ORDINARY) is None


def test_every_rule_has_a_test_named_after_it():
    tested = {name.removeprefix("test_rule_").replace("_", "-") for name in globals() if name.startswith("test_rule_")}
    assert tested == {name for name, _ in RULES} | {
        limit.scope.partition(":")[0] for limit in limits("a@b.example", Answers())
    }


def test_rule_switched_off():
    assert rule_for(switched_on=False) == "switched-off"


def test_rule_spam():
    assert rule_for(is_spam=True) == "spam"


@pytest.mark.parametrize("sender", ["", None])
def test_rule_null_sender(sender):
    assert rule_for(sender=sender) == "null-sender"


def test_rule_bounce():
    assert rule_for(email=mail(kind=Kind.BOUNCE)) == "bounce"


def test_rule_complaint():
    assert rule_for(email=mail(kind=Kind.COMPLAINT)) == "complaint"


def test_rule_receipt():
    assert rule_for(email=mail(kind=Kind.RECEIPT)) == "receipt"


def test_rule_loop_mark():
    refusal = refuse(replace(ORDINARY, email=mail(headers=(("x-postroom-loop", "support@example.net"),))))
    assert refusal.rule == "loop-mark"
    assert "support@example.net" in refusal.why


def test_rule_automatic():
    refusal = refuse(replace(ORDINARY, email=mail(automatic=Automatic(True, "Auto-Submitted: auto-replied"))))
    assert (refusal.rule, refusal.why) == ("automatic", "Auto-Submitted: auto-replied")


def test_rule_unanswerable():
    refusal = refuse(replace(ORDINARY, email=mail(automatic=Automatic(unanswerable="List-Id: friends.example.org"))))
    assert (refusal.rule, refusal.why) == ("unanswerable", "List-Id: friends.example.org")


@pytest.mark.parametrize("senders", [(), (Address("", "a@example.org"), Address("", "b@example.org"))])
def test_rule_from_one_address(senders):
    assert rule_for(email=mail(from_=senders)) == "from-one-address"


@pytest.mark.parametrize("recipient", ["", "a b@example.org", "a@example.org,b@example.org", '"a"@example.org'])
def test_an_address_that_is_not_plain_falls_under_the_same_rule(recipient):
    assert rule_for(recipient=recipient) == "from-one-address"


@pytest.mark.parametrize(
    "local",
    [
        "mailer-daemon", "MAILER-DAEMON", "postmaster", "abuse", "root", "no-reply", "noreply", "no_reply", "do-not-reply", "donotreply",
        "news-noreply", "noreply-accounts", "bounce", "bounces+123", "bounce-7-x", "owner-friends", "friends-request", "friends-owner",
        "friends-bounces", "friends-bounces+ann=example.org",
    ],
)  # fmt: skip
def test_rule_role_address(local):
    assert rule_for(recipient=f"{local}@example.org") == "role-address"
    assert rule_for(sender=f"{local}@example.org") == "role-address"


@pytest.mark.parametrize("local", ["noah.replyson", "bob.bouncer", "rooty", "ann", "request", "owner", "norep", "no"])
def test_a_name_that_only_looks_like_a_role_is_answered(local):
    assert rule_for(recipient=f"{local}@example.org", sender=f"{local}@example.org") is None


def test_a_contact_forms_own_sender_says_nothing_about_the_customer():
    assert rule_for(sender="bounces+7@mailer.example", trusts_reply_to=True) is None


def test_rule_our_address():
    assert rule_for(is_ours=True) == "our-address"


def test_rule_agent():
    assert rule_for(is_agent=True) == "agent"


def test_rule_complained():
    assert rule_for(complained="held since 2026-11-24: its owner complained") == "complained"


def test_rule_bounces():
    assert rule_for(bounces="held since 2026-11-24: mail came back 3 times") == "bounces"


def test_rule_damaged():
    refusal = refuse(replace(ORDINARY, email=mail(defects=("no blank line between header and body",))))
    assert refusal.rule == "damaged"
    assert "no blank line" in refusal.why


def test_rule_not_addressed():
    assert rule_for(names_us=False) == "not-addressed"


def test_rule_authentication_failed():
    assert rule_for(authenticated=False) == "authentication-failed"
    assert rule_for(authenticated=True) is None


def test_rule_follow_up():
    assert rule_for(opens_ticket=False) == "follow-up"


def test_rule_already_confirmed():
    assert rule_for(is_confirmed=True) == "already-confirmed"


def test_the_first_rule_wins():
    assert rule_for(sender="", email=mail(kind=Kind.BOUNCE), is_ours=True) == "null-sender"


def limit_of(kind, recipient="Ann+shop@Example.org"):
    return next(limit for limit in limits(recipient, Answers()) if limit.scope.partition(":")[0] == kind)


def test_rule_sender_hour():
    limit = limit_of("sender-hour")
    assert (limit.scope, limit.most, limit.window.total_seconds()) == ("sender-hour:ann@example.org", 3, 3600)
    assert over(limit).rule == "sender-hour"


def test_rule_sender_day():
    limit = limit_of("sender-day")
    assert (limit.scope, limit.most, limit.window.total_seconds()) == ("sender-day:ann@example.org", 10, 86400)
    assert over(limit).rule == "sender-day"


def test_rule_domain_hour():
    limit = limit_of("domain-hour")
    assert (limit.scope, limit.most, limit.window.total_seconds()) == ("domain-hour:example.org", 30, 3600)
    assert over(limit).rule == "domain-hour"


def test_rule_all_hour():
    limit = limit_of("all-hour")
    assert (limit.scope, limit.most, limit.window.total_seconds()) == ("all-hour", 500, 3600)
    assert over(limit).rule == "all-hour"
    assert "breaker" in over(limit).why


@pytest.mark.parametrize(
    ("authenticated", "is_known", "repeats"),
    [(None, False, False), (False, False, False), (True, False, True), (None, True, True)],
)
def test_a_strangers_subject_is_never_repeated(authenticated, is_known, repeats):
    assert may_repeat_subject(authenticated, is_known) is repeats
