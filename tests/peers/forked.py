"""What does a worker find where it begins?"""

import os
from pathlib import Path
from typing import Any

MARK = "as imported"


def look() -> dict[str, Any]:
    """The mark, and the files that are open."""
    found = []
    for entry in os.listdir("/proc/self/fd"):
        try:
            found.append(str(Path(f"/proc/self/fd/{entry}").readlink()))
        except FileNotFoundError:
            continue
    return {"mark": MARK, "open": found}
