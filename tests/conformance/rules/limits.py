"""Section 1.6: how many there may be. The limits of receivers and revisions are tried in `control/test_races.py`."""

from __future__ import annotations

from .case import Ask, Case, case, column, error, export, refused, succeeds

EXPORTS = "/v1/receivers/<name>/exports"
TOO_MANY = error(
    409, "buffer.exportCountLimitReached", "Export count limit reached in the receiver, the maximum is 20."
)
_COLUMNS = [column(f"c{n}") for n in range(101)]
_101 = "must be lesser or equal than 100 but got (len=101)"

CASES: list[Case] = [
    case(
        "20 exports come with their receiver, a 21st is refused",
        succeeds("POST", "/v1/receivers", {"name": "<name>", "exports": [export(f"E{n}") for n in range(20)]}),
        Ask("POST", EXPORTS, export("E20"), 409, TOO_MANY),
        Ask("DELETE", f"{EXPORTS}/e0"),
        succeeds("POST", EXPORTS, export("E20")),
        Ask("POST", EXPORTS, export("E21"), 409, TOO_MANY),
    ),
    case(
        "21 exports do not come with their receiver",
        Ask(
            "POST", "/v1/receivers", {"name": "<name>", "exports": [export(f"E{n}") for n in range(21)]}, 409, TOO_MANY
        ),
        Ask("GET", "/v1/receivers/<name>", None, 404),
    ),
    refused(
        "101 columns",
        *("POST", "/v1/receivers/<there>/exports", export(columns=_COLUMNS), 400, "buffer.invalidLength"),
        f"Length of body.mapping.columns {_101}",
    ),
    refused(
        "101 columns on PATCH",
        *("PATCH", "/v1/receivers/<there>/exports/e", {"mapping": {"tableId": "in.c-b.t", "columns": _COLUMNS}}),
        *(400, "buffer.invalidLength", f"Length of body.mapping.columns {_101}"),
    ),
    refused(
        "101 columns of an inline export",
        *("POST", "/v1/receivers", {"name": "x", "exports": [export(), export("F", columns=_COLUMNS)]}),
        *(400, "buffer.invalidLength", f"Length of body.exports[1].mapping.columns {_101}"),
    ),
    refused(
        "body above 1 MB",
        *("POST", "/v1/receivers", b'{"name": "' + b"x" * 1_048_576 + b'"}', 413, "buffer.payloadTooLarge"),
        "Payload too large, the maximum size is 1MB.",
    ),
]
