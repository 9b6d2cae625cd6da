"""Links that a customer answers with: `mailto:` addresses of ours that say something by themselves (RFC 6068).

He only has to send the mail that opens. What it holds already is a sentence of the catalogues, known here in every
language, so that what he adds is found beside it.
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import quote

from postroom.outbound.catalogue import Catalogue
from postroom.threading.tokens import Says

ROOM, MISSING = "What I want to add:", "What is missing:"
WORDS: dict[Says, tuple[str, str]] = {  # the subject, and what the mail says
    Says.SOLVED: ("Solved", "Yes, it is solved."),
    Says.NOT_SOLVED: ("Not solved", "No, it is not solved yet."),
    **{says: ("Feedback: %(rating)s of 5", "My rating: %(rating)s of 5") for says in Says if says.rating},
}
SENTENCES = tuple(dict.fromkeys([*(word for pair in WORDS.values() for word in pair), ROOM, MISSING]))
LINE_MAX = 200  # characters of a line that may be one of ours


def mailto(address: str, says: Says, ref: str, words: Catalogue) -> str:
    """The link that opens a mail to `address`, with subject and body in the language of `words`."""
    subject, body = (_filled(words, sentence, says) for sentence in WORDS[says])
    room = words.word(MISSING if says is Says.NOT_SOLVED else ROOM)
    lines = [body] if says is Says.SOLVED else [body, "", room, ""]
    local, _, domain = address.rpartition("@")
    fields = {"subject": f"{subject} [{ref}]", "body": "\r\n".join(lines)}
    return f"mailto:{quote(local)}@{domain}?" + "&".join(f"{name}={quote(value)}" for name, value in fields.items())


def prefilled(languages: Iterable[Catalogue]) -> tuple[str, ...]:
    """Every line that a link writes for its sender, in these languages; the longest first."""
    lines = set()
    for words in languages:
        lines |= {_filled(words, body, says) for says, (_, body) in WORDS.items()}
        lines |= {words.word(ROOM), words.word(MISSING)}
    return tuple(sorted((_plain(line) for line in lines), key=len, reverse=True))


def own_words(text: str, ours: Iterable[str]) -> str:
    """What a customer wrote beside the lines that a link had written for him: those of `prefilled`."""
    ours = tuple(ours)
    return "\n".join(_without(line, ours) for line in text.splitlines()).strip()


def _filled(words: Catalogue, sentence: str, says: Says) -> str:
    return words.word(sentence).replace("%(rating)s", str(says.rating))


def _without(line: str, ours: tuple[str, ...]) -> str:
    """The line, or what is left of it where it begins with one of ours."""
    plain = _plain(line[:LINE_MAX])
    found = next((one for one in ours if plain.startswith(one)), None)
    if found is None:
        return line
    rest = " ".join(line.split())[len(found) :]
    return rest.strip()


def _plain(line: str) -> str:
    return " ".join(line.split()).casefold()
