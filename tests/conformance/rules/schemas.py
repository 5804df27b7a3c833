"""Section 1.3: what may be in a body, with every bound at its value and one above."""

from __future__ import annotations

from typing import Any

from .case import Ask, Case, case, code, column, export, refused, succeeds, template

RECEIVERS, EXPORTS, EXPORT = "/v1/receivers", "/v1/receivers/<there>/exports", "/v1/receivers/<there>/exports/e"
DECODE, LENGTH, MISSING = "buffer.decodePayload", "buffer.invalidLength", "buffer.missingField"
TABLE_ID = (
    'Invalid "tableId" value "{}": it must be "stage.bucket.table", stage in, out or sys, each name at most 96 '
    'characters. For example: "in.c-bucket.table".'
)


def _too_long(path: str, bound: int, value: str) -> str:
    shown = f"{value[:100]}…" if len(value) > 100 else value
    return f'Length of {path} must be lesser or equal than {bound} but got value "{shown}" (len={len(value)})'


def _empty(path: str) -> str:
    return f'Length of {path} must be greater or equal than 1 but got value "" (len=0)'


def _mapping(**others: Any) -> dict[str, Any]:
    body = export()
    return {**body, "mapping": {**body["mapping"], **others}}


def _without(body: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name not in names}


def _table(table_id: str, shown: str | None = None) -> list[Case]:
    message = TABLE_ID.format(shown or table_id)
    change = {"mapping": _mapping(tableId=table_id)["mapping"]}
    return [
        refused(f"tableId {table_id} on create", "POST", EXPORTS, _mapping(tableId=table_id), 400, BAD, message),
        refused(f"tableId {table_id} on PATCH", "PATCH", EXPORT, change, 400, BAD, message),
    ]


BAD = "buffer.badRequest"
_OWN = "/v1/receivers/<name>/exports/e"
_ODD, _EVEN = code('Body("n") % 2 == 1'), code('Body("n") % 2 == 0')
_BODY = column("body", primaryKey=False)
_RAW = column("raw", "path", primaryKey=False, path="", rawString=True)


def _shown(shown: Any, table: str = "in.c-<name>.t", **others: Any) -> dict[str, Any]:
    """The export of the case with this column."""
    mapping = {"tableId": table, "incremental": True, "columns": [shown]}
    conditions = {"count": 1000, "size": "5MB", "time": "5m0s"}
    return {"id": "e", "receiverId": "<name>", "name": "E", "mapping": mapping, "conditions": conditions, **others}


_LONG = {n: "x" * n for n in (41, 49, 4097)}

