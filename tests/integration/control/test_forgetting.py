"""Tasks are forgotten in time, and what was done for them is never done again."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest
from buffer_stack import Client, Controls, export_body, tokens_of, until
from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, TopicPartition

from app.kafka.client import connect_admin
from app.kafka.codec import control_codec
from app.kafka.names import Names
from app.kafka.producer import AsyncProducer
from app.kafka.view import control_key
from app.keboola.client import StorageClient
from app.local.storage import Emulator
from app.model.catalog import task_key
from app.model.task import TaskType, new_task
from app.settings import Settings

SOON, HOUR_MS = 0.1 / 3600, 3_600_000
TABLES = "tables-definition$"


def set_back(settings: Settings) -> bool:
    """Make the group read all commands again, as if nothing had been committed; False while it has members."""
    names, admin = Names(settings.topic_prefix), connect_admin(settings)
    places = [TopicPartition(names.commands, number, 0) for number in range(settings.command_partitions)]
    wanted = ConsumerGroupTopicPartitions(names.group("control"), places)
    try:
        for answer in admin.alter_consumer_group_offsets([wanted]).values():
            answer.result(60)
    except KafkaException:
        return False
    return True


class Gone:
    """Which records have ended since this was made: a task is there, and then it is not."""

    def __init__(self, api: Client) -> None:
        self._keys: set[str] = set()
        api.view.listen(lambda key, value: self._keys.add(key) if value is None else None)

    async def wait_for(self, task: dict[str, Any]) -> None:
        await until(lambda: f"task:1234/{task['id']}" in self._keys, f"{task['id']} to be forgotten")


@pytest.fixture
def gone(api: Client) -> Gone:
    return Gone(api)


async def test_task_that_succeeded_is_forgotten_first(
    api: Client, emulator: Emulator, controls: Controls, gone: Gone, name: str
) -> None:
    control = controls.start(finished_task_hours=SOON, task_check_seconds=0.1)
    emulator.fault("status", method="POST", path=TABLES, status=400)
    body = {"name": name, "exports": [export_body("e", f"in.c-{name}.t")]}
    failed = await api.finished(await api.post("/v1/receivers", body))
    sent = (await api.post("/v1/receivers", {"name": name})).json()

    await gone.wait_for(sent)

    answers = [await api.get(task["url"]) for task in (sent, failed)]
    assert [answer.status_code for answer in answers] == [404, 200]
    assert answers[0].json()["error"] == "buffer.taskNotFound"
    assert (await api.get(f"/v1/receivers/{name}")).status_code == 200
    control.stop()


async def test_task_that_failed_is_forgotten_too(
    api: Client, emulator: Emulator, controls: Controls, gone: Gone, name: str
) -> None:
    control = controls.start(failed_task_hours=SOON, task_check_seconds=0.1)
    emulator.fault("status", method="POST", path=TABLES, status=400)
    body = {"name": name, "exports": [export_body("e", f"in.c-{name}.t")]}
    sent = (await api.post("/v1/receivers", body)).json()

    await gone.wait_for(sent)

    assert (await api.get(sent["url"])).status_code == 404
    control.stop()


async def test_task_without_a_command_ends_in_error(
    api: Client, settings: Settings, controls: Controls, name: str
) -> None:
    control = controls.start(task_check_seconds=0.1)
    made = new_task("1234", TaskType.RECEIVER_CREATE, name)
    lost = replace(made, created_ms=time.time_ns() // 1_000_000 - 49 * HOUR_MS)
    async with AsyncProducer(settings) as producer:
        control_topic = Names(settings.topic_prefix).control
        await producer.send(control_topic, control_codec.encode(lost), control_key("task", task_key(lost)), partition=0)

    task = await api.task(f"/v1/tasks/{lost.task_id}")

    assert (task["status"], task["error"]) == (
        "error",
        "The task was never finished: its command is not there any more. "
        "What it had made in Storage may still be there.",
    )
    control.stop()


@pytest.mark.parametrize("first", ["crash", "forget"])
async def test_what_is_over_is_not_done_again_when_its_command_is_delivered_again(
    api: Client, storage: StorageClient, settings: Settings, controls: Controls, gone: Gone, name: str, first: str
) -> None:
    """The group's offset is what it would be, had the process died between a task's last record and the commit."""
    quick = {"finished_task_hours": SOON, "task_check_seconds": 0.1}
    control = controls.start(**(quick if first == "forget" else {}))
    body = {"name": name, "exports": [export_body("e", f"in.c-{name}.t")]}
    created = (await api.post("/v1/receivers", body)).json()
    await until(lambda: f"1234/{name}" in api.view.catalog.receivers, "the receiver")
    assert (await api.delete(f"/v1/receivers/{name}?discard=true")).status_code == 200
    if first == "forget":
        await gone.wait_for(created)
    control.stop()
    await until(lambda: set_back(settings), "the group to be empty")

    control = controls.start(**quick)
    later = (await api.post("/v1/receivers", {"name": f"{name}-later"})).json()
    await gone.wait_for(later)  # and so everything before it is over

    assert f"1234/{created['id']}" not in api.view.catalog.tasks
    assert (await api.get(f"/v1/receivers/{name}")).status_code == 404
    assert tokens_of(storage, name) == []
    control.stop()
