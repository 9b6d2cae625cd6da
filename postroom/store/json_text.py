"""JSON columns as text: what the `json` module makes of it, but that nobody is asked about what is empty.

A mail writes and reads a dozen of such values, and most of them are empty lists.
"""

from __future__ import annotations

import json
from typing import Any

_EMPTY: dict[type[Any], str] = {list: "[]", dict: "{}"}


def as_json(value: Any) -> str:
    """Its text, letter for letter what `json.dumps` gives. Raises as that does."""
    empty = None if value else _EMPTY.get(type(value))
    return json.dumps(value) if empty is None else empty


def from_json(text: str | bytes) -> Any:
    """What the text says. Raises ValueError where it is no JSON."""
    if text == "[]":
        return []
    return {} if text == "{}" else json.loads(text)
