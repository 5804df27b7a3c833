"""Section 1.5: the grammar of conditions, their echo, defaults, bounds. Valid ones are tried on one export by PATCH."""

from __future__ import annotations

from typing import Any

from .case import Ask, Case, case, export, refused, succeeds

EXPORTS, EXPORT = "/v1/receivers/<there>/exports", "/v1/receivers/<there>/exports/e"
CHANGING = "/v1/receivers/<changing>/exports/e"
DEFAULT = {"count": 1000, "size": "5MB", "time": "5m0s"}
SIZES = {
    "100B": "100B",
    "100": "100B",
    "456b": "456B",
    "1k": "1KB",
    "1K": "1KB",
    "100kB": "100KB",
    "100KB": "100KB",
    "2kb": "2KB",
    "1024": "1KB",
    "1025B": "1025B",
    "5m": "5MB",
    "5MB": "5MB",
    "5mb": "5MB",
    "1024KB": "1MB",
    "50MB": "50MB",
    "52428800": "50MB",
}
TIMES = {
    "30s": "30s",
    "90s": "1m30s",
    "1m30s": "1m30s",
    "100s": "1m40s",
    "5m": "5m0s",
    "300s": "5m0s",
    "1.5h": "1h30m0s",
    "1h0m30s": "1h0m30s",
    "30000ms": "30s",
    "30.5s": "30.5s",
    "24h": "24h0m0s",
    "1440m": "24h0m0s",
}
NO_SIZES = ("", "MB", "5Mb", "5Kb", "1.5MB", "-1B", "5 apples", "5MiB")
NO_TIMES = ("", "30", "s", "1d", "1m 30s", "5 m", "5M", "1w")
OUT_OF_BOUNDS: tuple[tuple[dict[str, Any], str], ...] = (
    ({"size": "99B"}, '"size" must be 100B or greater'),
    ({"size": "0"}, '"size" must be 100B or greater'),
    ({"size": "52428801"}, '"size" must be 50MB or less'),
    ({"size": "1GB"}, '"size" must be 50MB or less'),
    ({"time": "29s"}, '"time" must be 30s or greater'),
    ({"time": "29999ms"}, '"time" must be 30s or greater'),
    ({"time": "0s"}, '"time" must be 30s or greater'),
    ({"time": "24h0m1s"}, '"time" must be 24h0m0s or less'),
    ({"time": "25h"}, '"time" must be 24h0m0s or less'),
)
COUNTS = (
    (0, "greater or equal than 1"),
    (-5, "greater or equal than 1"),
    (10_000_001, "lesser or equal than 10000000"),
)


def _echoed(given: dict[str, Any], **echoed: Any) -> Case:
    return case(
        f"{given} is {echoed}",
        succeeds("PATCH", CHANGING, {"conditions": given}),
        Ask("GET", CHANGING, None, 200, {**CHANGED, "conditions": {**DEFAULT, **echoed}}),
    )


CHANGED = {
    "id": "e",
    "receiverId": "<changing>",
    "name": "E",
    "mapping": {
        "tableId": "in.c-<changing>.t",
        "incremental": True,
        "columns": [{"primaryKey": False, "name": "body", "type": "body"}],
    },
}


def _both(id: str, conditions: dict[str, Any], name: str, message: str) -> list[Case]:
    """The same on create and on PATCH."""
    return [
        refused(f"{id} on create", "POST", EXPORTS, export(conditions=conditions), 400, name, message),
        refused(f"{id} on PATCH", "PATCH", EXPORT, {"conditions": conditions}, 400, name, message),
    ]


def _no_size(text: str) -> str:
    return (
        f'Invalid conditions: value "{text}" is not valid buffer size in bytes. Allowed units: B, kB, MB. '
        'For example: "5MB".'
    )


def _no_time(text: str) -> str:
    return f'Invalid conditions: value "{text}" is not valid time duration. Allowed units: s, m, h. For example: "30s".'


CASES: list[Case] = [
    *(_echoed({"size": given}, size=echoed) for given, echoed in SIZES.items()),
    *(_echoed({"time": given}, time=echoed) for given, echoed in TIMES.items()),
    *(_echoed({"count": count}, count=count) for count in (1, 10_000_000)),
    _echoed({}),
    _echoed({"count": None, "size": None, "time": "45s"}, time="45s"),
    _echoed({"count": 2, "size": "1kB", "time": "1m"}, count=2, size="1KB", time="1m0s"),
    case(
        "conditions that are not given take their defaults on create",
        succeeds(
            "POST",
            "/v1/receivers",
            {"name": "<name>", "exports": [export(), export("F", conditions={"time": "90s", "size": "100kB"})]},
        ),
        Ask(
            "GET",
            "/v1/receivers/<name>/exports/f",
            None,
            200,
            {
                "id": "f",
                "receiverId": "<name>",
                "name": "F",
                "mapping": {
                    "tableId": "in.c-<name>.t",
                    "incremental": True,
                    "columns": [{"primaryKey": False, "name": "body", "type": "body"}],
                },
                "conditions": {"count": 1000, "size": "100KB", "time": "1m30s"},
            },
        ),
    ),
    *(one for text in NO_SIZES for one in _both(f"size {text!r}", {"size": text}, "buffer.badRequest", _no_size(text))),
    *(one for text in NO_TIMES for one in _both(f"time {text!r}", {"time": text}, "buffer.badRequest", _no_time(text))),
    *(
        one
        for conditions, message in OUT_OF_BOUNDS
        for one in _both(str(conditions), conditions, "buffer.badRequest", f"Invalid conditions: {message}.")
    ),
    *(
        one
        for count, bound in COUNTS
        for one in _both(
            f"count {count}",
            {"count": count},
            "buffer.invalidRange",
            f"Body.conditions.count must be {bound} but got value {count}.",
        )
    ),
    refused(
        "count of an inline export",
        *("POST", "/v1/receivers", {"name": "x", "exports": [export(), export("F", conditions={"count": 0})]}),
        *(400, "buffer.invalidRange"),
        "Body.exports[1].conditions.count must be greater or equal than 1 but got value 0.",
    ),
    *_both(
        "each of three conditions is told",
        {"count": 0, "size": "1B", "time": "soon"},
        "buffer.invalidRange",
        "Body.conditions.count must be greater or equal than 1 but got value 0; "
        'Invalid conditions: "size" must be 100B or greater; ' + _no_time("soon"),
    ),
]
