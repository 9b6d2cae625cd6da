"""Places where a test can have the process die, as by a power cut."""

from __future__ import annotations

import os
import signal
import time

VARIABLE = "POSTROOM_FAILPOINT"
HANG_SECONDS = 1.0  # at a time, for ever


def failpoint(name: str) -> None:
    """Die here, by SIGKILL, where `$POSTROOM_FAILPOINT` is this name, or hang where it is `NAME:hang`; else nothing."""
    wanted = os.environ.get(VARIABLE)
    if wanted == name:
        os.kill(os.getpid(), signal.SIGKILL)
    while wanted == f"{name}:hang":
        time.sleep(HANG_SECONDS)
