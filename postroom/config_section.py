"""What every table of the configuration is made of."""

from __future__ import annotations

import msgspec


class Size(int):
    """A number of octets, written as `"25 MiB"` or as a bare integer."""


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A table of the file: its fields are the keys that it may hold."""
