"""Every error that Postroom raises on purpose.

    PostroomError
    ├── UserError            one line for a person, no traceback          exit 1
    │   ├── ConfigError      the configuration is wrong                   exit 78 (EX_CONFIG)
    │   └── TryAgainLater    nothing was taken; the same call may succeed exit 75 (EX_TEMPFAIL)
    ├── TemporaryFailure     trying again later may succeed
    └── PermanentFailure     trying again is of no use

An error that nobody classified counts as temporary: mail waits rather than being lost.
"""

from __future__ import annotations

import re

DESCRIBED_MAX = 500  # characters
# What a message quotes; an apostrophe within a word ("can't") opens nothing, and what is cut off is quoted to its end.
QUOTED = re.compile(r"""(?<![A-Za-z0-9])[bu]?(?:'(?:[^'\\]|\\.)*(?:'|\Z)|"(?:[^"\\]|\\.)*(?:"|\Z))""")


class PostroomError(Exception):
    """The root of the tree."""

    @property
    def said(self) -> str:
        """Its message; where that is a `Saying`, it still is one, which `str()` of an error is not."""
        return self.args[0] if self.args and isinstance(self.args[0], str) else str(self)


class UserError(PostroomError):
    """What a person caused or can mend: shown as one line, saying what to do."""

    exit_status = 1


class ConfigError(UserError):
    """The configuration is wrong; the message begins with the path of the key (`smtp.listen`)."""

    exit_status = 78


class TryAgainLater(UserError):
    """Nothing was taken, nothing was changed; the same call may succeed later."""

    exit_status = 75


class TemporaryFailure(PostroomError):
    """Trying again later may succeed: a locked database, a full disk, an answer of class 4."""


class PermanentFailure(PostroomError):
    """Trying again is of no use: an answer of class 5, a message that breaks its worker."""


def described(error: BaseException) -> str:
    """An exception's type and the first line of what it says, fit for a log.

    What nobody foresaw may quote the value that it stumbled over, a piece of somebody's mail perhaps: what stands in quotes
    is left out, and so are a database's further lines.
    """
    words = str(error).strip().partition("\n")[0][:DESCRIBED_MAX]
    if not isinstance(error, PostroomError | OSError):
        words = QUOTED.sub("'…'", words)
    return f"{type(error).__name__}: {words}" if words else type(error).__name__
