"""What one check of `postroom check` came to: a line, and the exit status that it calls for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from postroom.errors import ConfigError, PostroomError

FAILED = 1
CONFIG_WRONG = ConfigError.exit_status


class Doubt(str):
    """Words that are a warning: it works, but not for long, or not as it should; and what to do."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at, and what was found or has to be done."""

    what: str
    words: str
    status: int = 0  # the exit status that it calls for

    @property
    def state(self) -> str:
        """ok, warning or failed."""
        return "failed" if self.status else "warning" if isinstance(self.words, Doubt) else "ok"


def checked(what: str, look: Callable[[], str]) -> Finding:
    """What `look` says, or why it failed; the key that begins a complaint is not said twice."""
    try:
        return Finding(what, look())
    except PostroomError as error:
        status = CONFIG_WRONG if isinstance(error, ConfigError) else FAILED
        words = str(error).removeprefix(f"{what}: ").removeprefix(f"{what.split(maxsplit=1)[0]}: ")
        return Finding(what, words, status)
    except OSError as error:
        return Finding(what, error.strerror or str(error), FAILED)
