"""Section 1.8: names and messages of errors, several of one payload together, templates that do not parse."""

from __future__ import annotations

from typing import Any

from .case import Ask, Case, Like, case, column, error, export, refused, succeeds, template

RECEIVERS, EXPORTS, EXPORT = "/v1/receivers", "/v1/receivers/<there>/exports", "/v1/receivers/<there>/exports/e"
BAD = "buffer.badRequest"
SECRET = "s" * 48
TEMPLATES = {
    "invalid": "1:1-8 Unknown variable: invalid.",
    "Body('a') +\n  nothing": "2:3-10 Unknown variable: nothing.",
    "{a: }": "",
    "Body('a'": "",
    "local x = 1;\n\nx x": "",
    "import 'a.libsonnet'": "1:1-7 Imports are not allowed.",
}


def _mapping(*columns: Any, table: str = "in.c-b.t") -> dict[str, Any]:
    return {"mapping": {"tableId": table, "columns": list(columns)}}


def _not_found(what: str, id: str) -> tuple[int, str, str]:
    where = {"receiver": "project", "export": "receiver"}[what]
    return 404, f"buffer.{what}NotFound", f'{what.capitalize()} "{id}" not found in the {where}.'


def _template(source: str, message: str) -> list[Case]:
    """The same on create, inline and on PATCH; where the words are the engine's, line and columns are looked at."""
    text = (
        f'Column "c" template is invalid: {message}'
        if message
        else Like(r'Column "c" template is invalid: \d+:\d+(-\d+)? .+\.')
    )
    column = template("c", source)
    answer = {**error(400, BAD, ""), "message": text}
    return [
        case(f"template {source!r} on create", Ask("POST", EXPORTS, export(columns=[column]), 400, answer)),
        case(
            f"template {source!r} inline",
            Ask("POST", RECEIVERS, {"name": "x", "exports": [export(columns=[column])]}, 400, answer),
        ),
        case(f"template {source!r} on PATCH", Ask("PATCH", EXPORT, _mapping(column), 400, answer)),
    ]


