"""What a daemon does of all that there is to do: everything, or what `--only` names, where several share a database."""

from __future__ import annotations

from postroom.errors import UserError

SMTP = frozenset({"smtp"})  # takes mail by SMTP or LMTP
IMAP = frozenset({"imap"})  # fetches mail
WORK = frozenset({"work"})  # makes tickets of it
SEND = frozenset({"send"})  # carries what goes out
SCHEDULE = frozenset({"schedule"})  # does what is due by the clock
INTAKE = SMTP | IMAP
ALL = INTAKE | WORK | SEND | SCHEDULE
NAMES = ("smtp", "imap", "work", "send", "schedule")


def read_roles(words: str) -> frozenset[str]:
    """The roles in `smtp,work`. Raises UserError for one that there is not, or for none."""
    roles = frozenset(word.strip() for word in words.split(",") if word.strip())
    unknown = sorted(roles - ALL)
    if unknown or not roles:
        raise UserError(f"--only: there is no {', '.join(unknown) or 'role'}; there are: {', '.join(NAMES)}")
    return roles
