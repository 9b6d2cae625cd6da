"""A loop that dies is begun again, and never in silence."""

import asyncio
import threading

import pytest
from structlog.testing import capture_logs

from postroom.daemon import keeping
from postroom.daemon.keeping import keep, keep_thread


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "FIRST_PAUSE_SECONDS", 0.001)
    monkeypatch.setattr(keeping, "LOOK_SECONDS", 0.001)


async def test_a_loop_that_fails_is_begun_again_and_named() -> None:
    stopping = asyncio.Event()
    runs = []

    async def run() -> None:
        runs.append(1)
        if len(runs) < 3:
            raise ValueError("broken")
        await stopping.wait()

    with capture_logs() as logs:
        kept = asyncio.create_task(keep("courier", run, stopping))
        async with asyncio.timeout(10):
            while len(runs) < 3:
                await asyncio.sleep(0)
        stopping.set()
        await kept
    assert [(line["event"], line["loop"]) for line in logs] == [("loop failed", "courier")] * 2


async def test_a_loop_that_ends_too_early_is_begun_again_and_named() -> None:
    stopping = asyncio.Event()
    runs = []

    async def run() -> None:
        runs.append(1)
        if len(runs) == 2:
            stopping.set()

    with capture_logs() as logs:
        await keep("courier", run, stopping)
    assert len(runs) == 2
    assert [(line["event"], line["loop"]) for line in logs] == [("loop ended", "courier")]


async def test_a_thread_that_dies_is_replaced() -> None:
    stopping = asyncio.Event()
    threads: list[threading.Thread] = []
    release = threading.Event()

    def start() -> None:
        threads.append(threading.Thread(target=release.wait if len(threads) else lambda: None))
        threads[-1].start()

    def alive() -> bool:
        return threads[-1].is_alive()

    with capture_logs() as logs:
        kept = asyncio.create_task(keep_thread("intake", start, alive, stopping))
        async with asyncio.timeout(10):
            while len(threads) < 2:
                await asyncio.sleep(0.001)
        stopping.set()
        await kept
    release.set()
    threads[-1].join()
    assert [(line["event"], line["loop"]) for line in logs] == [("loop ended", "intake")]


async def test_a_loop_that_fails_all_the_time_is_begun_ever_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    stopping = asyncio.Event()
    pauses: list[float] = []

    async def passed(_event: asyncio.Event, seconds: float) -> bool:
        pauses.append(seconds)
        if len(pauses) == 8:
            stopping.set()
        return stopping.is_set()

    monkeypatch.setattr(keeping, "passed", passed)
    monkeypatch.setattr(keeping, "FIRST_PAUSE_SECONDS", 1.0)

    async def run() -> None:
        raise ValueError("broken")

    await keep("courier", run, stopping)
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]
