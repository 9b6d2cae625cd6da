"""A courier in a test: what it is made of, what it is given to carry, and what became of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random
from typing import Any

import structlog
from peers.outgoing import TestDesk

from postroom.outbound.courier import Courier
from postroom.store import outbox
from postroom.store.outbox import NewDelivery


def settings(smarthost: Any, table: str = "outgoing.smtp", **more: Any) -> str:
    """TOML that sends mail to that server."""
    lines = "\n".join(
        f"{key} = {str(value).lower() if isinstance(value, bool) else repr(value)}" for key, value in more.items()
    )
    begin = "[outgoing]\ncourier = 'smtp'\n" if table == "outgoing.smtp" else ""
    return f"{begin}[{table}]\nhost = '127.0.0.1'\nport = {smarthost.port}\n{lines}\n"


def courier_of(desk: TestDesk, credentials: Any = None, **options: Any) -> Courier:
    """A courier of that desk."""
    log = options.pop("log", structlog.get_logger())
    return Courier(
        desk.config, desk.store, credentials or {}, desk.clock, Random(1), log, notifier=desk.notifier, **options
    )


def put(desk: TestDesk, number: int = 1, **changes: Any) -> None:
    """A mail to send, on no ticket."""
    raw = changes.pop(
        "raw", f"Message-ID: <{number}@example.com>\r\nSubject: {number}\r\n\r\nHello {number}.\r\n".encode()
    )
    values: dict[str, Any] = {
        "key": number, "ticket_id": None, "message_id": None, "purpose": "reply", "automatic": False, "mailbox": "support",
        "recipient": "ann@example.org", "created_at": desk.clock(), "subject": "s",
        "envelope_sender": f"support+{number}@example.com", "email_message_id": f"{number}@example.com",
        "digest": f"{number:064x}", "raw": raw,
    }  # fmt: skip
    with desk.store.write() as connection:
        outbox.enqueue(connection, [NewDelivery(**{**values, **changes})])


def state(desk: TestDesk, number: int = 1) -> Any:
    """The row of that mail."""
    with desk.store.read() as connection:
        return outbox.by_key(connection, number)


class Running:
    """A courier that runs while the block does."""

    def __init__(self, courier: Courier) -> None:
        self.courier, self.stop = courier, asyncio.Event()

    async def __aenter__(self) -> Running:
        self.task = asyncio.create_task(self.courier.run(self.stop))
        return self

    async def __aexit__(self, *_: object) -> None:
        self.stop.set()
        await asyncio.wait_for(self.task, 30)


async def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    """Wait for a condition. Raises TimeoutError."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)
