"""How real mail programs see a Maildir: which messages they show as one conversation."""

from __future__ import annotations

import email
import json
import mailbox
import os
import pty
import re
import select
import subprocess
import tempfile
import termios
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from peers.processes import need

MUTT_SECONDS = 20.0  # for one conversation
SEPARATOR = "=====the-next-message====="

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


def notmuch_headers(maildir: Path, mails: Sequence[bytes]) -> dict[str, dict[str, str]]:
    """The decoded headers that notmuch shows of each mail, by Message-ID; the mails are put into `maildir`."""
    program = need("notmuch", "notmuch")
    for part in ("cur", "new", "tmp"):
        (maildir / part).mkdir(parents=True, exist_ok=True)
    for number, raw in enumerate(mails):
        (maildir / "new" / f"{number}.mail").write_bytes(raw)
    with tempfile.TemporaryDirectory(prefix="notmuch.") as folder:
        config = Path(folder) / "config"
        config.write_text(f"[database]\npath={maildir.absolute()}\n[user]\nname=x\nprimary_email=x@example.com\n")
        env = {**os.environ, "NOTMUCH_CONFIG": str(config), "HOME": folder}
        subprocess.run([program, "new", "--quiet"], check=True, capture_output=True, env=env)
        show = [program, "show", "--format=json", "--body=false", "--entire-thread=false", "*"]
        shown = json.loads(subprocess.run(show, check=True, capture_output=True, env=env).stdout)
    return {message["id"]: message["headers"] for message in _messages(shown)}


def _messages(shown: Any) -> Iterator[dict[str, Any]]:
    """Every message in the nested lists that notmuch shows."""
    if isinstance(shown, dict):
        yield shown
    elif shown is not None:
        for inner in shown:
            yield from _messages(inner)


def _ids(forest: list[Any]) -> Iterator[str]:
    """A thread is a list of [message, replies], and `replies` is such a list again; a missing message is null."""
    for message, replies in forest:
        if message is not None:
            yield message["id"]
        yield from _ids(replies)


MUTTRC = r"""
set folder="{maildir}" spoolfile="{maildir}" header_cache=""
set sort=threads strict_threads=yes read_inc=0 quit=yes wait_key=no
unset pipe_decode pipe_split mark_old collapse_unread
set pipe_sep="\n{separator}\n"
"""


def mutt_threads(maildir: Path) -> list[list[str]]:
    """Each conversation that mutt sees by `In-Reply-To` and `References` alone, as its Message-IDs, parents first.

    Mutt runs on a terminal of its own, limits its list to the conversation of a message, and pipes that out.
    """
    program = need("mutt", "mutt")
    with closing(mailbox.Maildir(maildir, create=False)) as box:
        waiting = [str(message["Message-ID"]).strip().strip("<>") for message in box]
    threads = []
    while waiting:
        thread = _mutt_thread(program, maildir.absolute(), waiting[0])
        threads.append(thread)
        waiting = [one for one in waiting[1:] if one not in thread]
    return threads


def _mutt_thread(program: str, maildir: Path, message_id: str) -> list[str]:
    with tempfile.TemporaryDirectory(prefix="mutt.") as folder:
        (Path(folder) / "muttrc").write_text(MUTTRC.format(maildir=maildir, separator=SEPARATOR))
        piped = Path(folder) / "piped"
        # A dot for whatever a pattern, a quoted string or a key name would take for its own.
        pattern = re.sub(r"[^A-Za-z0-9@]", ".", message_id)
        keys = (
            f"<limit>~(~i {pattern})<enter><tag-pattern>~A<enter><tag-prefix><pipe-message>cat > {piped}<enter><exit>"
        )
        command = [program, "-n", "-F", f"{folder}/muttrc", "-R", "-f", str(maildir), "-e", f'push "{keys}"']
        screen = _run_on_a_terminal(command, {**os.environ, "HOME": folder, "TERM": "vt100", "LC_ALL": "C.UTF-8"})
        if not piped.exists():
            raise RuntimeError(f"mutt does not show <{message_id}>; its screen: {screen[-1000:]!r}")
        shown = piped.read_text("utf-8", "replace").split(SEPARATOR)
    messages = [email.message_from_string(one.lstrip("\n")) for one in shown if one.strip()]
    return [str(message["Message-ID"]).strip().strip("<>") for message in messages]


def _run_on_a_terminal(command: list[str], env: dict[str, str]) -> bytes:
    """Run a program that wants a screen, until it ends; what it showed. Raises TimeoutError."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (50, 160))
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=env, start_new_session=True)
    os.close(theirs)
    screen = b""
    deadline = time.monotonic() + MUTT_SECONDS
    try:
        while process.poll() is None:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{command[0]} did not end; its screen: {screen[-1000:]!r}")
            if select.select([ours], [], [], 0.05)[0]:
                try:
                    screen += os.read(ours, 65536)
                except OSError:  # its end of the terminal is closed
                    process.wait(MUTT_SECONDS)
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    return screen
