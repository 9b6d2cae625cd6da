"""A sentence of ours that its reader may get in his own language: the words, and apart from them what stands in them.

Wherever a text is wanted it is one, in English: in logs, on the command line, in a stored decision. Mail says it in its
reader's language (the filter `said` of templates), by the catalogue; the source is read for the words (`outbound/extracting.py`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

Value = str | int | datetime  # what may stand in a sentence: another one, too

PLACEHOLDER = re.compile(r"%\((\w+)\)s")
VALUE_MAX = 500  # characters of one value: what somebody wrote may be as long as he likes
WORDS, VALUES, MOMENT = "words", "values", "at"  # keys of what is kept


class Saying(str):
    """`Saying("there is no ticket '%(wanted)s'", wanted=...)`: English as it stands, and known by its words.

    The words have to be a literal. What somebody else said (a server's answer) is a value, and stays as it is.
    """

    __slots__ = ("values", "words")
    words: str
    values: dict[str, Value]

    def __new__(cls, words: str, /, **values: Value) -> Saying:
        """Each placeholder of `words` needs its value."""
        bounded = {name: _bounded(value) for name, value in values.items()}
        saying = super().__new__(cls, filled(words, {name: _plain(value) for name, value in bounded.items()}))
        saying.words, saying.values = words, bounded
        return saying

    def __getnewargs_ex__(self) -> tuple[tuple[str], dict[str, Value]]:
        return (self.words,), self.values


def filled(words: str, values: Mapping[str, str]) -> str:
    """The sentence with its values; KeyError where one is missing."""
    return PLACEHOLDER.sub(lambda found: values[found[1]], words)


def said(text: str, translated: Callable[[str], str], written: Callable[[datetime], str]) -> str:
    """A sentence in another language: its words `translated`, a time in it as it is `written` there. Another text stays as it is."""
    if not isinstance(text, Saying):
        return text
    values = {
        name: written(value) if isinstance(value, datetime) else said(_plain(value), translated, written)
        for name, value in text.values.items()
    }
    return filled(translated(text.words), values)


def kept(text: str) -> str:
    """The text as it can be stored, so that `recalled` knows its words again."""
    return json.dumps(_keep(text), ensure_ascii=False) if isinstance(text, Saying) else text


def recalled(text: str) -> str:
    """What was `kept`: a sentence where it was one, else the text."""
    try:
        found = json.loads(text)
        return _recall(found) if isinstance(found, dict) else text
    except (ValueError, KeyError, TypeError, AttributeError):
        return text


def _keep(saying: Saying) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, value in saying.values.items():
        if isinstance(value, Saying):
            values[name] = _keep(value)
        else:
            values[name] = {MOMENT: value.isoformat()} if isinstance(value, datetime) else value
    return {WORDS: saying.words, VALUES: values}


def _recall(found: dict[str, Any]) -> Saying:
    values: dict[str, Value] = {}
    for name, value in found[VALUES].items():
        if isinstance(value, dict):
            values[name] = datetime.fromisoformat(value[MOMENT]) if MOMENT in value else _recall(value)
        else:
            values[name] = value
    return Saying(str(found[WORDS]), **values)


def _bounded(value: Value) -> Value:
    if isinstance(value, str) and not isinstance(value, Saying) and len(value) > VALUE_MAX:
        return f"{value[:VALUE_MAX]}…"
    return value


def _plain(value: Value) -> str:
    """As it stands in an English text; a sentence stays one."""
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M} {value.tzname() or ''}".rstrip()
    return value if isinstance(value, str) else str(value)
