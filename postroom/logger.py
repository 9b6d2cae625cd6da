"""structlog, without what it brings along for a developer's terminal: we render our own lines, and rich takes a tenth of a start.

Every module takes it from here.
"""

from __future__ import annotations

import sys

__all__ = ["structlog"]

_rich = sys.modules.get("rich")
if _rich is None:
    sys.modules["rich"] = None  # type: ignore[assignment] # as if it were not installed

import structlog  # noqa: E402

if _rich is None:
    del sys.modules["rich"]  # who draws tables imports it then
