"""Several topics are read in one time, and none of them fails the others."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from app.kafka import each_topic
from app.kafka.each_topic import TopicUnreadable, read_each
from app.model.errors import KafkaUnavailable


class Clock:
    """Stands in for the module's `time`: time passes as topics are read."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(each_topic, "time", clock)
    return clock


def taking(clock: Clock, seconds: float, given: list[float]) -> Callable[[str, float], str]:
    def read(topic: str, most: float) -> str:
        given.append(most)
        clock.now += min(seconds, most)
        return topic.upper()

    return read


def failing(topic: str, _seconds: float) -> str:
    if topic == "gone":
        raise TopicUnreadable(f"{topic} is not there")
    if topic == "slow":
        raise KafkaUnavailable(f"{topic} does not answer")
    return topic.upper()


def test_what_a_topic_does_not_need_of_its_share_is_for_the_others(clock: Clock) -> None:
    given: list[float] = []

    assert read_each("abc", 9, taking(clock, 1, given)) == {"a": "A", "b": "B", "c": "C"}
    assert given == [3, 4, 7]


def test_topics_that_take_all_they_may_leave_none_a_time_that_is_over(clock: Clock) -> None:
    given: list[float] = []

    read_each([str(number) for number in range(20)], 5, taking(clock, 99, given), KafkaUnavailable)

    assert (given, clock.now) == ([1.0] * 5, 105.0)


def test_time_that_is_over_before_each_topic_was_read_is_said(clock: Clock) -> None:
    with pytest.raises(KafkaUnavailable, match="about c in time"):
        read_each("abcd", 2, taking(clock, 99, []))


def test_topic_that_is_gone_is_left_out() -> None:
    assert read_each(["a", "gone", "b"], 9, failing) == {"a": "A", "b": "B"}


def test_topic_that_does_not_answer_fails_the_read_unless_it_may_be_left_out() -> None:
    with pytest.raises(KafkaUnavailable, match="slow does not answer"):
        read_each(["a", "slow"], 9, failing)
    assert read_each(["a", "slow"], 9, failing, KafkaUnavailable) == {"a": "A"}


def test_what_is_wrong_is_said_when_no_topic_is_left() -> None:
    with pytest.raises(TopicUnreadable, match="gone is not there"):
        read_each(["gone"], 9, failing)
    assert read_each([], 9, failing) == {}
