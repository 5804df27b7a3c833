"""Questions about topics are asked together, and one bad answer keeps nobody else waiting."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from contextlib import asynccontextmanager, suppress
from types import SimpleNamespace
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicCollection

from app.mapper.topic_ids import TopicIds

Answer = Callable[[str], str | KafkaException]


class ScriptedAdmin:
    def __init__(self, answer: Answer) -> None:
        self.answer, self.requests = answer, []

    def describe_topics(self, topics: TopicCollection, *, request_timeout: float) -> dict[str, Future[Any]]:
        names = list(topics.topic_names)
        self.requests.append(sorted(names))
        futures: dict[str, Future[Any]] = {name: Future() for name in names}
        for name, future in futures.items():
            found = self.answer(name)
            if isinstance(found, KafkaException):
                future.set_exception(found)
            else:
                future.set_result(SimpleNamespace(topic_id=found))
        return futures


@asynccontextmanager
async def running(answer: Answer) -> AsyncIterator[tuple[TopicIds, ScriptedAdmin]]:
    admin: Any = ScriptedAdmin(answer)
    ids = TopicIds(admin)
    task = asyncio.create_task(ids.run())
    yield ids, admin
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_who_asks_at_the_same_time_shares_one_request() -> None:
    async with running(lambda topic: f"id of {topic}") as (ids, admin):
        answers = await asyncio.gather(ids.of("a"), ids.of("b"), ids.of("a"))

    assert answers == ["id of a", "id of b", "id of a"]
    assert admin.requests == [["a", "b"]]


async def test_each_question_is_asked_anew() -> None:
    names = iter(["first", "second"])
    async with running(lambda _: next(names)) as (ids, _):
        assert [await ids.of("a"), await ids.of("a")] == ["first", "second"]


async def test_missing_topic_has_no_id() -> None:
    missing = KafkaException(KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART))
    async with running(lambda _: missing) as (ids, _):
        assert await ids.of("a") is None


async def test_topic_that_cannot_be_described_keeps_nobody_else_waiting() -> None:
    forbidden: list[Any] = [KafkaException(KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED))]
    async with running(lambda topic: forbidden[0] if topic == "bad" else "good id") as (ids, _):
        waiting = asyncio.create_task(ids.of("bad"))
        async with asyncio.timeout(60):
            others = [await ids.of("good") for _ in range(2)]
        early = waiting.done()
        forbidden[0] = "bad id"

        async with asyncio.timeout(60):
            assert await waiting == "bad id"

    assert others == ["good id", "good id"]
    assert not early
