"""The consumer of a process as Prometheus sees it: `streams_consumer_*`, made from the last look when asked for.

Series are bounded: by partition where a process reads one topic; by topic, for at most `metrics_topics` of them, where
topics come with receivers. Those whose records retention takes first come first, then those with the largest lag; the
lag of the others is one sum, and the smallest time left of all is a series of its own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from app.kafka.lag import Lag
from app.kafka.watch import ConsumerWatch

OTHERS = "(others)"
"""The label of all topics that are not named."""


class ConsumerCollector(Collector):
    """Registered with prometheus_client."""

    def __init__(self, watch: ConsumerWatch, *, by_partition: bool) -> None:
        self._watch, self._by_partition = watch, by_partition

    def collect(self) -> Iterable[Metric]:
        watch, lags = self._watch, self._watch.lags
        lag = GaugeMetricFamily(
            "streams_consumer_lag_records", "Records written and not committed.", labels=["topic", "partition"]
        )
        left = GaugeMetricFamily(
            "streams_consumer_retention_left_seconds",
            "Time until retention may delete the oldest record not committed; +Inf without a lag.",
            labels=["topic", "partition"],
        )
        if self._by_partition:
            named, others = [((lag.source.topic, str(lag.source.partition)), lag) for lag in lags.partitions], 0
        else:
            named, others = _by_topic(lags.partitions, watch.most_topics)
        for labels, found in named:
            lag.add_metric(labels, found.records)
            left.add_metric(labels, found.left_seconds)
        if not self._by_partition:
            lag.add_metric((OTHERS, ""), others)
        yield lag
        yield left
        shortest = GaugeMetricFamily(
            "streams_retention_left_seconds",
            "The shortest time until retention may delete what was not read; +Inf where nothing waits.",
            labels=["reader"],
        )
        shortest.add_metric(["consumer"], lags.left_seconds)
        shortest.add_metric(["parked"], lags.parked_left_seconds)
        yield shortest
        yield GaugeMetricFamily(
            "streams_consumer_partitions", "Partitions that this process reads.", value=len(lags.partitions)
        )
        yield GaugeMetricFamily(
            "streams_consumer_commit_age_seconds",
            "Time since the last commit of the partition with a lag that waits longest; 0 without a lag.",
            value=lags.commit_age_seconds,
        )
        yield GaugeMetricFamily(
            "streams_consumer_still_seconds",
            "For how long a partition has not moved although records wait and nothing holds it.",
            value=lags.still_seconds,
        )
        yield GaugeMetricFamily(
            "streams_kafka_answer_age_seconds", "Time since Kafka last answered.", value=watch.look_age_seconds
        )
        yield GaugeMetricFamily(
            "streams_ready", "1 while the process is ready, else 0.", value=watch.why_not_ready() is None
        )


def _by_topic(lags: Iterable[Lag], most: int) -> tuple[list[tuple[tuple[str, str], Lag]], int]:
    """One for each of the worst topics that have a lag, and the sum of the other topics' lags."""
    together: dict[str, list[Lag]] = defaultdict(list)
    for lag in lags:
        if lag.records:
            together[lag.source.topic].append(lag)
    sums = [
        Lag(found[0].source, sum(lag.records for lag in found), min(lag.left_seconds for lag in found))
        for found in together.values()
    ]
    sums.sort(key=lambda lag: (lag.left_seconds, -lag.records))
    named = [((lag.source.topic, ""), lag) for lag in sums[:most]]
    return named, sum(lag.records for lag in sums[most:])
