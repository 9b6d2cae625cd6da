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


class PostroomError(Exception):
    """The root of the tree."""


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
