"""How much, how often, how long: what the daemon has done since its start.

Counting is cheap and always on; `render()` shows it in Prometheus's format, for whoever asks at `[health] listen`.
No label ever holds what a stranger chose, nor anything of a person.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prometheus_client.core import Metric

# name -> (help, labels). Each name is shown as postroom_NAME_total.
COUNTERS: dict[str, tuple[str, tuple[str, ...]]] = {
    "accepted": ("Mail taken, by the way it came", ("way",)),
    "accepted_again": ("Mail that was handed over again, and known by its bytes", ("way",)),
    "processed": ("Mail processed, by what it came to", ("outcome",)),
    "deliveries": ("Attempts to deliver, by what the mail is for and what came of it", ("purpose", "outcome")),
    "smtp_connections": (
        "SMTP connections, by what became of them; one whose TLS failed was let in before",
        ("outcome",),
    ),
    "smtp_refusals": ("SMTP replies of class 4 and 5, by their codes", ("reply",)),
    "worker_deaths": ("Parse workers that died or were ended with the mail that they had", ()),
    "objects": ("Requests to the store of objects that raw mail lies in, by what came of them", ("verb", "outcome")),
    "reloads": ("Times that the configuration was read anew", ("outcome",)),
}
# name -> (help, upper bounds in seconds). Each is shown as postroom_NAME.
HISTOGRAMS: dict[str, tuple[str, tuple[float, ...]]] = {
    "parse_seconds": ("Parsing of one mail, in its worker", (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10)),
    "commit_seconds": ("Commit of a group of mail that was handed over", (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3)),
    "batch_seconds": ("Writing of what a batch of mail came to", (0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10)),
    "attempt_seconds": (
        "One attempt to deliver, from its claim to its outcome",
        (0.01, 0.1, 0.3, 1, 3, 10, 30, 100, 300),
    ),
}


class Metrics:
    """Counts and times since the start. Any thread may add to them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[tuple[str, tuple[str, ...]]] = Counter()
        self._buckets = {name: [0] * (len(bounds) + 1) for name, (_, bounds) in HISTOGRAMS.items()}
        self._sums = dict.fromkeys(HISTOGRAMS, 0.0)

    def count(self, name: str, *labels: str, by: int = 1) -> None:
        """It happened, `by` times; `labels` in the order of COUNTERS."""
        with self._lock:
            self._counts[name, labels] += by

    def took(self, name: str, seconds: Iterable[float]) -> None:
        """It took so long, each time."""
        buckets, bounds = self._buckets[name], HISTOGRAMS[name][1]
        with self._lock:
            for one in seconds:
                buckets[bisect_left(bounds, one)] += 1
                self._sums[name] += one

    def total(self, name: str) -> int:
        """How often it happened in all."""
        with self._lock:
            return sum(count for (counted, _), count in self._counts.items() if counted == name)

    def collect(self) -> Iterator[Metric]:
        """Everything, as prometheus_client's families."""
        from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily  # noqa: PLC0415 - 60 ms

        with self._lock:
            counts, sums = dict(self._counts), dict(self._sums)
            buckets = {name: list(values) for name, values in self._buckets.items()}
        for name, (words, labels) in COUNTERS.items():
            family = CounterMetricFamily(f"postroom_{name}", words, labels=labels)
            for (counted, values), count in counts.items():
                if counted == name:
                    family.add_metric(values, count)
            if not labels and (name, ()) not in counts:
                family.add_metric((), 0)
            yield family
        for name, (words, bounds) in HISTOGRAMS.items():
            running, shown = 0, []
            for bound, count in zip((*map(str, bounds), "+Inf"), buckets[name], strict=True):
                running += count
                shown.append((bound, running))
            yield HistogramMetricFamily(f"postroom_{name}", words, buckets=shown, sum_value=sums[name])
