"""What each template is told, by an example: the purposes that there are, and the variables of each.

A template is checked by rendering it from its example, and `postroom templates preview` shows it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from postroom.saying import Saying

Data = dict[str, Any]

WHEN = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
DESK: Data = {"name": "Support", "address": "support@example.com"}
TICKET: Data = {"ref": "T-1042", "status": "resolved", "priority": "medium", "queue": "Support"}
PRIVATE: Data = {**TICKET, "subject": "Printer on fire", "requester": "ann@example.org", "requester_name": "Ann"}
MESSAGE: Data = {
    "author": "Ann <ann@example.org>", "date": WHEN, "text": "It burns.\n\nPlease help. <b>Now!</b>",
    "files": [
        {"filename": "fire.png", "size": 12_300, "attached": True}, {"filename": "film.mp4", "size": 88_000_000, "attached": False},
    ],
}  # fmt: skip
QUOTED: Data = {"author": "Ann", "date": WHEN, "lines": ["It burns.", "", "Please help."]}
ANSWER: Data = {"author": "Bob Agent", "date": WHEN, "text": "Please turn it off.", "files": []}
READERS = ["Ann <ann@example.org>", "boss@example.org"]
AGENT: Data = {"name": "Bob Agent"}
NOTICE: Data = {"desk": DESK, "ticket": PRIVATE, "message": MESSAGE, "readers": READERS, "may_answer": True}
REFUSAL = "550 5.1.1 <ann@example.org>: User unknown"
HELD = Saying("mail came back %(count)s times, last with: %(words)s", count=3, words=REFUSAL)
WRONG = [
    {
        "line": "#status gone",
        "why": Saying("'%(status)s' is no status; there are: %(names)s", status="gone", names="new, open"),
        "right": Saying("#status STATUS, such as #status pending_internal"),
    },
]

# What a customer gets by itself holds nothing that a stranger wrote: neither subject nor name nor text.
SAMPLES: dict[str, Data] = {
    "confirmation": {"desk": DESK, "ticket": TICKET},
    "status": {"desk": DESK, "ticket": TICKET, "resolution": "We changed the fuse."},
    "reply": {"desk": DESK, "ticket": PRIVATE, "agent": AGENT, "message": {**MESSAGE, "html": ""}, "quoted": QUOTED},
    "new_ticket": {**NOTICE},
    "assignment": {**NOTICE, "actor": "bob", "last_answer": ANSWER},
    "customer_reply": {**NOTICE, "is_stranger": True},
    "note": {**NOTICE, "message": {**MESSAGE, "author": "Bob Agent", "text": "Can you look at this?", "files": []}},
    "colleague": {**NOTICE, "message": {**ANSWER}, "is_note": False},
    "unknown_name": {
        "desk": DESK, "ticket": PRIVATE, "message": {**MESSAGE, "author": "Bob Agent", "text": "@bret, can you look?", "files": []},
        "names": ["@bret"], "agents": ["@ann", "@bert"],
    },
    "unproven_agent": {**NOTICE, "why": Saying("it did not come to the address that was signed for an agent")},
    "undeliverable": {
        "desk": DESK, "ticket": PRIVATE, "readers": READERS, "may_answer": True, "recipient": "ann@example.org", "cause": "unknown",
        "reason": REFUSAL, "is_ours": False, "held": HELD,
        "answer": {"author": "Bob Agent", "date": WHEN, "lines": ["Please turn it off.", "", "[…]"]},
    },
    "held": {
        "desk": DESK, "ticket": PRIVATE, "readers": READERS, "may_answer": True, "recipient": "ann@example.org", "because": "bounces",
        "reason": HELD, "is_answered": True,
    },
    "reminder": {"desk": DESK, "ticket": {**TICKET, "status": "pending_customer"}},
    "escalation": {**NOTICE, "due": WHEN, "is_answered": False, "assigned_to": ""},
    "follow_up": {**NOTICE},
    "solution": {
        "desk": DESK, "ticket": PRIVATE, "agent": AGENT, "message": {**MESSAGE, "html": ""}, "quoted": QUOTED,
        "links": {"solved": "mailto:a@example.com?subject=Solved&body=Yes", "not_solved": "mailto:b@example.com?subject=Not&body=No"},
    },
    "solution_review": {"desk": DESK, "ticket": PRIVATE, "message": {**MESSAGE, "text": "We changed the fuse."}, "agent": AGENT},
    "solution_passed": {**NOTICE, "message": {**ANSWER}, "reviewer": "Cora Agent"},
    "solution_approved": {**NOTICE, "solution": "We changed the fuse."},
    "solution_refused": {**NOTICE, "solution": "We changed the fuse.", "reviewer": ""},
    "feedback_request": {
        "desk": DESK, "ticket": {**TICKET, "status": "closed"},
        "links": [{"rating": n, "url": f"mailto:{n}@example.com?subject=Feedback&body={n}"} for n in range(1, 6)],
    },
    "feedback_given": {**NOTICE, "rating": 4},
    "command_error": {"desk": DESK, "ticket": PRIVATE, "wrong": WRONG, "lines": ["#status gone", "#tag fuse", "", "Hello Ann,"]},
    "operator": {"desk": DESK, "title": Saying("alarm: %(name)s", name="unprocessed mail"),
        "text": [Saying("the oldest unprocessed mail came at %(when)s", when=WHEN), Saying("See: postroom status")], "host": "mail"},
    "digest": {
        "desk": DESK, "queue": "Support", "total": {"open": 12, "overdue": 1, "waiting": 4, "unassigned": 2}, "mine": {"open": 3, "overdue": 1},
        "late": [{"ref": "T-1042", "subject": "Printer on fire", "due": WHEN, "agent": "bob"}],
    },
    "quarantine": {
        "desk": DESK, "host": "mail", "more": 3,
        "mails": [{"id": 7, "received": WHEN, "mailbox": "support", "sender": "ann@example.org", "why": "the parse worker died (signal 11)"}],
    },
}  # fmt: skip
