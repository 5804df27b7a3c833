"""What the sink counts, and how Prometheus sees it: plain numbers, turned into metrics only when asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from app.model.ledger import BatchRecord


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
    import_seconds: float = field(default=0, metadata={"help": "Time from attempt to finished job, added up."})
    batches_expired: int = field(default=0, metadata={"help": "Batches given up after failing for too long."})
    storage_retries: int = field(default=0, metadata={"help": "Calls to Storage that must be made again."})
    gaps: int = field(default=0, metadata={"help": "Exports stopped because envelopes are missing."})
    parkings: int = field(default=0, metadata={"help": "Times that an export was parked: Storage took nothing of it."})
    fenced: int = field(default=0, metadata={"help": "Times that another process took a ledger."})
    dead_letters: Counter[str] = field(default_factory=Counter)

    def imported(self, record: BatchRecord, now_ms: int) -> None:
        """A batch is in its table."""
        self.batches_imported += 1
        self.rows_imported += record.count
        self.import_seconds += max(now_ms - record.attempts[-1].started_ms, 0) / 1000


@dataclass(frozen=True, slots=True)
class Levels:
    """How full the sink is now."""

    partitions: int
    exports: int
    parked: int
    held_bytes: int
    batches: Counter[str]


class SinkCollector(Collector):
    """Registered with prometheus_client; `levels` may be called from another thread."""

    def __init__(self, counters: Counters, levels: Callable[[], Levels]) -> None:
        self._counters, self._levels = counters, levels

    def collect(self) -> Iterable[Metric]:
        for item in fields(Counters):
            if item.name != "dead_letters":
                name, value = f"streams_sink_{item.name}", getattr(self._counters, item.name)
                yield CounterMetricFamily(name, item.metadata["help"], value=value)
        letters = CounterMetricFamily("streams_sink_dead_letters", "Dead letters published.", labels=["reason"])
        for reason, count in self._counters.dead_letters.copy().items():
            letters.add_metric([reason], count)
        yield letters
        levels = self._levels()
        yield GaugeMetricFamily("streams_sink_partitions", "Rows partitions owned.", value=levels.partitions)
        yield GaugeMetricFamily("streams_sink_exports", "Exports with state here.", value=levels.exports)
        yield GaugeMetricFamily("streams_sink_parked", "Exports that are parked or catch up.", value=levels.parked)
        yield GaugeMetricFamily("streams_sink_held_bytes", "Bytes of rows held in memory.", value=levels.held_bytes)
        batches = GaugeMetricFamily("streams_sink_batches", "Batches not finished.", labels=["phase"])
        for phase, count in levels.batches.items():
            batches.add_metric([phase], count)
        yield batches
