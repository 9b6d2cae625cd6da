"""What goes to the requester by itself: only where the policy and the limits let it, and without a stranger's words.

Whatever is not sent is stored with its reason.
"""

from __future__ import annotations

from typing import Any

from postroom.desk.happened import What
from postroom.desk.routing import SPAM
from postroom.outbound import policy, wording
from postroom.outbound.addresses import is_sendable
from postroom.outbound.agents_html import SIGNED_ADDRESS
from postroom.outbound.holding import why_held
from postroom.outbound.letters import GENERATED, REPLIED
from postroom.outbound.policy import Facts, Refusal
from postroom.outbound.threads import thread_of_mail, thread_of_row
from postroom.outbound.told import Post, Told
from postroom.store import addressing

TOLD_STATUSES = ("resolved", "closed", "pending_customer")
DONE = ("resolved", "closed")  # out of these, any other status is told as well


def confirm(post: Post, told: Told) -> None:
    """In answer to the mail that opened the ticket: we have it, and this is its number."""
    happened, case = told.happened, told.case
    origin = happened.origin
    if origin is None:
        told.note("answer", "not-by-mail", "suppressed", "it was not opened by a mail")
        return
    mailbox = post.config.mailbox.get(origin.mailbox)
    trusts_reply_to = mailbox is not None and mailbox.trust_reply_to
    switched_on = post.config.notify.confirmation and (mailbox is None or mailbox.confirm)
    facts = Facts(
        email=origin.email, sender=origin.sender, recipient=case.requester, authenticated=origin.authenticated,
        switched_on=switched_on, opens_ticket=happened.what is What.OPENED, is_confirmed=bool(case.is_confirmed),
        is_ours=post.mailboxes.is_ours(case.requester),
        is_agent=any(a.address == case.requester for a in told.agents()),
        names_us=any(post.mailboxes.is_ours(a.address) for a in (*origin.email.to, *origin.email.cc)),
        complained=_held(case, "complained"), bounces=_held(case, "bounces"),
        trusts_reply_to=trusts_reply_to, is_spam=SPAM in case.tags,
    )  # fmt: skip
    refusal = policy.refuse(facts) or post.limits.take(told.connection, case.requester)
    if refusal is not None:
        suppress(post, told, "confirmation", refusal)
        return
    proven = origin.authenticated is True and not trusts_reply_to  # it proves From, which then is not the recipient
    repeats = policy.may_repeat_subject(proven, bool(case.is_known))
    subject = wording.reply_subject(case.subject, case.ref) if repeats else None
    data = {"ticket": wording.ticket_data(post.config, case)}
    told.mails.append(post.letters.to_customer(
        case, "confirmation", data, subject=subject, thread=thread_of_mail(origin, repeats, post.clock()), why=REPLIED,
        about=happened.message_id,
    ))  # fmt: skip
    told.note("answer", "confirmation", "enqueued", f"a confirmation to {case.requester}",
              recipient=case.requester, subject="repeated" if repeats else "fixed")  # fmt: skip


def tell_of_status(post: Post, told: Told) -> None:
    """The ticket waits for its customer, is resolved, is closed, or is open again."""
    case, happened = told.case, told.happened
    new, old = happened.new_status, happened.old_status
    if new not in TOLD_STATUSES and old not in DONE:
        told.note("answer", "status", "nothing", f"nobody is told of the status {new}")
        return
    ticket = {**wording.ticket_data(post.config, case), "status": new}
    resolution = SIGNED_ADDRESS.sub("@", case.resolution_summary or "")
    write(post, told, "status", {"ticket": ticket, "resolution": resolution}, f"{new}")


def remind(post: Post, told: Told) -> None:
    """We still wait for the customer's answer."""
    write(post, told, "reminder", {"ticket": wording.ticket_data(post.config, told.case)}, "a reminder")


def write(post: Post, told: Told, purpose: str, data: dict[str, Any], what: str) -> None:
    """Write to the requester because of what the desk did, if the policy and the limits let us.

    `purpose`: the templates' folder, and the switch in `[notify]`. `data`: what the templates are told besides the desk;
    no word of a stranger's. `what`: the mail in words, for the decision.
    """
    case = told.case
    refusal = _refuse(post, told, purpose) or post.limits.take(told.connection, case.requester)
    if refusal is not None:
        suppress(post, told, purpose, refusal)
        return
    last = addressing.last_of_customer(told.connection, case.id)
    answered = case.first_responded_at is not None  # by an agent: no stranger any more
    subject = wording.reply_subject(case.subject, case.ref) if answered or case.is_known else None
    # whose subject is not repeated hears nothing else of his own words either
    thread = thread_of_row(last, case.requester if subject else None, post.clock())
    told.mails.append(post.letters.to_customer(
        case, purpose, data, subject=subject, thread=thread, why=GENERATED, about=None
    ))  # fmt: skip
    told.note("answer", purpose, "enqueued", f"{what} to {case.requester}", recipient=case.requester)


def _refuse(post: Post, told: Told, purpose: str) -> Refusal | None:
    """Why the requester is not to be written to by ourselves."""
    case = told.case
    if not getattr(post.config.notify, purpose):
        return Refusal("switched-off", f"{purpose} mails are switched off in the configuration")
    if not is_sendable(case.requester):
        return Refusal("from-one-address", f"{case.requester[:100]!r} is no address that we write to")
    if policy.ROLE.fullmatch(case.requester.rpartition("@")[0]):
        return Refusal("role-address", f"nobody reads what is sent to {case.requester}")
    if post.mailboxes.is_ours(case.requester):
        return Refusal("our-address", f"{case.requester} is one of our own addresses")
    if any(agent.address == case.requester for agent in told.agents()):
        return Refusal("agent", f"{case.requester} is an agent")
    if held := why_held(case):
        return held
    if not case.is_reached:
        return Refusal("never-reached", "neither a confirmation nor an answer went to this requester before")
    return None


def _held(case: Any, rule: str) -> str | None:
    held = why_held(case)
    return held.why if held is not None and held.rule == rule else None


def suppress(post: Post, told: Told, purpose: str, refusal: Refusal) -> None:
    """Store that a mail was not sent, and why."""
    case = told.case
    told.mails.append(post.letters.suppressed(
        case, purpose, case.requester, f"{refusal.rule}: {refusal.why}", told.happened.message_id
    ))  # fmt: skip
    told.note("answer", refusal.rule, "suppressed", refusal.why, purpose=purpose)
