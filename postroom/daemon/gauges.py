"""What the store and the machine say at the moment of asking, as Prometheus's gauges, beside what was counted."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from postroom.config import Config
from postroom.daemon.metrics import Metrics
from postroom.errors import PostroomError
from postroom.outbound.policy import BREAKER
from postroom.store import counters, overview
from postroom.store.engine import Store
from postroom.store.overview import Overview

if TYPE_CHECKING:
    from prometheus_client.core import Metric


@dataclass(frozen=True, slots=True)
class Machine:
    """What only the running daemon knows."""

    sessions: int
    held: int
    ages: dict[str, float]  # seconds since each component's last progress
    hanging: frozenset[str]


class Gauges:
    """A collector for prometheus_client."""

    def __init__(
        self, config: Callable[[], Config], store: Store, metrics: Metrics, machine: Callable[[], Machine],
        clock: Callable[[], datetime],
    ) -> None:  # fmt: skip
        self._config, self._store, self._metrics = config, store, metrics
        self._machine, self._clock = machine, clock

    def render(self) -> bytes:
        """The page, in Prometheus's text format."""
        from prometheus_client import CollectorRegistry, generate_latest  # noqa: PLC0415 - 60 ms, for those who ask

        registry = CollectorRegistry()
        registry.register(self)
        return generate_latest(registry)

    def collect(self) -> Iterator[Metric]:
        """Everything."""
        yield from self._metrics.collect()
        yield from self._of_machine()
        try:
            with self._store.read() as connection:
                seen = overview.look(connection)
                answers = counters.count(connection, BREAKER, counters.HOUR, self._clock())
        except PostroomError:
            yield _gauge("database_up", "Whether the database answers", 0)
            return
        yield _gauge("database_up", "Whether the database answers", 1)
        is_open = answers > self._config().answers.all_hour
        yield _gauge("breaker_open", "Whether no automatic answers go out until the hour is over", is_open)
        yield from self._of_store(seen)

    def _of_machine(self) -> Iterator[Metric]:
        machine = self._machine()
        yield _gauge("smtp_sessions", "SMTP sessions that are open", machine.sessions)
        yield _gauge("smtp_held_bytes", "Octets of mail that these sessions hold", machine.held)
        yield _gauges("component_silent_seconds", "Seconds since its last progress", "component", machine.ages)
        hangs = {name: float(name in machine.hanging) for name in machine.ages}
        yield _gauges("component_hangs", "Whether it is silent for longer than it may be", "component", hangs)
        if self._store.objects is not None:
            age = self._age(self._store.objects.failing_since)
            yield _gauge("objects_failing_seconds", "For how long the store of objects fails by now; 0 is well", age)
        if self._store.path is not None:
            free = shutil.disk_usage(self._store.path.parent).free
            yield _gauge("disk_free_bytes", "Free room where the store is", free)

    def _of_store(self, seen: Overview) -> Iterator[Metric]:
        yield _gauges("inbound", "Mail received that is not settled, by state", "state", seen.inbound)
        yield _gauges("outbox", "Mail going out that is not settled, by state", "state", seen.outbox)
        yield _gauge(
            "oldest_unprocessed_seconds", "Age of the oldest unprocessed mail", self._age(seen.oldest_unprocessed)
        )
        yield _gauge(
            "oldest_outgoing_seconds", "Age of the oldest mail that waits to go out", self._age(seen.oldest_outgoing)
        )
        watched = [name for name, mailbox in self._config().mailbox.items() if mailbox.imap]
        read, failing = {}, {}
        for name in watched:
            state = seen.mailboxes.get(name)
            if state is not None and state.last_success_at is not None:
                read[name] = state.last_success_at.timestamp()
            failing[name] = self._age(state.failing_since) if state is not None else 0.0
        yield _gauges("mailbox_last_success_timestamp_seconds", "When it was read to the end last", "mailbox", read)
        yield _gauges("mailbox_failing_seconds", "For how long it fails by now; 0 is well", "mailbox", failing)
        smarthosts = {row.name: self._age(row.failing_since) for row in seen.smarthosts}
        yield _gauges("smarthost_failing_seconds", "For how long it fails by now; 0 is well", "smarthost", smarthosts)

    def _age(self, moment: datetime | None) -> float:
        return max((self._clock() - moment).total_seconds(), 0.0) if moment else 0.0


def _gauge(name: str, words: str, value: float) -> Metric:
    from prometheus_client.core import GaugeMetricFamily  # noqa: PLC0415

    return GaugeMetricFamily(f"postroom_{name}", words, value=float(value))


def _gauges(name: str, words: str, label: str, values: dict[str, float] | dict[str, int]) -> Metric:
    from prometheus_client.core import GaugeMetricFamily  # noqa: PLC0415

    family = GaugeMetricFamily(f"postroom_{name}", words, labels=[label])
    for one, value in values.items():
        family.add_metric([one], float(value))
    return family
