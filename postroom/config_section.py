"""What every table of the configuration is made of."""

from __future__ import annotations

import json
import re

import msgspec


class Size(int):
    """A number of octets, written as `"25 MiB"` or as a bare integer."""


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A table of the file: its fields are the keys that it may hold."""


def shown(key: str) -> str:
    """A key as TOML would have it in one line: what is no bare key is quoted, and may hold anything."""
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else json.dumps(key)
