"""Dead letters over the API, from a real topic that other exports' letters are in too."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from buffer_stack import Client, api_client, export_body, export_of
from letters import letter, publish

from app.kafka.client import partition_of_key
from app.kafka.dead_letters import letter_key
from app.local.storage import Emulator
from app.model.dead_letter import DeadLetter
from app.model.event import Reason
from app.model.receiver import Export
from app.settings import Settings


@pytest.fixture
async def export(api: Client, name: str) -> Export:
    await api.create("/v1/receivers", {"name": name, "exports": [export_body("E", f"in.c-{name}.t")]})
    return export_of(api, name, "e")


@pytest.fixture
def neighbour(export: Export, settings: Settings) -> Export:
    """Of another project, in the same partition."""

    def partition(of: Export) -> int:
        key = letter_key(of.project_id, of.receiver_id, of.export_id)
        return partition_of_key(key, settings.dead_letter_partitions)

    others = (dataclasses.replace(export, project_id="9", uid="other", export_id=f"e{i}") for i in range(1000))
    return next(other for other in others if partition(other) == partition(export))


def letters_path(export: Export) -> str:
    return f"/v1/receivers/{export.receiver_id}/exports/{export.export_id}/dead-letters"


async def ask(api: Client, export: Export, **query: Any) -> dict[str, Any]:
    answer = await api.http.get(letters_path(export), params=query)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def pages(api: Client, export: Export, **query: Any) -> list[list[int]]:
    """Source offsets of the letters of all pages."""
    found = []
    while True:
        answer = await ask(api, export, **query)
        found.append([one["source"]["offset"] for one in answer["deadLetters"]])
        if "after" not in answer["page"]:
            return found
        query["after"] = answer["page"]["after"]


async def write(settings: Settings, *transactions: list[DeadLetter]) -> None:
    await asyncio.to_thread(publish, settings, *transactions)


async def test_letter_is_shown_with_its_event(api: Client, settings: Settings, export: Export) -> None:
    await write(settings, [letter(export, 17)])

    (shown,) = (await ask(api, export))["deadLetters"]

    published, letter_id = shown.pop("publishedAt"), shown.pop("id")
    assert shown == {
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
    alone = (await api.get(f"{letters_path(export)}/{letter_id}")).json()
    assert alone == {**shown, "publishedAt": published, "id": letter_id}


async def test_pages_have_each_letter_once_newest_first_and_none_of_others(
    api: Client, settings: Settings, export: Export, neighbour: Export
) -> None:
    mixed = [[letter(export, number), letter(neighbour, number)] for number in range(25)]
    await write(settings, *mixed, [letter(neighbour, number) for number in range(100, 400)])

    found = await pages(api, export, limit=10)

    assert [len(page) for page in found if page] == [10, 10, 5]
    assert [number for page in found for number in page] == list(reversed(range(25)))


async def test_export_made_again_does_not_show_its_predecessors_letters(
    api: Client, settings: Settings, export: Export
) -> None:
    await write(settings, [letter(dataclasses.replace(export, uid="before"), 1)], [letter(export, 2)])

    assert await pages(api, export) == [[2]]


async def test_letters_are_chosen_by_reason_and_time(api: Client, settings: Settings, export: Export) -> None:
    await write(settings, [letter(export, 1), letter(export, 2, reason=Reason.BODY_INVALID, column=None)])
    (first, second) = (await ask(api, export))["deadLetters"]
    moment = first["publishedAt"]

    by_reason = await pages(api, export, reason="body.invalid")
    since, until = await pages(api, export, since=moment), await pages(api, export, until=second["publishedAt"])
    never = await pages(api, export, since="2999-01-01")

    assert (by_reason, since[0][:1], until, never) == ([[2]], [2], [[]], [[]])


async def test_long_body_is_cut_in_the_list_and_whole_alone(api: Client, settings: Settings, export: Export) -> None:
    body = ("é" * 600_000).encode()
    await write(settings, [letter(export, 1, body=body)])

    (listed,) = (await ask(api, export))["deadLetters"]
    alone = (await api.get(f"{letters_path(export)}/{listed['id']}")).json()

    assert listed["event"]["body"] == "é" * 512
    assert (listed["event"]["bodySize"], listed["event"]["bodyTruncated"]) == (1_200_000, True)
    assert (alone["event"]["body"].encode(), alone["event"]["bodyTruncated"]) == (body, False)


async def test_letters_too_large_for_one_block_are_all_found(api: Client, settings: Settings, export: Export) -> None:
    small = [[letter(export, number) for number in range(200, 220)]]
    large = [[letter(export, number, body=bytes(2 << 20))] for number in range(12)]
    await write(settings, *large, *small)

    found = [number for page in await pages(api, export) for number in page]

    assert found == [*reversed(range(200, 220)), *reversed(range(12))]


@pytest.mark.parametrize("bound", [{"dead_letter_read_records": 20}, {"dead_letter_read_bytes": 1 << 20}])
async def test_page_ends_at_the_bound_and_the_next_goes_on(
    settings: Settings, emulator: Emulator, export: Export, neighbour: Export, bound: dict[str, int]
) -> None:
    body = b"x" * 20_000
    others = [letter(neighbour, number, body=body) for number in range(150)]
    await write(settings, [letter(export, 1)], others, [letter(export, 2)])

    async with api_client(settings.model_copy(update=bound), emulator.master_token) as api:
        first, *more = await pages(api, export)

    assert (first, sum(more, [])) == ([2], [1])


async def test_letter_of_another_export_or_none_is_not_found(
    api: Client, settings: Settings, export: Export, neighbour: Export
) -> None:
    await write(settings, [letter(export, 1)], [letter(neighbour, 2)])
    (own,) = (await ask(api, export))["deadLetters"]
    partition, _, offset = own["id"].partition("-")
    ids = [f"{partition}-{int(offset) + 2}", f"{partition}-{int(offset) + 1}", f"{partition}-{10**17}"]
    ids += [f"{(int(partition) + 1) % 4}-{offset}", "99-0", "-1", "x"]

    answers = [await api.get(f"{letters_path(export)}/{one}") for one in ids]

    assert {(one.status_code, one.json()["error"]) for one in answers} == {(404, "buffer.deadLetterNotFound")}


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ({"reason": "no.such"}, "buffer.invalidEnumValue"),
        ({"since": "yesterday"}, "buffer.badRequest"),
        ({"until": "2026-13-01"}, "buffer.badRequest"),
        ({"limit": 0}, "buffer.invalidRange"),
        ({"limit": 101}, "buffer.invalidRange"),
        ({"after": "!"}, "buffer.badRequest"),
        ({"after": "OTktMA"}, "buffer.badRequest"),  # of partition 99
    ],
)
async def test_query_that_makes_no_sense_is_refused(
    api: Client, export: Export, query: dict[str, Any], name: str
) -> None:
    answer = await api.http.get(letters_path(export), params=query)

    assert (answer.status_code, answer.json()["error"]) == (400, name)


async def test_unknown_export_is_not_found(api: Client, export: Export) -> None:
    other = dataclasses.replace(export, export_id="none")

    answers = [await api.get(letters_path(other)), await api.get(f"{letters_path(other)}/0-0")]

    assert {one.json()["error"] for one in answers} == {"buffer.exportNotFound"}


async def test_more_reads_at_once_than_there_may_be_are_refused(
    settings: Settings, emulator: Emulator, export: Export, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = threading.Event()
    held: Callable[..., None] = lambda *_: go_on.wait(30) and None  # noqa: E731
    monkeypatch.setattr("app.kafka.dead_letters.DeadLetterReader.find", held)

    async with api_client(settings.model_copy(update={"max_dead_letter_reads": 2}), emulator.master_token) as api:
        calls = [asyncio.create_task(api.get(f"{letters_path(export)}/0-0")) for _ in range(3)]
        done, _ = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
        go_on.set()
        statuses = sorted(one.status_code for one in await asyncio.gather(*calls))
        again = await api.get(f"{letters_path(export)}/0-0")

    refused: httpx.Response = done.pop().result()
    assert (refused.status_code, refused.json()["error"]) == (503, "buffer.overloaded")
    assert int(refused.headers["Retry-After"]) >= 1
    assert (statuses, again.status_code) == ([404, 404, 503], 404)
