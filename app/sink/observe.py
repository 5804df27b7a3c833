"""What the sink counts, and how Prometheus sees it: plain numbers, turned into metrics only when asked for."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from app.model.ledger import BatchRecord
from app.observe.families import histogram

if TYPE_CHECKING:
    from app.sink.levels import Levels

IMPORT_SECONDS = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)
"""Bounds of the histogram of import times."""


@dataclass(slots=True)
class Counters:
    """Numbers of this process since its start."""

    envelopes: int = field(default=0, metadata={"help": "Envelopes taken from the rows topic."})
    repeats: int = field(default=0, metadata={"help": "Envelopes that were repeats as a whole."})
    rows: int = field(default=0, metadata={"help": "Rows in taken envelopes, repeats included."})
    staged_rows: int = field(default=0, metadata={"help": "Rows in recorded slices."})
    staged_bytes: int = field(default=0, metadata={"help": "CSV bytes in recorded slices, uncompressed."})
    batches_imported: int = field(default=0, metadata={"help": "Batches that are in their table."})
    rows_imported: int = field(default=0, metadata={"help": "Rows of those batches."})
    batches_expired: int = field(default=0, metadata={"help": "Batches given up after failing for too long."})
    storage_retries: int = field(default=0, metadata={"help": "Calls to Storage that must be made again."})
    gaps: int = field(default=0, metadata={"help": "Exports stopped because envelopes are missing."})
    parkings: int = field(default=0, metadata={"help": "Times that an export was parked: Storage took nothing of it."})
    fenced: int = field(default=0, metadata={"help": "Times that another process took a ledger."})
    dead_letters: Counter[str] = field(default_factory=Counter)
    import_counts: list[int] = field(default_factory=lambda: [0] * (len(IMPORT_SECONDS) + 1))
    import_seconds: float = 0.0

    def imported(self, record: BatchRecord, now_ms: int) -> None:
        """A batch is in its table."""
        self.batches_imported += 1
        self.rows_imported += record.count
        seconds = max(now_ms - record.attempts[-1].started_ms, 0) / 1000
        self.import_seconds += seconds
        self.import_counts[bisect_left(IMPORT_SECONDS, seconds)] += 1


class SinkCollector(Collector):
    """Registered with prometheus_client; `levels` may be called from another thread."""

    def __init__(self, counters: Counters, levels: Callable[[], Levels]) -> None:
        self._counters, self._levels = counters, levels

    def collect(self) -> Iterable[Metric]:
        for item in fields(Counters):
            if "help" in item.metadata:
                name, value = f"streams_sink_{item.name}", getattr(self._counters, item.name)
                yield CounterMetricFamily(name, item.metadata["help"], value=value)
        letters = CounterMetricFamily("streams_sink_dead_letters", "Dead letters published.", labels=["reason"])
        for reason, count in self._counters.dead_letters.copy().items():
            letters.add_metric([reason], count)
        yield letters
        yield self._imports()
        levels = self._levels()
        for name, text, value in (
            ("partitions", "Rows partitions owned.", levels.partitions),
            ("exports", "Exports with state here.", levels.exports),
            ("parked", "Exports that are parked or catch up.", levels.parked),
            ("stopped", "Exports that are stopped because envelopes are missing.", levels.stopped),
            ("held_bytes", "Bytes of rows held in memory.", levels.held_bytes),
            ("windows", "Open windows.", levels.windows),
            ("oldest_window_seconds", "Age of the oldest open window.", levels.oldest_window_seconds),
            ("oldest_batch_seconds", "Since the oldest batch not imported was closed.", levels.oldest_batch_seconds),
            ("catch_up_lag_records", "Rows records before the furthest behind parked export.", levels.catch_up_lag),
        ):
            yield GaugeMetricFamily(f"streams_sink_{name}", text, value=value)
        batches = GaugeMetricFamily("streams_sink_batches", "Batches not imported.", labels=["phase"])
        for phase, count in levels.batches.items():
            batches.add_metric([phase], count)
        yield batches
        troubled = GaugeMetricFamily(
            "streams_sink_export_trouble", "Exports that need a look, the worst first.", labels=["export", "trouble"]
        )
        for export, trouble in levels.troubled:
            troubled.add_metric([export, trouble.name.lower()], 1)
        yield troubled

    def _imports(self) -> Metric:
        return histogram(
            "streams_sink_import_seconds",
            "From an import's last attempt to its finished job.",
            IMPORT_SECONDS,
            self._counters.import_counts,
            self._counters.import_seconds,
        )
