"""Section 1.4: ids that are made of names, explicit ids, and names of which none can be made."""

from __future__ import annotations

from .case import Ask, Case, case, export, refused, succeeds

FROM_NAMES = {
    "CamelCase": "camel-case",
    "!!!!~~~~weird|||id##": "weird-id",
    "My first receiver": "my-first-receiver",
    "snake_case_name": "snake-case-name",
    "HTTPServer": "httpserver",
    "parseHTTPHeader": "parse-httpheader",
    "v2.0 of A": "v2-0-of-a",
    "Příliš žluťoučký kůň": "prilis-zlutoucky-kun",
    "naïve Ångström": "naive-angstrom",
    "à la carte": "a-la-carte",
    "Łódź": "odz",
    "日本 data 東京": "data",
    "Данные 42": "42",
    "--dashes--": "dashes",
    "  spaces  ": "spaces",
    "a/b?c#d%e": "a-b-c-d-e",
    "Aa" * 20: "aa-" * 15 + "aa-a".removesuffix("-a"),
}
EXPLICIT = {"Explicit ID": "explicit-id", "x/y z": "x-y-z", "ÉTÉ": "ete", "UPPER": "upper"}
UNUSABLE = ("!!!", "---", "日本", "Данные", " ", "_")


def _message(text: str) -> str:
    return f'No id can be made from "{text}": it needs at least one letter or digit (a-z, 0-9).'


CASES: list[Case] = [
    *(
        case(
            f"receiver {name!r} is {id}",
            succeeds("POST", "/v1/receivers", {"name": name}, outputs={"receiverId": id}),
            Ask("GET", f"/v1/receivers/{id}"),
        )
        for name, id in FROM_NAMES.items()
    ),
    *(
        case(
            f"explicit receiver id {given!r} is {id}",
            succeeds("POST", "/v1/receivers", {"id": given, "name": "<name>"}, outputs={"receiverId": id}),
            Ask("GET", f"/v1/receivers/{id}"),
        )
        for given, id in EXPLICIT.items()
    ),
    case(
        "export ids are made of names, and explicit ones are normalised the same way",
        succeeds("POST", "/v1/receivers", {"name": "<name>", "exports": [export("FirstOne")]}),
        succeeds(
            *("POST", "/v1/receivers/<name>/exports", {**export("Other"), "id": "Sécond/One "}),
            outputs={"receiverId": "<name>", "exportId": "second-one"},
        ),
        Ask("GET", "/v1/receivers/<name>/exports/first-one"),
        Ask("GET", "/v1/receivers/<name>/exports/second-one"),
    ),
    *(
        refused(
            f"receiver name {name!r} is unusable",
            *("POST", "/v1/receivers", {"name": name}, 400, "buffer.badRequest", _message(name)),
        )
        for name in UNUSABLE
    ),
    refused(
        "explicit receiver id is unusable",
        *("POST", "/v1/receivers", {"id": "//", "name": "x"}, 400, "buffer.badRequest", _message("//")),
    ),
    refused(
        "export name is unusable",
        *("POST", "/v1/receivers/<there>/exports", export("?"), 400, "buffer.badRequest", _message("?")),
    ),
    refused(
        "explicit export id is unusable",
        *("POST", "/v1/receivers/<there>/exports", {**export(), "id": "?"}, 400, "buffer.badRequest", _message("?")),
    ),
    refused(
        "two exports of one request have the same id",
        *("POST", "/v1/receivers", {"name": "x", "exports": [export("One Two"), export("OneTwo")]}),
        *(400, "buffer.badRequest", 'Two exports have the id "one-two"; an id must be unique in its receiver.'),
    ),
]
