"""What is secret does not come back: a server may quote in its refusal what we sent."""

from __future__ import annotations

import base64
import re
from collections.abc import Collection

HIDDEN = "[hidden]"
WORD = re.compile(
    r"[^\s\"'<>(),;:{}\[\]\x00-\x1f\x7f]{8,}"
)  # anything shorter is no secret, or no more than a piece of one
PIECE = 12  # characters of a secret that give it away


def without(text: str, secrets: Collection[str]) -> str:
    """The text without these secrets, also where they are cut off, or in base64 as SASL sends them."""
    found = [secret for secret in secrets if secret]
    for secret in found:
        text = text.replace(secret, HIDDEN)
    return WORD.sub(lambda word: HIDDEN if any(_gives_away(word[0], secret) for secret in found) else word[0], text)


def _gives_away(word: str, secret: str) -> bool:
    pieces = range(len(word) - PIECE + 1) if len(secret) >= PIECE else ()
    return any(word[at : at + PIECE] in secret for at in pieces) or secret[:PIECE] in _decoded(word)


def _decoded(word: str) -> str:
    """What it says where it is base64, however it was cut off."""
    word = re.sub(r"[^A-Za-z0-9+/]", "", word)
    return base64.b64decode(word[: len(word) // 4 * 4]).decode("utf-8", "replace")
