"""What control asks of Kafka about topics, when Kafka gives no answer at all."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any

import pytest

from app.control import topics
from app.control.records import TopicFacts
from app.control.topics import delete_topic, ends_or_gone, find_topic
from app.kafka import gone, plan
from app.model.errors import KafkaUnavailable
from app.model.receiver import SourceOffset


class Silent:
    """An admin client whose questions are not answered from a certain one on."""

    def __init__(self, answered: tuple[str, ...]) -> None:
        self._answered = answered

    def describe_topics(self, _topics: Any, **_: Any) -> dict[str, Future[Any]]:
        return {"t": self._future("describe", Description())}

    def list_offsets(self, wanted: dict[Any, Any], **_: Any) -> dict[Any, Future[Any]]:
        return {place: self._future("offsets", None) for place in wanted}

    def _future(self, question: str, answer: Any) -> Future[Any]:
        future: Future[Any] = Future()
        if question in self._answered:
            future.set_result(answer)
        return future


class Description:
    topic_id = "id"
    partitions = (0,)


@pytest.mark.parametrize("answered", [(), ("describe",)])
async def test_no_answer_counts_as_kafka_being_away(monkeypatch: pytest.MonkeyPatch, answered: tuple[str, ...]) -> None:
    monkeypatch.setattr(topics, "_SECONDS", 0.01)
    monkeypatch.setattr(plan, "_TIMEOUT_SECONDS", 0.01)
    admin: Any = Silent(answered)

    with pytest.raises(KafkaUnavailable, match="within"):
        await find_topic(admin, "t")


def topic_is(monkeypatch: pytest.MonkeyPatch, *answers: TopicFacts | None) -> None:
    """What Kafka shows, one time after the other."""
    left = list(answers)

    async def find(_admin: Any, _name: str) -> TopicFacts | None:
        return left.pop(0)

    monkeypatch.setattr(topics, "find_topic", find)
    monkeypatch.setattr(gone, "PAUSE_SECONDS", 0)


async def test_ends_are_those_of_the_topic_once_it_is_known_again(monkeypatch: pytest.MonkeyPatch) -> None:
    topic_is(monkeypatch, None, TopicFacts("t", "earlier", (9,)), TopicFacts("t", "id", (3, 0)))
    admin: Any = None

    assert await ends_or_gone(admin, "t", "id", 2) == (SourceOffset("id", 0, 3),)


async def test_topic_that_is_not_known_for_a_moment_is_deleted_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    topic_is(monkeypatch, None, TopicFacts("t", "id", (3,)))
    monkeypatch.setattr(topics, "describe_topics", lambda *_: {})
    deleted: list[str] = []

    class Admin:
        def delete_topics(self, names: list[str], **_: Any) -> dict[str, Future[Any]]:
            deleted.extend(names)
            future: Future[Any] = Future()
            future.set_result(None)
            return {names[0]: future}

    admin: Any = Admin()
    await delete_topic(admin, "t", "id")

    assert deleted == ["t"]


async def test_deletion_that_is_not_answered_counts_as_kafka_being_away(monkeypatch: pytest.MonkeyPatch) -> None:
    topic_is(monkeypatch, TopicFacts("t", "id", (3,)))
    monkeypatch.setattr(topics, "_SECONDS", 0.01)

    class Admin:
        def delete_topics(self, names: list[str], **_: Any) -> dict[str, Future[Any]]:
            return {names[0]: Future()}

    admin: Any = Admin()
    with pytest.raises(KafkaUnavailable, match="does not delete topic t within"):
        await delete_topic(admin, "t", "id")


async def test_broker_that_does_not_know_all_partitions_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    topic_is(monkeypatch, TopicFacts("t", "id", (3,)))
    admin: Any = None

    with pytest.raises(KafkaUnavailable, match="1 partitions"):
        await ends_or_gone(admin, "t", "id", 2)
