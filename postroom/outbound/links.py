"""Links that a customer answers with: `mailto:` addresses of ours that say something by themselves (RFC 6068).

He only has to send the mail that opens. What it holds already is known here in every language, so that what he adds
is found beside it.
"""

from __future__ import annotations

from urllib.parse import quote

from postroom.threading.tokens import Says

ROOM = {"en": "What I want to add:", "de": "Was ich hinzufügen möchte:"}
MISSING = {"en": "What is missing:", "de": "Was noch fehlt:"}
WORDS: dict[str, dict[Says, tuple[str, str]]] = {
    "en": {
        Says.SOLVED: ("Solved", "Yes, it is solved."),
        Says.NOT_SOLVED: ("Not solved", "No, it is not solved yet."),
        **{says: (f"Feedback: {says.rating} of 5", f"My rating: {says.rating} of 5") for says in Says if says.rating},
    },
    "de": {
        Says.SOLVED: ("Gelöst", "Ja, es ist gelöst."),
        Says.NOT_SOLVED: ("Nicht gelöst", "Nein, es ist noch nicht gelöst."),
        **{says: (f"Bewertung: {says.rating} von 5", f"Meine Bewertung: {says.rating} von 5") for says in Says if says.rating},
    },
}  # fmt: skip
LINE_MAX = 200  # characters of a line that may be one of ours


def mailto(address: str, says: Says, ref: str, language: str) -> str:
    """The link that opens a mail to `address`, with subject and body."""
    chosen = language if language in WORDS else "en"
    subject, body = WORDS[chosen][says]
    room = MISSING if says is Says.NOT_SOLVED else ROOM
    lines = [body] if says is Says.SOLVED else [body, "", room[chosen], ""]
    local, _, domain = address.rpartition("@")
    fields = {"subject": f"{subject} [{ref}]", "body": "\r\n".join(lines)}
    return f"mailto:{quote(local)}@{domain}?" + "&".join(f"{name}={quote(value)}" for name, value in fields.items())


def own_words(text: str) -> str:
    """What a customer wrote beside the words that a link had written for him, in whatever language."""
    ours = sorted((_plain(line) for line in _known()), key=len, reverse=True)
    return "\n".join(_without(line, ours) for line in text.splitlines()).strip()


def _known() -> list[str]:
    bodies = [body for words in WORDS.values() for _, body in words.values()]
    return [*bodies, *ROOM.values(), *MISSING.values()]


def _without(line: str, ours: list[str]) -> str:
    """The line, or what is left of it where it begins with one of ours."""
    plain = _plain(line[:LINE_MAX])
    found = next((one for one in ours if plain.startswith(one)), None)
    if found is None:
        return line
    rest = " ".join(line.split())[len(found) :]
    return rest.strip()


def _plain(line: str) -> str:
    return " ".join(line.split()).casefold()