CASES: list[Case] = [
    case(
        "receiver with everything at its bound",
        succeeds(
            *("POST", RECEIVERS, {"id": "<name>" + "i" * 37, "name": "é" * 40, "description": "d" * 4096}),
            outputs={"receiverId": "<name>" + "i" * 37},
        ),
        Ask("PATCH", "/v1/receivers/<name>" + "i" * 37, {"name": "日" * 40, "description": "é" * 4096}),
    ),
    case(
        "export with everything at its bound",
        succeeds("POST", RECEIVERS, {"name": "<name>"}),
        succeeds(
            "POST",
            "/v1/receivers/<name>/exports",
            {
                "id": "i" * 48,
                "name": "n" * 40,
                "mapping": {
                    "tableId": f"in.c-<name>{'b' * 83}.{'t' * 96}",
                    "columns": [template("c0", "1" + " " * 4095), *(column(f"c{n}") for n in range(1, 100))],
                },
                "conditions": {"count": 10_000_000, "size": "50MB", "time": "24h"},
            },
            outputs={"receiverId": "<name>", "exportId": "i" * 48},
        ),
    ),
    case(
        "every type of column",
        succeeds("POST", RECEIVERS, {"name": "<name>"}),
        succeeds(
            "POST",
            "/v1/receivers/<name>/exports",
            export(
                columns=[
                    *(column(type, type) for type in ("id", "datetime", "ip", "body", "headers")),
                    template("template", "Body()"),
                    column("path", "path", path="a.b", defaultValue="d", rawString=True),
                ]
            ),
        ),
    ),
    case(
        "null is like a field that is not there",
        succeeds(
            "POST",
            RECEIVERS,
            {
                "id": None,
                "name": "<name>",
                "description": None,
                "exports": [
                    {
                        "id": None,
                        "name": "E",
                        "mapping": {
                            "tableId": "in.c-<name>.t",
                            "incremental": None,
                            "columns": [column("body", primaryKey=None, template=None)],
                        },
                        "conditions": None,
                    }
                ],
            },
        ),
        Ask("PATCH", "/v1/receivers/<name>", {"name": None, "description": None}),
        succeeds("PATCH", "/v1/receivers/<name>/exports/e", {"name": None, "mapping": None, "conditions": None}),
        succeeds("POST", RECEIVERS, {"name": "<name>-2", "exports": None}),
    ),
    case(
        "filter is shown, kept by a new mapping, changed alone and removed by null",
        succeeds("POST", RECEIVERS, {"name": "<name>", "exports": [export(filter=_ODD)]}),
        Ask("GET", _OWN, None, 200, _shown(_BODY, filter=_ODD)),
        succeeds("PATCH", _OWN, {"mapping": {"tableId": "in.c-<name>.u", "columns": [_RAW]}}),
        Ask("GET", _OWN, None, 200, _shown(_RAW, "in.c-<name>.u", filter=_ODD)),
        succeeds("PATCH", _OWN, {"filter": _EVEN}),
        Ask("GET", _OWN, None, 200, _shown(_RAW, "in.c-<name>.u", filter=_EVEN)),
        succeeds("PATCH", _OWN, {"filter": None}),
        Ask("GET", _OWN, None, 200, _shown(_RAW, "in.c-<name>.u")),
    ),
    *(
        refused(f"filter that is no template, {method}", method, path, body, 400, BAD, message)
        for method, path, body in (
            ("POST", RECEIVERS, {"name": "x", "exports": [export(filter=code("nix"))]}),
            ("POST", EXPORTS, export(filter=code("nix"))),
            ("PATCH", EXPORT, {"filter": code("nix")}),
        )
        for message in ("Filter is invalid: 1:1-4 Unknown variable: nix.",)
    ),
    refused(
        "path column without a path",
        *("POST", EXPORTS, export(columns=[column("c", "path")]), 400, BAD, 'Column "c" is missing path.'),
    ),
    refused(
        "rawString of a column that has no value of its own",
        *("PATCH", EXPORT, {"mapping": _mapping(columns=[column("c", "id", rawString=True)])["mapping"]}, 400, BAD),
        'Column "c" has rawString, which only the types "template" and "path" may have.',
    ),
    refused(
        "name of a receiver is null", "POST", RECEIVERS, {"name": None}, 400, MISSING, '"name" is missing from body.'
    ),
    refused("name of a receiver is missing", "POST", RECEIVERS, {}, 400, MISSING, '"name" is missing from body.'),
    refused(
        "name and mapping of an inline export are missing",
        *("POST", RECEIVERS, {"name": "x", "exports": [{}]}, 400, MISSING),
        '"name" is missing from body.exports[0]; "mapping" is missing from body.exports[0]',
    ),
    refused(
        "tableId and columns are missing",
        *("POST", EXPORTS, {"name": "x", "mapping": {}}, 400, MISSING),
        '"tableId" is missing from body.mapping; "columns" is missing from body.mapping.',
    ),
    refused(
        "name and type of a column are missing",
        *("POST", EXPORTS, export(columns=[column("a"), {}]), 400, MISSING),
        '"name" is missing from body.mapping.columns[1]; "type" is missing from body.mapping.columns[1]',
    ),
    refused(
        "language and content of a template are missing",
        *("POST", EXPORTS, export(columns=[column("a", "template", template={})]), 400, MISSING),
        '"language" is missing from body.mapping.columns[0].template; '
        '"content" is missing from body.mapping.columns[0].template.',
    ),
    refused(
        "long receiver id",
        "POST",
        RECEIVERS,
        {"id": _LONG[49], "name": "x"},
        400,
        LENGTH,
        _too_long("body.id", 48, _LONG[49]),
    ),
    refused("empty receiver id", "POST", RECEIVERS, {"id": "", "name": "x"}, 400, LENGTH, _empty("body.id")),
    refused(
        "long receiver name", "POST", RECEIVERS, {"name": _LONG[41]}, 400, LENGTH, _too_long("body.name", 40, _LONG[41])
    ),
    refused("empty receiver name", "POST", RECEIVERS, {"name": ""}, 400, LENGTH, _empty("body.name")),
    refused(
        "long description",
        *("POST", RECEIVERS, {"name": "x", "description": _LONG[4097]}, 400, LENGTH),
        _too_long("body.description", 4096, _LONG[4097]),
    ),
    refused(
        "long name on PATCH of a receiver",
        "PATCH",
        "/v1/receivers/<there>",
        {"name": _LONG[41]},
        400,
        LENGTH,
        _too_long("body.name", 40, _LONG[41]),
    ),
    refused(
        "long description on PATCH",
        *("PATCH", "/v1/receivers/<there>", {"description": _LONG[4097]}, 400, LENGTH),
        _too_long("body.description", 4096, _LONG[4097]),
    ),
    refused(
        "long export id",
        "POST",
        EXPORTS,
        {**export(), "id": _LONG[49]},
        400,
        LENGTH,
        _too_long("body.id", 48, _LONG[49]),
    ),
    refused("long export name", "POST", EXPORTS, export(_LONG[41]), 400, LENGTH, _too_long("body.name", 40, _LONG[41])),
    refused("empty export name", "POST", EXPORTS, export(""), 400, LENGTH, _empty("body.name")),
    refused(
        "long export name on PATCH",
        "PATCH",
        EXPORT,
        {"name": _LONG[41]},
        400,
        LENGTH,
        _too_long("body.name", 40, _LONG[41]),
    ),
    refused(
        "long name of an inline export",
        *("POST", RECEIVERS, {"name": "x", "exports": [export(), export(_LONG[41])]}, 400, LENGTH),
        _too_long("body.exports[1].name", 40, _LONG[41]),
    ),
    refused(
        "empty column name",
        "POST",
        EXPORTS,
        export(columns=[column("")]),
        400,
        LENGTH,
        _empty("body.mapping.columns[0].name"),
    ),
    refused(
        "long template",
        *("POST", EXPORTS, export(columns=[template("c", _LONG[4097])]), 400, LENGTH),
        _too_long("body.mapping.columns[0].template.content", 4096, _LONG[4097]),
    ),
    refused(
        "empty template",
        *("POST", EXPORTS, export(columns=[template("c", "")]), 400, LENGTH),
        _empty("body.mapping.columns[0].template.content"),
    ),
    refused(
        "no columns",
        *("POST", EXPORTS, export(columns=[]), 400, LENGTH),
        "Length of body.mapping.columns must be greater or equal than 1 but got (len=0)",
    ),
    refused(
        "unknown type of column",
        *("POST", EXPORTS, export(columns=[column("c", "uuid")]), 400, "buffer.invalidEnumValue"),
        'Value of body.mapping.columns[0].type must be one of "id", "datetime", "ip", "body", "headers", "template", '
        '"path" but got value "uuid".',
    ),
    refused(
        "unknown type of column on PATCH",
        *("PATCH", EXPORT, {"mapping": {"tableId": "in.c-b.t", "columns": [column("c", "uuid")]}}),
        *(400, "buffer.invalidEnumValue"),
        'Value of body.mapping.columns[0].type must be one of "id", "datetime", "ip", "body", "headers", "template", '
        '"path" but got value "uuid".',
    ),
    refused(
        "unknown language of a template",
        *("POST", EXPORTS, export(columns=[column("c", "template", template={"language": "lua", "content": "1"})])),
        *(400, "buffer.invalidEnumValue"),
        'Value of body.mapping.columns[0].template.language must be one of "jsonnet" but got value "lua".',
    ),
    *(
        refused(f"{id} of a wrong JSON type", "POST", path, body, 400, DECODE, message)
        for id, path, body, message in (
            ("body", RECEIVERS, [], 'Body must be an object but got value "list".'),
            ("name", RECEIVERS, {"name": 1}, "Body.name must be a string but got value 1."),
            ("exports", RECEIVERS, {"name": "x", "exports": {}}, 'Body.exports must be an array but got value "dict".'),
            ("export", RECEIVERS, {"name": "x", "exports": [1]}, "Body.exports[0] must be an object but got value 1."),
            (
                "incremental",
                EXPORTS,
                _mapping(incremental="yes"),
                'Body.mapping.incremental must be true or false but got value "yes".',
            ),
            (
                "primaryKey",
                EXPORTS,
                export(columns=[column("a", primaryKey=1)]),
                "Body.mapping.columns[0].primaryKey must be true or false but got value 1.",
            ),
            (
                "count",
                EXPORTS,
                export(conditions={"count": "1"}),
                'Body.conditions.count must be an integer but got value "1".',
            ),
            ("size", EXPORTS, export(conditions={"size": 1}), "Body.conditions.size must be a string but got value 1."),
        )
    ),
    *_table("in.table"),
    *_table("table"),
    *_table("in.c-bucket.table.more"),
    *_table("my.c-bucket.table"),
    *_table("in..table"),
    *_table(f"in.c-b.{'t' * 97}", f"in.c-b.{'t' * 93}…"),
    *_table(f"in.{'b' * 97}.t", f"in.{'b' * 97}…"),
]
