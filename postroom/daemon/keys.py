"""The keys that sign our reply addresses and Message-IDs: one a line, the first signs, all verify.

The file is made at the first start, for its owner alone. It is not in the database: who reads a stolen
backup of the tickets can forge nothing.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from postroom.errors import ConfigError
from postroom.threading.tokens import Signer

KEY_SIZE = 32  # octets of a new key


def load_signer(path: Path, create: bool = True) -> Signer:
    """The signer with the keys of `path`; the file is made where there is none and `create` is set.

    Raises ConfigError where it cannot be read or made, others can read it, or a line is no key.
    """
    if create and not path.exists():
        write_keys(path, [new_key()], replace=False)
    try:
        if path.stat().st_mode & 0o077:
            raise ConfigError(f"keys.file: others can read {path}; run: chmod 600 {path}")
        lines = path.read_text("ascii").split()
        return Signer([bytes.fromhex(line) for line in lines])
    except OSError as error:
        raise ConfigError(f"keys.file: {path}: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"keys.file: {path}: each line is a key of at least 32 hexadecimal digits") from error


def new_key() -> str:
    """A fresh key, as a line of the file."""
    return secrets.token_hex(KEY_SIZE)


def read_keys(path: Path) -> list[str]:
    """The lines of the file, which `load_signer` has found right."""
    return path.read_text("ascii").split()


def write_keys(path: Path, keys: list[str], replace: bool) -> None:
    """Make the file with its content at once, so that two starts at the same moment agree on one key.

    A file that is there stays, unless `replace` is set. Raises ConfigError where it cannot be made.
    """
    new = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.writelines(f"{key}\n" for key in keys)
            file.flush()
            os.fsync(file.fileno())
        if replace:
            new.replace(path)
        else:
            os.link(new, path)
    except FileExistsError:
        pass  # the other start was first
    except OSError as error:
        raise ConfigError(f"keys.file: cannot make {path}: {error.strerror}") from error
    finally:
        new.unlink(missing_ok=True)
