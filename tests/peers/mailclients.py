"""How real mail programs see a Maildir: which messages they show as one conversation."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from peers.processes import need

NOTMUCH_CONFIG = """
[database]
path={maildir}
[user]
name=Nobody
primary_email=nobody@example.org
[new]
tags=new
[search]
exclude_tags=
[maildir]
synchronize_flags=false
"""


def notmuch_threads(maildir: Path) -> list[list[str]]:
    """Each conversation that notmuch sees, as its Message-IDs, parents before their children.

    Every Maildir under the folder is read, and none is changed: the index lies in a temporary folder.
    """
    program = need("notmuch", "notmuch")
    with tempfile.TemporaryDirectory(prefix="notmuch.") as folder:
        mirror = Path(folder) / "mail"
        mirror.mkdir()
        (mirror / "seen").symlink_to(maildir.absolute())
        config = Path(folder) / "config"
        config.write_text(NOTMUCH_CONFIG.format(maildir=mirror))
        env = {**os.environ, "NOTMUCH_CONFIG": str(config), "HOME": folder, "LC_ALL": "C.UTF-8"}
        subprocess.run([program, "new", "--quiet"], check=True, capture_output=True, env=env)
        show = [program, "show", "--format=json", "--body=false", "--entire-thread=true", "*"]
        shown = json.loads(subprocess.run(show, check=True, capture_output=True, env=env).stdout)
    return [list(_ids(thread)) for thread in shown]


def _ids(forest: list[Any]) -> Iterator[str]:
    """A thread is a list of [message, replies], and `replies` is such a list again; a missing message is null."""
    for message, replies in forest:
        if message is not None:
            yield message["id"]
        yield from _ids(replies)
