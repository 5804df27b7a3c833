"""Real flights by both ways in while mapper and sink are killed: each is in each table once, or a dead letter."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from typing import Any

import orjson
import pytest

from app.kafka.names import Names
from app.kafka.view import ControlView
from app.local.demo.count import count_exports
from app.local.demo.flights import RECEIVER, read_flights
from app.local.demo.load import send_http, send_kafka
from app.model.receiver import entity_key

FLIGHTS = 20_000
SEED = 20_131_231
KILLS = 6


def cell(event: dict[str, Any], name: str) -> str:
    """What a template gives for a field: JSON, so texts keep their quotes."""
    return orjson.dumps(event[name]).decode()


@pytest.mark.long
async def test_flights_arrive_exactly_once_while_processes_are_killed(system: Any) -> None:
    rng = random.Random(SEED)
    flights = await asyncio.to_thread(lambda: list(read_flights(FLIGHTS)))
    await system.ready()
    receiver = await system.create_receiver(RECEIVER)
    topic = Names(system.settings.topic_prefix).events("1234", "flights")
    done = asyncio.Event()

    async def kill_at_random() -> None:
        for _ in range(KILLS):
            await asyncio.sleep(rng.uniform(0.5, 4))
            system.kill(rng.choice(["mapper", "sink"]))
            await asyncio.sleep(rng.uniform(0, 1))
            system.revive()
        done.set()

    async with asyncio.TaskGroup() as group:
        group.create_task(kill_at_random())
        for start in range(0, FLIGHTS, 2000):
            part = flights[start : start + 2000]
            await send_http(receiver["url"], part[::2], lambda _: None)
            await asyncio.to_thread(send_kafka, system.settings, topic, part[1::2], lambda _: None)
            await asyncio.sleep(rng.uniform(0, 1))

    cancelled = {flight.record for flight in flights if flight.cancelled}

    async def arrived() -> bool:
        system.revive()
        return await asyncio.to_thread(_rows, system, "departures") >= FLIGHTS and (
            await asyncio.to_thread(_rows, system, "delays") >= FLIGHTS - len(cancelled)
        )

    await system.until(arrived, "all flights are in the tables", 120)
    events = {flight.record: orjson.loads(flight.body) for flight in flights}
    _check_departures(system, events)
    _check_delays(system, events, cancelled)
    async with ControlView(system.settings) as view:
        exports = view.catalog.exports_of(view.catalog.receivers[entity_key("1234", "flights")])
        counts = await asyncio.to_thread(count_exports, system.settings, exports)
    assert counts["departures"].imported == FLIGHTS
    assert counts["delays"].imported == FLIGHTS - len(cancelled)
    assert counts["delays"].dead_letters == len(cancelled)
    assert counts["departures"].dead_letters == 0


def _rows(system: Any, table: str) -> int:
    try:
        return int(system.storage.sql(f'select count(*) from "in.c-flights"."{table}"')[0][0])
    except ValueError:
        return 0


def _check_departures(system: Any, events: dict[int, dict[str, Any]]) -> None:
    """Every column of every row against the source."""
    columns = "id, datetime, ip, body, headers, flight, route, tail_number, minutes_late"
    query = f'select {columns} from "in.c-flights".departures'
    seen: Counter[int] = Counter()
    ids = set()
    for event_id, time, ip, body, headers, flight, route, tail_number, minutes_late in system.storage.sql(query):
        event = orjson.loads(body)
        record = event["record"]
        seen[record] += 1
        ids.add(event_id)
        assert event == events[record]
        assert flight == f'"{event["carrier"]} {event["flight"]}"'
        assert route == f'"{event["origin"]}-{event["dest"]}"'
        assert tail_number == orjson.dumps(event.get("tailnum", "unknown")).decode()
        assert minutes_late == str(event.get("dep_delay", 0))
        assert len(time) == len("2026-11-23T10:00:00.000Z")
        if record % 2:
            assert ip == ""
            assert orjson.loads(headers) == {"Content-Type": "application/json", "Source": "producer"}
        else:
            assert ip == "127.0.0.1"
            assert orjson.loads(headers)["Content-Type"] == "application/json"
    assert seen == Counter(dict.fromkeys(events, 1))
    assert len(ids) == len(events)


def _check_delays(system: Any, events: dict[int, dict[str, Any]], cancelled: set[int]) -> None:
    """No key hides a second import here."""
    rows = Counter(system.storage.sql('select record, carrier, minutes from "in.c-flights".delays'))
    expected = Counter(
        (str(record), cell(event, "carrier"), cell(event, "dep_delay"))
        for record, event in events.items()
        if record not in cancelled
    )
    assert rows == expected
