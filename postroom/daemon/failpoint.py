"""Places where a test can have the process die, as by a power cut."""

from __future__ import annotations

import os
import signal

VARIABLE = "POSTROOM_FAILPOINT"


def failpoint(name: str) -> None:
    """Die here, by SIGKILL, where `$POSTROOM_FAILPOINT` is this name; else nothing."""
    if os.environ.get(VARIABLE) == name:
        os.kill(os.getpid(), signal.SIGKILL)
