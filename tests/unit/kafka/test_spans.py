"""The first records of many ranges: what cannot be read is left out, and the time is one for all."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from app.kafka import spans
from app.kafka.ranges import RangeBlock, RangeRecord
from app.kafka.spans import Sampled, read_sample
from app.model.errors import KafkaUnavailable
from app.model.replay import OffsetRange
from app.settings import Settings

SETTINGS = Settings(_env_file=None)  # type: ignore[call-arg]  # pydantic-settings' own argument


class Reader:
    """Of a topic in which each record is there; "refused" is one that we may not read."""

    def __init__(self, _settings: Settings, topic: str, _partition: int, end: int, _group: str) -> None:
        self._topic, self._end = topic, end

    def read_now(self, offset: int, most: int) -> RangeBlock:
        if self._topic == "refused":
            raise KafkaUnavailable("refused cannot be read")
        stop = min(self._end, offset + most)
        return RangeBlock([RangeRecord(n, 0, None, b"", ()) for n in range(offset, stop)], stop)

    def close(self) -> None:
        pass


@pytest.fixture
def sample(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Sampled]:
    monkeypatch.setattr(spans, "RangeReader", Reader)

    def sample(*topics: str, seconds: float = 60) -> Sampled:
        return read_sample(SETTINGS, "", [OffsetRange(0, 0, 2, topic, topic) for topic in topics], 100, seconds)

    return sample


def test_range_that_is_refused_is_left_out_and_the_sample_is_not_whole(sample: Callable[..., Sampled]) -> None:
    found = sample("a", "refused", "b")

    assert [(part.topic, record.offset) for part, record in found.records] == [("a", 0), ("a", 1), ("b", 0), ("b", 1)]
    assert (found.is_whole, sample("a", "b").is_whole) == (False, True)


def test_what_is_wrong_is_said_when_nothing_can_be_read(sample: Callable[..., Sampled]) -> None:
    with pytest.raises(KafkaUnavailable, match="refused cannot be read"):
        sample("refused")


def test_time_that_is_over_ends_the_sample(sample: Callable[..., Sampled]) -> None:
    assert sample("a", seconds=0) == Sampled([], False)