CASES: list[Case] = [
    *(
        refused(
            f"{method} of an unknown receiver {path}",
            method,
            f"/v1/receivers/nobody{path}",
            body,
            *_not_found("receiver", "nobody"),
        )
        for method, path, body in (
            ("GET", "", None),
            ("PATCH", "", {"name": "x"}),
            ("DELETE", "", None),
            ("POST", "/tokens/refresh", None),
            ("GET", "/exports", None),
            ("POST", "/exports", export()),
            ("GET", "/exports/e", None),
            ("PATCH", "/exports/e", {"name": "x"}),
            ("DELETE", "/exports/e", None),
        )
    ),
    *(
        refused(f"{method} of an unknown export", method, f"{EXPORTS}/nix", body, *_not_found("export", "nix"))
        for method, body in (("GET", None), ("PATCH", {"name": "x"}), ("DELETE", None))
    ),
    refused(
        "event for an unknown receiver",
        *("POST", f"/v1/import/<project>/nobody/{SECRET}", b"{}", *_not_found("receiver", "nobody")),
        token=False,
    ),
    *(
        refused(
            f"event with {what}",
            *("POST", f"/v1/import/<project>/<there>/{secret}", b"{}", 404, "buffer.receiverNotFound"),
            'Receiver "<there>" with given secret not found.',
            token=False,
        )
        for what, secret in (("another secret", SECRET), ("a secret of another length", "x"))
    ),
    refused(
        "event for a project that is no number",
        *("POST", f"/v1/import/x/<there>/{SECRET}", b"{}", *_not_found("receiver", "<there>")),
        token=False,
    ),
    refused(
        "receiver exists already",
        *("POST", RECEIVERS, {"name": "There"}, 409, "buffer.receiverAlreadyExists"),
        'Receiver "<there>" already exists in the project.',
    ),
    refused(
        "export exists already",
        *("POST", EXPORTS, export("e"), 409, "buffer.exportAlreadyExists"),
        'Export "e" already exists in the receiver.',
    ),
    case(
        "receiver may be made again after it was deleted",
        succeeds("POST", RECEIVERS, {"name": "<name>"}),
        Ask("DELETE", "/v1/receivers/<name>"),
        succeeds("POST", RECEIVERS, {"name": "<name>"}),
    ),
    case(
        "full load shares its table with no other export",
        succeeds("POST", RECEIVERS, {"name": "<name>"}),
        succeeds(
            "POST",
            "/v1/receivers/<name>/exports",
            {"name": "Whole", "mapping": {"tableId": "in.c-<name>.t", "incremental": False, "columns": [column("a")]}},
        ),
        Ask(
            *("POST", "/v1/receivers/<name>/exports", export(), 409),
            error(
                409,
                "buffer.tableInUse",
                'Table "in.c-<name>.t" is the target of the export "<name>/whole"; exports share a table only when all '
                'of them are incremental ("incremental": true).',
            ),
        ),
    ),
    *(
        case(
            f"body {body!r} is no JSON", Ask("POST", RECEIVERS, body, 400, {**error(400, name, ""), "message": message})
        )
        for body, name, message in (
            (b'{"name": ', "buffer.decodePayload", Like("Invalid JSON: .+")),
            (b"{'name': 1}", "buffer.decodePayload", Like("Invalid JSON: .+")),
            (b'{"name": "x"} more', "buffer.decodePayload", Like("Invalid JSON: .+")),
            (b"", "buffer.missingPayload", "Missing required payload."),
            (b"null", "buffer.missingPayload", "Missing required payload."),
        )
    ),
    *(
        refused(
            f"{method} {path} needs a body",
            *(method, path, b"", 400, "buffer.missingPayload", "Missing required payload."),
        )
        for method, path in (("POST", EXPORTS), ("PATCH", "/v1/receivers/<there>"), ("PATCH", EXPORT))
    ),
    *(one for source, message in TEMPLATES.items() for one in _template(source, message)),
    refused(
        "column without template",
        "POST",
        EXPORTS,
        export(columns=[column("c", "template")]),
        400,
        BAD,
        'Column "c" is missing template.',
    ),
    refused(
        "column without template on PATCH",
        "PATCH",
        EXPORT,
        _mapping(column("c", "template")),
        400,
        BAD,
        'Column "c" is missing template.',
    ),
    case(
        "template with wrong arguments passes, since it fails event by event",
        succeeds(
            "POST", RECEIVERS, {"name": "<name>", "exports": [export(columns=[template("c", "Ip(1, 2) + Now(1)")])]}
        ),
    ),
    refused(
        "column names are used twice",
        *("POST", EXPORTS, export(columns=[column("a"), column("b"), column("a", "ip")]), 400, BAD),
        'Column name "a" is used more than once; names of columns must be unique.',
    ),
    refused(
        "all problems of a body's form are told together",
        "POST",
        RECEIVERS,
        {"name": "n" * 41, "exports": [{"name": ""}, export(columns=[column("c", "uuid")])]},
        *(400, "buffer.invalidLength"),
        f'Length of body.name must be lesser or equal than 40 but got value "{"n" * 41}" (len=41); '
        'length of body.exports[0].name must be greater or equal than 1 but got value "" (len=0); '
        '"mapping" is missing from body.exports[0]; '
        'value of body.exports[1].mapping.columns[0].type must be one of "id", "datetime", "ip", "body", "headers", '
        '"template", "path" but got value "uuid".',
    ),
    refused(
        "all that is wrong with ids, tables, templates and conditions is told together",
        "POST",
        RECEIVERS,
        {
            "name": "!",
            "exports": [
                export("?", "in.t", [column("a"), column("a")], conditions={"time": "1s"}),
                export("F", columns=[template("c", "nix"), column("d", "template")]),
            ],
        },
        *(400, BAD),
        'No id can be made from "!": it needs at least one letter or digit (a-z, 0-9); '
        'No id can be made from "?": it needs at least one letter or digit (a-z, 0-9); '
        'Invalid "tableId" value "in.t": it must be "stage.bucket.table", stage in, out or sys, each name at most 96 '
        'characters. For example: "in.c-bucket.table"; '
        'Column name "a" is used more than once; names of columns must be unique; '
        'Invalid conditions: "time" must be 30s or greater; '
        'Column "c" template is invalid: 1:1-4 Unknown variable: nix; '
        'column "d" is missing template.',
    ),
]
