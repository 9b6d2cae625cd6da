"""The servers that smtp_accept.py compares, each in a process of its own: `python bench/smtp_peers.py KIND FOLDER`.

It prints its port, serves until its standard input ends, and then prints its peak memory in KiB and the seconds of processor that it used.

    postroom   our door, intake and store; nothing is processed meanwhile
    empty      aiosmtpd as shipped, whose handler does nothing: no mail is kept
    maildir    aiosmtpd as shipped, with its own Maildir handler: it renames, and syncs nothing but the file
"""

from __future__ import annotations

import asyncio
import resource
import sys
from contextlib import suppress
from pathlib import Path

from aiosmtpd.handlers import Mailbox
from aiosmtpd.smtp import SMTP

KINDS = ("postroom", "empty", "maildir")
CONNECTIONS = 1000  # more than any client here opens; only for ours, aiosmtpd has no limit


class Empty:
    """Takes everything, and keeps nothing."""

    async def handle_DATA(self, _server: object, _session: object, _envelope: object) -> str:
        return "250 OK"


async def serve(kind: str, folder: Path) -> None:
    """Serve until standard input ends."""
    loop = asyncio.get_running_loop()
    over = loop.run_in_executor(None, sys.stdin.read)
    if kind == "postroom":
        await serve_postroom(folder, over)
        return
    handler = Empty() if kind == "empty" else Mailbox(folder / "maildir")
    server = await loop.create_server(lambda: SMTP(handler, hostname="desk.example"), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await over
    server.close()


async def serve_postroom(folder: Path, over: asyncio.Future[str]) -> None:
    """Our own, with a log that goes to a file, as the daemon's does."""
    from postroom import config
    from postroom.daemon import log
    from postroom.daemon.intake import Intake
    from postroom.daemon.smtp import SmtpServer
    from postroom.store import migrate
    from postroom.store.engine import Store

    settings = config.parse(
        {
            "smtp": {
                "listen": ["127.0.0.1:0"], "hostname": "desk.example", "connections": CONNECTIONS,
                "connections_per_client": CONNECTIONS,
            },
            "mailbox": {"support": {"address": "support@example.com", "queue": "support"}},
        },
        folder,
    )  # fmt: skip
    store = Store(f"sqlite:///{folder}/postroom.db")
    migrate.upgrade(store)
    intake = Intake(store, lambda: None)
    intake.start()
    with (folder / "log").open("w") as lines:
        log.configure(settings.log, stream=lines)
        server = SmtpServer(settings, store, intake)
        await server.start()
        print(server.addresses[0].rpartition(":")[2], flush=True)
        await over
        await server.stop(5)
        intake.stop()
    store.dispose()


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(serve(sys.argv[1], Path(sys.argv[2])))
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(used.ru_maxrss, used.ru_utime + used.ru_stime)
