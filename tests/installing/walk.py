"""What the handbook tells a newcomer to type: the shell blocks under a page's heading, in their order."""

from __future__ import annotations

import re
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"
# The handbook says "a moment later" where the daemon works on what was handed to it.
MOMENT = """
if [ -e /var/lib/postroom/postroom.db ]; then
  for _ in $(seq 300); do
    runuser -u postroom -- postroom status --json | grep -q '"oldestUnprocessedAt":null.*"outboxDepth":0,' && break
    sleep 0.1
  done
fi
"""


def blocks(page: str, heading: str) -> list[str]:
    """The `sh` blocks under a heading, up to the next one."""
    section = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", (DOCS / page).read_text("utf-8"), re.M | re.S)
    assert section is not None, f"{page} has no heading {heading!r}"
    found = re.findall(r"^```sh\n(.*?)^```", section[1], re.M | re.S)
    assert found, f"{page}, {heading!r}, shows no command"
    return found


def script(page: str, *headings: str) -> str:
    """One script of them, each block named as it begins."""
    parts = []
    for heading in headings:
        for number, block in enumerate(blocks(page, heading), 1):
            parts.append(f"echo '== {heading}, block {number}'\n{MOMENT}\n{block}")
    return "\n".join(parts)
