"""Dead letters over the API; how they are found in their topic is tested in `tests/integration/kafka`."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
from typing import Any

import httpx
import pytest
from buffer_stack import Client, api_client, export_body, export_of
from letters import letter, publish

from app.local.storage import Emulator
from app.model.dead_letter import DeadLetter
from app.model.receiver import Export
from app.settings import Settings


@pytest.fixture
async def export(api: Client, name: str) -> Export:
    await api.create("/v1/receivers", {"name": name, "exports": [export_body("E", f"in.c-{name}.t")]})
    return export_of(api, name, "e")


def letters_path(export: Export) -> str:
    return f"/v1/receivers/{export.receiver_id}/exports/{export.export_id}/dead-letters"


async def listed(api: Client, export: Export, **query: Any) -> dict[str, Any]:
    answer = await api.http.get(letters_path(export), params=query)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def write(settings: Settings, *letters: DeadLetter) -> None:
    await asyncio.to_thread(publish, settings, list(letters))


async def test_letter_is_shown_with_its_event(api: Client, settings: Settings, export: Export) -> None:
    await write(settings, letter(export, 17))

    (shown,) = (await listed(api, export))["deadLetters"]

    alone = (await api.get(f"{letters_path(export)}/{shown['id']}")).json()
    assert alone == shown
    assert {key: value for key, value in shown.items() if key not in ("id", "publishedAt")} == {
        "reason": "template.error",
        "column": "value",
        "message": 'path "value" not found in the body',
        "revision": 1,
        "receivedAt": "2023-11-14T22:13:20.123Z",
        "source": {
            "topic": f"streams.events.1234.{export.receiver_id}",
            "topicId": "topic-id",
            "partition": 0,
            "offset": 17,
            "lane": "live",
        },
        "event": {
            "id": "event-17",
            "ip": "203.0.113.7",
            "headers": [{"name": "Content-Type", "value": "application/json", "encoding": "utf-8"}],
            "headersTruncated": False,
            "body": '{"number": 17}',
            "bodyEncoding": "utf-8",
            "bodySize": 14,
            "bodyTruncated": False,
        },
    }


async def test_page_leads_to_the_next_one(api: Client, settings: Settings, export: Export) -> None:
    await write(settings, *(letter(export, number) for number in range(5)))

    first = await listed(api, export, limit=3)
    second = await listed(api, export, limit=3, after=first["page"]["after"])

    assert [one["source"]["offset"] for one in first["deadLetters"]] == [4, 3, 2]
    assert [one["source"]["offset"] for one in second["deadLetters"]] == [1, 0]


async def test_long_body_is_cut_in_the_list_and_whole_alone(api: Client, settings: Settings, export: Export) -> None:
    body = ("é" * 600_000).encode()
    await write(settings, letter(export, 1, body=body))

    (short,) = (await listed(api, export))["deadLetters"]
    alone = (await api.get(f"{letters_path(export)}/{short['id']}")).json()

    assert short["event"]["body"] == "é" * 512
    assert (short["event"]["bodySize"], short["event"]["bodyTruncated"]) == (1_200_000, True)
    assert (alone["event"]["body"].encode(), alone["event"]["bodyTruncated"]) == (body, False)


async def test_letter_of_another_project_or_none_is_not_found(api: Client, settings: Settings, export: Export) -> None:
    theirs = dataclasses.replace(export, project_id="9", uid="other")
    await write(settings, letter(export, 1), letter(theirs, 2))
    (own,) = (await listed(api, export))["deadLetters"]
    partition, _, offset = own["id"].partition("-")
    ids = [f"{partition}-{int(offset) + 1}", f"{partition}-{10**17}", "99-0", "-1", "x", "1" * 200]
    ids += [f"{number}-{place}" for number in range(4) for place in range(3) if f"{number}-{place}" != own["id"]]

    answers = [await api.get(f"{letters_path(export)}/{one}") for one in ids]

    assert {(one.status_code, one.json()["error"]) for one in answers} == {(404, "buffer.deadLetterNotFound")}


async def test_cursor_of_another_partition_is_refused(api: Client, export: Export) -> None:
    answer = await api.http.get(letters_path(export), params={"after": "OTktMA"})  # 99-0

    assert (answer.status_code, answer.json()["error"]) == (400, "buffer.badRequest")


async def test_unknown_export_has_no_letters(api: Client, export: Export) -> None:
    other = dataclasses.replace(export, export_id="none")

    answers = [await api.get(letters_path(other)), await api.get(f"{letters_path(other)}/0-0")]

    assert {one.json()["error"] for one in answers} == {"buffer.exportNotFound"}


async def test_more_reads_at_once_than_there_may_be_are_refused(
    settings: Settings, emulator: Emulator, export: Export, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = threading.Event()

    def slow(*_: object) -> None:
        go_on.wait(60)

    monkeypatch.setattr("app.kafka.dead_letters.DeadLetterReader.find", slow)
    async with api_client(settings.model_copy(update={"max_kafka_reads": 2}), emulator.master_token) as api:
        calls = [asyncio.create_task(api.get(f"{letters_path(export)}/0-0")) for _ in range(3)]
        done, _ = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
        go_on.set()
        statuses = sorted(one.status_code for one in await asyncio.gather(*calls))
        again = await api.get(f"{letters_path(export)}/0-0")

    refused: httpx.Response = done.pop().result()
    assert (refused.status_code, refused.json()["error"]) == (503, "buffer.overloaded")
    assert int(refused.headers["Retry-After"]) >= 1
    assert (statuses, again.status_code) == ([404, 404, 503], 404)
