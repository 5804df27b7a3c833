"""Families of metrics that several processes make of what they counted."""

from __future__ import annotations

from collections.abc import Sequence

from prometheus_client import Metric
from prometheus_client.core import HistogramMetricFamily


def histogram(name: str, documentation: str, bounds: Sequence[float], counts: Sequence[int], total: float) -> Metric:
    """Of counts for each bucket alone, one more than there are bounds, and the sum of all values."""
    reached, buckets = 0, []
    for bound, count in zip((*map(str, bounds), "+Inf"), counts, strict=True):
        reached += count
        buckets.append((bound, reached))
    return HistogramMetricFamily(name, documentation, buckets=buckets, sum_value=total)
