"""What reads Kafka for as long as a process lives goes on after a broker was killed and came back."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from app.kafka.client import connect_admin
from app.kafka.plan import ensure_topics, system_topics
from app.kafka.view import ControlView
from app.kafka.watch import ConsumerWatch
from app.local.kafka import LocalBroker
from app.model.errors import KafkaUnavailable
from app.settings import Settings


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalBroker]:
    """One of this module's own."""
    folder: Path = tmp_path_factory.mktemp("kafka")
    with LocalBroker(folder, heap_mib=256) as started:
        yield started


@pytest.fixture
def settings(broker: LocalBroker, topic_prefix: str) -> Settings:
    found = Settings(
        kafka_bootstrap_servers=broker.bootstrap_servers,
        topic_prefix=topic_prefix,
        watch_seconds=0.3,
        unready_after_seconds=1,
    )
    wait_for(lambda: topics_are_there(found), "the broker, which another test may have started again just now")
    return found


def topics_are_there(settings: Settings) -> bool:
    try:
        ensure_topics(connect_admin(settings), settings, system_topics(settings))
    except KafkaUnavailable:
        return False
    return True


def wait_for(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.05)


async def test_read_barrier_is_met_again_after_the_broker_was_killed(broker: LocalBroker, settings: Settings) -> None:
    async with ControlView(settings) as view:
        await view.caught_up(60)

        broker.kill()
        broker.start()  # in this thread: the broker ends with the one that started it

        await view.caught_up(60)


def test_process_is_not_ready_while_kafka_is_gone_for_long(broker: LocalBroker, settings: Settings) -> None:
    app: Any = SimpleNamespace(progress=list, joined=True, handing_over=False, watchdog=SimpleNamespace())
    watch = ConsumerWatch(settings, app, connect_admin(settings))
    at_first = watch.why_not_ready()
    with watch:
        wait_for(lambda: watch.why_not_ready() is None, "a ready process")

        broker.kill()
        wait_for(lambda: watch.why_not_ready() is not None, "one that is not")
        without = watch.why_not_ready()
        broker.start()

        wait_for(lambda: watch.why_not_ready() is None, "a ready process again")
    assert at_first == "Not ready: Kafka has not answered yet."
    assert without is not None
    assert without.startswith("Not ready: Kafka has not answered for ")
