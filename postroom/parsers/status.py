"""Enhanced status codes out of what mail servers say (RFC 3463, RFC 5321 §4.2).

What is written wins over what is guessed: an explicit `5.1.1` first, then the words of the diagnostic with the
class of its reply code, then the reply code alone.
"""

from __future__ import annotations

import re

from postroom.parsers.status_words import REPLY_STATUS, WORDS, Words

DIAGNOSTIC_READ = 4_000  # characters of a diagnostic that are looked at; real ones are under 1,000

# An enhanced code that is no address, version or queue id: no word or number touches it on either side.
_ENHANCED = re.compile(r"(?<![\w.])(?<!\w-)(?:[245]\d\d[ \-])?[245]\.\d{1,2}\.\d{1,3}(?![\w\-]|\.\d)")
_REPLY = re.compile(
    r"(?<![\w.\-/,#=])[45][0-5]\d(?![\w/]|\.\d|-\d\d-|,\d)(?! ?(?:minute|hour|second|day|byte|char|kb|mb|message|line))",
    re.IGNORECASE,
)


def find_status(diagnostic: str) -> str | None:
    """The enhanced status that a diagnostic tells, explicit or derived, or None where it tells none."""
    return explicit_status(diagnostic) or derived_status(diagnostic)


def explicit_status(diagnostic: str) -> str | None:
    """The most telling enhanced code that is written in the text, or None.

    A chain of servers writes several ("554 5.4.7 expired <421 4.4.2 timed out>", "552 5.2.2 … 554 5.0.0 … 503 5.5.1"):
    the first that is not vague is the cause.
    """
    codes = [found[0].split(" ")[-1].split("-")[-1] for found in _ENHANCED.finditer(diagnostic[:DIAGNOSTIC_READ])]
    failures = [
        code for code in codes if code[0] != "2"
    ]  # 2.x.x: of a command that went well before the one that failed
    return min(failures, key=vagueness, default=None)


def derived_status(diagnostic: str) -> str | None:
    """The enhanced status that the words, or else the reply code, of a diagnostic stand for, or None."""
    diagnostic = diagnostic[:DIAGNOSTIC_READ]
    replies = [found[0] for found in _REPLY.finditer(diagnostic)]
    # 503 is the answer to our next command, after the one that was refused.
    reply = next((code for code in replies if code != "503"), replies[0] if replies else None)
    words = _words_of(diagnostic)
    if words is not None:
        return f"{reply[0] if reply else words.usual_class}.{words.detail}"
    if reply is None:
        return None
    return REPLY_STATUS.get(reply, f"{reply[0]}.0.0")


def has_failure_words(text: str) -> bool:
    """Whether the text says, in words or an enhanced code, why something was not delivered."""
    return explicit_status(text) is not None or _words_of(text[:DIAGNOSTIC_READ]) is not None


def has_reply_code(text: str) -> bool:
    """Whether the text holds what may be a negative SMTP reply code."""
    return _REPLY.search(text[:DIAGNOSTIC_READ]) is not None


def is_vague(status: str) -> bool:
    """Whether another code in the same report may say more (RFC 3463 §3: "other or undefined")."""
    return vagueness(status) > 0


def vagueness(status: str) -> int:
    """0 for a code that names a cause; more, the less it tells."""
    if status.endswith(".0.0"):
        return 3
    if status[1:] in {
        ".5.0",
        ".5.1",
        ".5.2",
    }:  # the dialogue's own trouble, mostly a consequence: "503 5.5.1 Need RCPT"
        return 2
    return 1 if status[1:] == ".4.7" else 0  # expired: that they gave up, not why


def _words_of(diagnostic: str) -> Words | None:
    # Wrapping splits phrases: "mailbox\n    full".
    lowered = " ".join(diagnostic.lower().replace("’", "'").split())
    return next((words for words in WORDS if any(phrase in lowered for phrase in words.phrases)), None)
