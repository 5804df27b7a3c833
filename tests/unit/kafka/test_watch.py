"""What one look at a consumer asks Kafka for, and what is believed between looks."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from app.kafka import watch as watching
from app.kafka.faust import ChunkApp, Partition, Progress
from app.kafka.lag import FOREVER, Lags, Oldest, Place
from app.kafka.watch import ConsumerWatch
from app.settings import Settings

Peeked = tuple[dict[Place, Oldest | None], dict[Partition, str]]


class Admin:
    """Says of every partition that it ends at 20, unless it is away."""

    away = False

    def list_offsets(self, wanted: dict[TopicPartition, Any], **_: Any) -> dict[TopicPartition, Future[Any]]:
        answers: dict[TopicPartition, Future[Any]] = {place: Future() for place in wanted}
        for answer in answers.values():
            if self.away:
                answer.set_exception(KafkaException(KafkaError(KafkaError._TIMED_OUT)))
            else:
                answer.set_result(SimpleNamespace(offset=20))
        return answers

    def list_topics(self, *_: Any, **__: Any) -> None:
        return

    def describe_configs(self, _resources: Any, **_: Any) -> dict[Any, Any]:
        return {}


@dataclass
class App:
    joined: bool = True
    handing_over: bool = False
    held: list[Progress] = field(default_factory=list)
    watchdog: SimpleNamespace = field(default_factory=SimpleNamespace)

    def progress(self) -> list[Progress]:
        return self.held


def watch_of(app: App, admin: Admin, parked: dict[Partition, int] | None = None) -> ConsumerWatch:
    settings = Settings(_env_file=None)  # type: ignore[call-arg]  # pydantic-settings' own
    return ConsumerWatch(settings, cast(ChunkApp, app), cast(AdminClient, admin), parked=lambda: parked or {})


def test_records_that_are_known_keep_no_others_from_being_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    parked = {Partition("rows", number): 5 for number in range(12)}
    asked: list[int] = []

    def first_records(_settings: Settings, places: list[Place]) -> Peeked:
        asked.append(len(places))
        return {(topic, partition, offset): Oldest(offset, partition) for topic, partition, offset in places}, {}

    monkeypatch.setattr(watching, "first_records", first_records)
    watch = watch_of(App(), Admin(), parked)

    for _ in range(3):
        watch.look()

    assert asked == [8, 4, 0]


def test_nothing_counts_as_standing_still_while_kafka_is_away() -> None:
    admin = Admin()
    watch = watch_of(App(), admin)
    watch.lags = Lags((), FOREVER, 0.0, 400.0)
    admin.away = True

    watch.look()

    assert watch.lags.still_seconds == 0


def test_rebalance_is_let_be_also_where_readiness_is_asked_for_seldom() -> None:
    app = App()
    watch = watch_of(app, Admin())
    watch.look()

    app.joined = False

    assert watch.why_not_ready() is None


def test_partition_that_cannot_be_read_costs_only_its_own_figures_and_is_told_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def first_records(_settings: Settings, places: list[Place]) -> Peeked:
        found: dict[Place, Oldest | None] = {at: Oldest(at[2], 0) for at in places if at[1] != 1}
        return found, {Partition(*at[:2]): "not authorized" for at in places if at[1] == 1}

    monkeypatch.setattr(watching, "first_records", first_records)
    watch = watch_of(App(), Admin(), {Partition("rows", 0): 5, Partition("rows", 1): 5})

    for _ in range(3):
        watch.look()

    assert watch.lags.parked_left_seconds == 0  # of partition 0, whose record is of 1970
    assert [record.message for record in caplog.records] == [
        "rows/1: the oldest record that waits cannot be looked at: not authorized"
    ]


def test_partitions_that_cannot_be_read_keep_no_others_from_being_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[int]] = []

    def first_records(_settings: Settings, places: list[Place]) -> Peeked:
        asked.append([partition for _, partition, _ in places])
        return {at: Oldest(at[2], 0) for at in places if at[1] >= 8}, {
            Partition(*at[:2]): "no" for at in places if at[1] < 8
        }

    monkeypatch.setattr(watching, "first_records", first_records)
    watch = watch_of(App(), Admin(), {Partition("rows", number): 5 for number in range(10)})

    for _ in range(2):
        watch.look()

    assert asked[1][:2] == [8, 9]


def test_watchdog_is_told_whether_kafka_answers() -> None:
    app, admin = App(), Admin()
    watch = watch_of(app, admin)
    watch.look()
    before = app.watchdog.kafka_answers()
    admin.away = True

    watch.look()

    assert (before, app.watchdog.kafka_answers()) == (True, False)
