"""A desk with a little mail on it, and the command line as its operator types it."""

from __future__ import annotations

import io
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from peers.zygote import run

from postroom.cli.main import main

CONFIG = """\
[smtp]
listen = []

[queue.support]
agents = ["ann"]

[queue.sales]

[agent.ann]
name = "Ann Agent"
address = "ann@example.com"

[agent.bob]
address = "bob@example.com"

[mailbox.support]
address = "support@example.com"
queue = "support"

[mailbox.sales]
address = "sales@example.com"
queue = "sales"
"""

QUESTION = b"""\
From: Carla Customer <carla@customer.example.org>\r
To: support@example.com\r
Subject: Printer on fire\r
Date: Mon, 23 Nov 2026 09:00:00 +0000\r
Message-ID: <q1@customer.example.org>\r
MIME-Version: 1.0\r
Content-Type: multipart/mixed; boundary="b"\r
\r
--b\r
Content-Type: text/plain; charset=utf-8\r
\r
The printer burns. Please help.\r
\r
--b\r
Content-Type: text/plain; name="log.txt"\r
Content-Disposition: attachment; filename="log.txt"\r
\r
smoke at 8:55\r
--b--\r
"""
FOLLOW_UP = b"""\
From: Carla Customer <carla@customer.example.org>\r
To: support@example.com\r
Subject: Re: Printer on fire\r
Date: Mon, 23 Nov 2026 09:05:00 +0000\r
Message-ID: <q2@customer.example.org>\r
In-Reply-To: <q1@customer.example.org>\r
References: <q1@customer.example.org>\r
\r
It is out now, but it smells.\r
"""
INVOICE = b"""\
From: dora@shop.example.net\r
To: sales@example.com\r
Subject: Invoice \x1b[31m2026-7\r
Date: Mon, 23 Nov 2026 10:00:00 +0000\r
Message-ID: <i1@shop.example.net>\r
\r
Where is my invoice?\r
"""
MAILS = {"1.eml": QUESTION, "2.eml": FOLLOW_UP, "3.eml": INVOICE}


@dataclass(frozen=True, slots=True)
class Ran:
    """A command that has run."""

    status: int
    out: str
    err: str

    @property
    def objects(self) -> list[Any]:
        """The JSON Lines that it printed."""
        assert self.status == 0, self.err
        return [json.loads(line) for line in self.out.splitlines()]


class Desk:
    """A folder with a configuration, and commands on it."""

    def __init__(self, folder: Path, config: str = CONFIG) -> None:
        self.folder = folder
        self.config = folder / "postroom.toml"
        folder.mkdir(parents=True, exist_ok=True)
        self.config.write_text(config, "utf-8")

    def __call__(self, *arguments: str, stdin: bytes = b"") -> Ran:
        """Run `postroom -c FILE ARGUMENTS...` in this process."""
        return call("-c", str(self.config), *arguments, stdin=stdin)

    def program(self, *arguments: str, stdin: bytes = b"") -> Ran:
        """The same, as a program of its own: for commands that start others."""
        command = ["-c", str(self.config), *arguments]
        ran = run(command, stdin=stdin, cwd=self.folder, env=os.environ, seconds=60)
        return Ran(ran.returncode, ran.stdout.decode(), ran.stderr.decode())

    def write(self, name: str, content: bytes) -> str:
        """A file in the folder; its path."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return str(path)

    def ticket(self, ref: str) -> dict[str, Any]:
        """A ticket as `tickets show --json` has it."""
        [ticket] = self("tickets", "show", ref, "--json").objects
        return dict(ticket)


def call(*arguments: str, stdin: bytes = b"") -> Ran:
    """Run the command line in this process, with streams of its own."""
    before = sys.stdin, sys.stdout, sys.stderr
    out, err = io.BytesIO(), io.BytesIO()
    streams = [io.TextIOWrapper(raw, "utf-8", write_through=True) for raw in (io.BytesIO(stdin), out, err)]
    sys.stdin, sys.stdout, sys.stderr = streams
    try:
        main(list(arguments))
    except SystemExit as end:
        status = end.code
    finally:
        sys.stdin, sys.stdout, sys.stderr = before
    assert isinstance(status, int)
    return Ran(status, out.getvalue().decode(), err.getvalue().decode())
