"""What is made of Kafka's answers about topics: each is waited for, and none stands for the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any, cast

import pytest
from confluent_kafka import KafkaError, KafkaException

from app.kafka import plan
from app.kafka.plan import create_topics, describe_topics, find_topics
from app.kafka.topic_spec import TopicSpec
from app.model.errors import KafkaUnavailable

DESCRIBED = SimpleNamespace(topic_id="id", partitions=[SimpleNamespace(replicas=[1])])


class Admin:
    """Answers each kind of question with a value, refuses it with an error code, or says nothing (None)."""

    def __init__(self, *, create: object = "", describe: object = DESCRIBED, configs: object = None) -> None:
        self.create, self.describe, self.configs = create, describe, configs

    def create_topics(self, topics: Sequence[Any], **_: Any) -> dict[str, Future[Any]]:
        return {topic.topic: _future(self.create) for topic in topics}

    def describe_topics(self, topics: Any, **_: Any) -> dict[str, Future[Any]]:
        return {"t": _future(self.describe)}

    def describe_configs(self, resources: Sequence[Any], **_: Any) -> dict[Any, Future[Any]]:
        return {resource: _future(self.configs) for resource in resources}


def _future(answer: object) -> Future[Any]:
    future: Future[Any] = Future()
    if isinstance(answer, int):
        future.set_exception(KafkaException(KafkaError(answer)))
    elif answer is not None:
        future.set_result(answer)
    return future


@pytest.fixture(autouse=True)
def _without_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "_TIMEOUT_SECONDS", -1)


def create(admin: Any) -> list[str]:
    return create_topics(admin, [TopicSpec("t", 1, 1)])


def describe(admin: Any) -> object:
    return describe_topics(admin, ["t"])


def find(admin: Any) -> object:
    return find_topics(admin, ["t"])


CASES = [
    pytest.param(create, "create", "create", id="create"),
    pytest.param(describe, "describe", "describe", id="describe"),
    pytest.param(find, "configs", "say the settings of", id="settings"),
]


@pytest.mark.parametrize(("ask", "question", "words"), CASES)
def test_silence_is_said_in_words(ask: Callable[[Any], object], question: str, words: str) -> None:
    with pytest.raises(KafkaUnavailable, match=f"Kafka does not {words} topic t within"):
        ask(Admin(**{question: None}))


@pytest.mark.parametrize(("ask", "question", "words"), CASES)
def test_refusal_says_what_to_do(ask: Callable[[Any], object], question: str, words: str) -> None:
    with pytest.raises(KafkaUnavailable, match=f"Kafka does not {words} topic t: .*authorization.*topics acls"):
        ask(Admin(**{question: KafkaError.TOPIC_AUTHORIZATION_FAILED}))


def test_topic_that_is_there_already_is_not_among_the_created() -> None:
    assert create(Admin(create=KafkaError.TOPIC_ALREADY_EXISTS)) == []


def test_topic_that_is_not_there_is_not_found() -> None:
    admin = Admin(describe=KafkaError.UNKNOWN_TOPIC_OR_PART)

    assert (describe(admin), find(admin)) == ({}, {})


@pytest.mark.parametrize(
    ("answer", "known"),
    [
        (DESCRIBED, {"t": ("id", 1)}),
        (KafkaError.UNKNOWN_TOPIC_OR_PART, {"t": None}),
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, {}),
        (None, {}),
    ],
    ids=["there", "not there", "refused", "not said"],
)
def test_what_is_refused_or_not_said_of_a_topic_is_not_known(answer: object, known: dict[str, object]) -> None:
    assert plan.describe_known(cast(Any, Admin(describe=answer)), ["t"]) == known
