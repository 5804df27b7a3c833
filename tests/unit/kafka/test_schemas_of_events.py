"""Looking schemas up: what is remembered, what is believed, and who waits while the registry is away."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from app.kafka import schemas as module
from app.kafka.schemas import LOOKS, Schemas, SchemasMissing
from app.model.errors import RegistryUnavailable
from app.model.event import EventBatch
from app.model.schema import NoSchema, Schema, SchemaKind

JSON = Schema(SchemaKind.JSON)
UNKNOWN = NoSchema("no such schema")


class Source:
    """A registry that is told what to answer; `asked` counts the questions about each id."""

    def __init__(self, known: dict[int, Schema]) -> None:
        self.known = known
        self.away = self.hanging = False
        self.asked: Counter[int] = Counter()
        self.news = asyncio.Event()

    async def fetch(self, schema_id: int) -> Schema | NoSchema:
        self.asked[schema_id] += 1
        self.news.set()
        await asyncio.sleep(0)
        if self.hanging:
            await asyncio.Event().wait()
        if self.away:
            raise RegistryUnavailable("away")
        return self.known.get(schema_id, UNKNOWN)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LOOK_AGAIN_SECONDS", 0.02)
    monkeypatch.setattr(module, "_FIRST_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(module, "_LAST_PAUSE_SECONDS", 0.02)


def batch(*ids: int) -> EventBatch:
    bodies = [b"\0" + number.to_bytes(4, "big") for number in ids]
    count = len(ids)
    return EventBatch(list(range(count)), [0] * count, [""] * count, [""] * count, bodies, [[]] * count)


async def test_batch_gets_the_schemas_that_it_needs_each_asked_for_once() -> None:
    source = Source({1: JSON, 2: JSON})
    schemas = Schemas(source, patience_seconds=60)

    found = await asyncio.gather(*(schemas.attach(batch(1, 2, 1)) for _ in range(3)))

    assert [(one.schema_ids, one.schemas) for one in found] == [([1, 2, 1], {1: JSON, 2: JSON})] * 3
    assert source.asked == {1: 1, 2: 1}


async def test_without_a_registry_a_batch_is_as_it_is() -> None:
    given = batch(1)

    assert await Schemas(None).attach(given) is given


async def test_id_that_is_not_found_is_looked_for_again_before_it_is_believed() -> None:
    source = Source({})

    found = await Schemas(source, patience_seconds=60).attach(batch(1))

    assert found.schemas == {1: UNKNOWN}
    assert source.asked == {1: LOOKS}


async def test_schema_that_shows_a_moment_later_is_found() -> None:
    source = Source({})
    looking = asyncio.create_task(Schemas(source, patience_seconds=60).attach(batch(1)))
    await asyncio.wait_for(source.news.wait(), 30)

    source.known[1] = JSON

    assert (await looking).schemas == {1: JSON}


async def test_unknown_id_is_looked_for_again_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    source = Source({})
    schemas = Schemas(source, patience_seconds=60)
    await schemas.attach(batch(1))
    monkeypatch.setattr(module, "_UNKNOWN_SECONDS", 0.0)

    source.known[1] = JSON

    assert (await schemas.attach(batch(1))).schemas == {1: JSON}


async def test_registry_that_is_away_is_nothing_to_draw_conclusions_from() -> None:
    source = Source({1: JSON})
    source.away = True
    schemas = Schemas(source, patience_seconds=60)

    with pytest.raises(SchemasMissing, match="away"):
        await schemas.attach(batch(1))

    source.away = False
    await schemas.until_found([1])
    assert (await schemas.attach(batch(1))).schemas == {1: JSON}


async def test_schema_that_is_remembered_needs_no_registry() -> None:
    source = Source({1: JSON})
    schemas = Schemas(source, patience_seconds=60)
    await schemas.attach(batch(1))
    source.away = True
    with pytest.raises(SchemasMissing):
        await schemas.attach(batch(2))

    assert (await schemas.attach(batch(1))).schemas == {1: JSON}


async def test_only_the_first_waits_for_a_registry_that_does_not_answer() -> None:
    source = Source({})
    source.hanging = True
    schemas = Schemas(source, patience_seconds=0.2)
    with pytest.raises(SchemasMissing):
        await schemas.attach(batch(1))
    await asyncio.gather(*schemas._asking.values(), return_exceptions=True)
    schemas._down_until = 0.0  # it may be asked again
    schemas._patience = 3600  # whoever waited now would wait for ever

    with pytest.raises(SchemasMissing, match="does not answer"):
        await asyncio.wait_for(schemas.attach(batch(2)), 30)

    await schemas.close()


async def test_least_used_schemas_are_forgotten_where_they_come_to_too_much() -> None:
    source = Source({number: Schema(SchemaKind.AVRO, (b"x" * 1000,)) for number in range(4)})
    schemas = Schemas(source, cache_bytes=4000)
    for number in (0, 1, 0, 2):
        await schemas.find([number])

    await schemas.find([0])
    await schemas.find([1])

    assert source.asked == {0: 1, 1: 2, 2: 1}
