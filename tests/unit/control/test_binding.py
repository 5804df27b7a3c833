"""A receiver of topics of others is made when they are its own, and not when somebody was quicker."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, cast

import pytest

from app.api.drafts import ReceiverDraft, SourceDraft, dump_draft
from app.control import binding
from app.control.binding import claim, find_sources
from app.control.patience import StepFailed
from app.control.records import ManyTopics, TopicFacts
from app.control.run import Run, Surroundings
from app.control.steps import Failure
from app.kafka.codec import control_codec
from app.kafka.names import Names
from app.kafka.transaction import Record
from app.model.binding import Binding, SourceTopic
from app.model.catalog import Catalog
from app.model.errors import BadRequest, Conflict
from app.model.receiver import Receiver
from app.model.task import Command, Task, TaskStatus, TaskType
from app.settings import Settings

TOPICS = ManyTopics((TopicFacts("shop.orders", "id-1", (4, 0)), TopicFacts("shop.returns", "id-2", (7,))))
OTHERS = Binding("other", "2", "b", "shop.returns", "id-2", 1, 0)
TASK = Task("1", "t", TaskType.RECEIVER_CREATE, TaskStatus.PROCESSING, 0, "a")


class Log:
    """A control log into which another process writes just before the next transaction of ours."""

    def __init__(self, *before: Binding) -> None:
        self.catalog, self.names, self.before = Catalog(), Names("streams"), before
        self.catalog.put_task(TASK)

    async def transact(self, decide: Callable[[], Sequence[Record]]) -> None:
        records = decide()
        for one in self.before:
            self.catalog.put_binding(one)
        for record in records:
            kind, _, key = cast(str, record.key).partition(":")
            if record.value is None:
                self.catalog.drop_binding(key)
            elif kind == "binding":
                self.catalog.put_binding(cast(Binding, control_codec.decode(record.value)))


def run_of(log: Log, pattern: str = "shop.*") -> Run:
    settings = Settings(_env_file=None, source_topics=["1:shop.*"], max_source_partitions=2)  # type: ignore[call-arg]  # pydantic-settings' own
    around = Surroundings(settings, cast(Any, None), cast(Any, None), rows_partitions=1)
    draft = ReceiverDraft("a", "a", "", source=SourceDraft("", pattern=pattern))
    return Run(around, cast(Any, log), Command(TASK, dump_draft(draft), b""))


@pytest.fixture
def kafka_has(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def kafka_has(*topics: str) -> None:
        async def topic_names(_admin: Any) -> list[str]:
            return list(topics)

        async def find_source(_admin: Any, name: str, from_ms: int | None) -> TopicFacts:
            count = 2 if name == "shop.wide" else 3 if name == "shop.widest" else 1
            return TopicFacts(name, f"id-{name}", (3 if from_ms is None else 0,) * count)

        monkeypatch.setattr(binding, "topic_names", topic_names)
        monkeypatch.setattr(binding, "find_source", find_source)

    return kafka_has


async def test_topics_that_nobody_claimed_before_are_the_receivers() -> None:
    log = Log()

    uid = await claim(run_of(log), TOPICS)

    assert log.catalog.bound_topics(uid) == (
        SourceTopic("shop.orders", "id-1", 2),
        SourceTopic("shop.returns", "id-2", 1),
    )


async def test_receiver_is_refused_when_another_was_quicker_and_its_claims_go_with_the_task() -> None:
    log = Log(OTHERS)
    run = run_of(log)

    with pytest.raises(Conflict, match=r'"shop\.returns" is read by another') as caught:
        await claim(run, TOPICS)
    claimed = set(log.catalog.bindings)
    await run.fail(Failure("in use"))

    assert (caught.value.name, claimed) == ("buffer.topicInUse", {"shop.orders", "shop.returns"})
    assert log.catalog.bindings == {"shop.returns": {"other/shop.returns": OTHERS}}


async def test_task_that_is_carried_on_keeps_what_it_had_claimed() -> None:
    log = Log()

    first, again = [await claim(run_of(log), TOPICS) for _ in range(2)]

    assert first == again


async def test_claim_of_an_earlier_run_is_written_anew_when_its_topic_was_made_anew() -> None:
    log = Log()
    uid = await claim(run_of(log), TopicFacts("shop.orders", "earlier", (0,)))

    await claim(run_of(log), TopicFacts("shop.orders", "id-1", (0,)))

    assert log.catalog.bound_topics(uid) == (SourceTopic("shop.orders", "id-1", 1),)


async def test_claim_of_an_earlier_run_goes_when_its_topic_is_not_found_any_more() -> None:
    log = Log()
    uid = await claim(run_of(log), TOPICS)

    await claim(run_of(log), ManyTopics(TOPICS.topics[:1]))

    assert [topic.topic for topic in log.catalog.bound_topics(uid)] == ["shop.orders"]


async def test_pattern_begins_at_the_end_of_each_topic_that_it_means(kafka_has: Callable[..., None]) -> None:
    kafka_has("shop.orders", "bank.orders", "__consumer_offsets", "shop.returns")

    found = await find_sources(run_of(Log()), SourceDraft("", pattern="shop.*"))

    assert isinstance(found, ManyTopics)
    assert [(topic.name, topic.topic_id, topic.ends) for topic in found.topics] == [
        ("shop.orders", "id-shop.orders", (3,)),
        ("shop.returns", "id-shop.returns", (3,)),
    ]


@pytest.mark.parametrize(
    ("topics", "error", "words"),
    [
        (["bank.orders"], StepFailed, 'no topic that "shop.\\*" means'),
        (["shop.a", "shop.b", "shop.c"], BadRequest, "means 3 topics; a receiver reads 2 partitions at most"),
        (["shop.a", "shop.wide"], BadRequest, '"shop.\\*" has 3 partitions in all; a receiver reads 2 at most'),
    ],
)
async def test_pattern_must_mean_some_topics_and_not_too_many(
    topics: list[str], error: type[Exception], words: str, kafka_has: Callable[..., None]
) -> None:
    kafka_has(*topics)

    with pytest.raises(error, match=words):
        await find_sources(run_of(Log()), SourceDraft("", pattern="shop.*"))


async def test_topic_with_more_partitions_than_a_receiver_may_read_is_refused(kafka_has: Callable[..., None]) -> None:
    kafka_has("shop.widest")

    with pytest.raises(BadRequest, match=r'"shop\.widest" has 3 partitions in all; a receiver reads 2 at most'):
        await find_sources(run_of(Log()), SourceDraft("shop.widest"))


async def test_pattern_that_means_a_topic_of_another_receiver_is_refused(kafka_has: Callable[..., None]) -> None:
    kafka_has("shop.orders")
    log = Log()
    log.catalog.put_receiver(Receiver("s", "2", "b", "b", "", b"", "shop.orders", "id", 1, 0))

    with pytest.raises(Conflict, match="another project"):
        await find_sources(run_of(log), SourceDraft("", pattern="shop.*"))


async def test_topic_that_a_receiver_with_a_pattern_reads_is_in_use(kafka_has: Callable[..., None]) -> None:
    kafka_has("shop.orders")
    log = Log()
    log.catalog.put_receiver(replace(Receiver("s", "1", "b", "b", "", b"", "", "", 0, 0), pattern="*.orders"))

    with pytest.raises(Conflict, match='the receiver "b"'):
        await find_sources(run_of(log), SourceDraft("shop.orders"))
