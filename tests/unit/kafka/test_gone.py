"""A topic that is not shown: gone, or only not known at the moment."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from app.kafka import gone
from app.kafka.gone import LOOKS, is_surely_gone
from app.model.errors import KafkaUnavailable


class Controller:
    """An admin client that answers creations that are only to be checked."""

    def __init__(self, code: int | None) -> None:
        self.code, self.asked = code, 0

    def create_topics(self, topics: Sequence[Any], *, validate_only: bool, **_: Any) -> dict[str, Future[Any]]:
        assert validate_only
        self.asked += 1
        future: Future[Any] = Future()
        if self.code is None:
            future.set_result(None)
        else:
            future.set_exception(KafkaException(KafkaError(self.code)))
        return {topic.topic: future for topic in topics}


@pytest.fixture(autouse=True)
def _without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gone, "PAUSE_SECONDS", 0)


def looks(*answers: str | None) -> Callable[[], Any]:
    left = list(answers)

    async def look() -> str | None:
        return left.pop(0)

    return look


async def ask(controller: Controller, *answers: str | None) -> bool:
    admin: Any = controller
    return await is_surely_gone(admin, "t", "id", looks(*answers))


async def test_topic_that_is_there_is_asked_for_once() -> None:
    controller = Controller(None)

    assert not await ask(controller, "id")
    assert controller.asked == 0


@pytest.mark.parametrize("other", [None, "earlier"])
async def test_topic_that_is_not_known_for_a_moment_is_not_gone(other: str | None) -> None:
    assert not await ask(Controller(None), *[other] * (LOOKS - 1), "id")


async def test_topic_that_neither_broker_nor_controller_knows_is_gone() -> None:
    assert await ask(Controller(None), *[None] * LOOKS)


async def test_topic_whose_name_is_another_ones_is_gone() -> None:
    assert await ask(Controller(KafkaError.TOPIC_ALREADY_EXISTS), *["other"] * LOOKS)


async def test_topic_that_the_controller_has_is_not_gone() -> None:
    with pytest.raises(KafkaUnavailable, match="does not know it"):
        await ask(Controller(KafkaError.TOPIC_ALREADY_EXISTS), *[None] * LOOKS)


async def test_controller_that_may_not_be_asked_leaves_it_to_the_looks() -> None:
    assert await ask(Controller(KafkaError.TOPIC_AUTHORIZATION_FAILED), *[None] * LOOKS)


async def test_controller_that_does_not_answer_leaves_it_open() -> None:
    with pytest.raises(KafkaUnavailable, match="does not say"):
        await ask(Controller(KafkaError._TIMED_OUT), *[None] * LOOKS)
