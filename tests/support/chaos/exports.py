"""The receivers and exports of a chaos run, the events that are sent to them, and what has to become of each event.

Events are made from their id alone, so what a row or a letter must look like is known without keeping it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import orjson

BUCKET = "in.c-chaos"
_FAILING, _KEPT = 7, 3
"""Each so many-th event fails, is kept by the filter."""
COUNTED = {"count": 40, "size": "50MB", "time": "20s"}
SMALL = {"count": 15, "size": "50MB", "time": "4s"}
SIZED = {"count": 1_000_000, "size": "16KB", "time": "15s"}
TIMED = {"count": 1_000_000, "size": "50MB", "time": "2s"}
SLOW = {"count": 1_000_000, "size": "50MB", "time": "25s"}


class Fate(StrEnum):
    """What an export makes of an event."""

    ROW = "row"
    LETTER = "dead letter"
    NOTHING = "nothing"


def event_body(event_id: str, number: int) -> bytes:
    """The event of this id; `number` decides what exports make of it."""
    body: dict[str, Any] = {"id": event_id, "number": number, "keep": number % _KEPT == 0, "text": f'"{number}", ě'}
    if number % _FAILING:
        body["value"] = number * 1.5
    return orjson.dumps(body)


@dataclass(frozen=True)
class Shape:
    """One export: its API payload without the name, and the fate of the event with a number."""

    receiver: str
    name: str
    conditions: dict[str, Any]
    columns: tuple[dict[str, Any], ...] = ()
    filter: str | None = None
    fate: Callable[[int], Fate] = lambda number: Fate.ROW

    @property
    def table(self) -> str:
        return f"{self.receiver}-{self.name}"

    def payload(self, *more: dict[str, Any]) -> dict[str, Any]:
        """As the API takes it, with these columns behind its own. The first one is always the body."""
        columns = [{"name": "body", "type": "body"}, *self.columns, *more]
        payload: dict[str, Any] = {
            "id": self.name,
            "name": self.name,
            "mapping": {"tableId": f"{BUCKET}.{self.table}", "incremental": True, "columns": columns},
            "conditions": self.conditions,
        }
        if self.filter is not None:
            payload["filter"] = _jsonnet(self.filter)
        return payload


def template(name: str, content: str) -> dict[str, Any]:
    return {"name": name, "type": "template", "template": _jsonnet(content)}


def label(number: int) -> dict[str, Any]:
    """The column of the export that changes: by it a row tells its mapping."""
    return template("label", f'"{number}"')


def _jsonnet(content: str) -> dict[str, str]:
    return {"language": "jsonnet", "content": content}


def _failing(number: int) -> Fate:
    return Fate.ROW if number % _FAILING else Fate.LETTER


def _filtered(number: int) -> Fate:
    return Fate.NOTHING if number % _KEPT else _failing(number)


CHANGING = Shape("beta", "changing", COUNTED)
SHAPES = (
    Shape("alpha", "counted", COUNTED, ({"name": "id", "type": "id"}, {"name": "at", "type": "datetime"})),
    Shape("alpha", "timed", TIMED, (template("text", 'Body("text") + "/" + Ip()'),)),
    Shape("alpha", "failing", SIZED, (template("value", 'Body("value") * 2'),), fate=_failing),
    Shape("alpha", "filtered", SLOW, ({"name": "value", "type": "path", "path": "value"},), 'Body("keep")', _filtered),
    Shape("beta", "small", SMALL, ({"name": "number", "type": "path", "path": "number"},)),
    CHANGING,
)
RECEIVERS = ("alpha", "beta")
