"""Nothing dies in silence: a loop that ends before its time is named in the log, and begun again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from postroom.logger import structlog

FIRST_PAUSE_SECONDS = 1.0
MAX_PAUSE_SECONDS = 60.0
STEADY_SECONDS = 60.0  # after running so long, a failure is a new one
LOOK_SECONDS = 1.0  # how soon a dead thread is noticed

log = structlog.get_logger()


async def keep(name: str, run: Callable[[], Awaitable[None]], stopping: asyncio.Event) -> None:
    """Run `run` again whenever it ends, with pauses that grow, until `stopping` is set."""
    loop = asyncio.get_running_loop()
    pause = FIRST_PAUSE_SECONDS
    while not stopping.is_set():
        began = loop.time()
        try:
            await run()
        except Exception:
            log.exception("loop failed", loop=name)
        else:
            if not stopping.is_set():
                log.error("loop ended", loop=name)
        if loop.time() - began > STEADY_SECONDS:
            pause = FIRST_PAUSE_SECONDS
        await passed(stopping, pause)
        pause = min(2 * pause, MAX_PAUSE_SECONDS)


async def keep_thread(
    name: str, start: Callable[[], None], is_alive: Callable[[], bool], stopping: asyncio.Event
) -> None:
    """`keep()` for a loop in a thread: `start` begins it, in a new thread each time."""

    async def run() -> None:
        start()
        while is_alive() and not await passed(stopping, LOOK_SECONDS):
            pass

    await keep(name, run, stopping)


async def passed(event: asyncio.Event, seconds: float) -> bool:
    """Wait for `event`, at most so long; whether it is set."""
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return False
    return True
