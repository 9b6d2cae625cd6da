"""Which files are a mail's words made from? `<purpose>/subject.j2`, `text.j2` and `html.j2`, and what they share beside the folders."""

from __future__ import annotations

from pathlib import Path

PARTS = ("subject", "text", "html")
OURS = Path(__file__).parent / "templates"
STYLE = "style.css"
SHARED = tuple(sorted(path.name for path in OURS.glob("*.j2")))  # what templates include or extend


def name_of(purpose: str, part: str) -> str:
    """The path of a template within its folder."""
    return f"{purpose}/{part}.j2"
