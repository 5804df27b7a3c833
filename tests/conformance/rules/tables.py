"""Section 6: buckets and tables: made when they are missing, compared exactly when they are there."""

from __future__ import annotations

from collections.abc import Callable

from app.keboola.client import StorageClient

from .case import Ask, Case, Json, case, column, export, fails, succeeds

RECEIVERS, EXPORT = "/v1/receivers", "/v1/receivers/<name>/exports/e"
TABLE = 'table "in.c-<name>.t"'
ID_BODY = [column("id", "id", primaryKey=True), column("body")]


def table(columns: list[str], key: list[str]) -> Callable[[StorageClient, str], None]:
    """A table made by hand."""

    def make(storage: StorageClient, name: str) -> None:
        storage.create_bucket("in", name)
        storage.create_table(f"in.c-{name}", "t", columns, key)

    return make


def bucket(storage: StorageClient, name: str) -> None:
    storage.create_bucket("in", name)


def has_table(columns: list[str], key: list[str], tokens: int = 1) -> Callable[[StorageClient, str], None]:
    """So the table is, and so many tokens are for the receiver."""

    def look(storage: StorageClient, name: str) -> None:
        detail = storage.table_detail(f"in.c-{name}.t")
        assert (list(detail.columns), list(detail.primary_key)) == (columns, key)
        made = [token for token in storage.list_tokens() if token.description.endswith(f" for Receiver {name}")]
        assert len(made) == tokens

    return look


def _receiver(columns: Json) -> Json:
    return {"name": "<name>", "exports": [export(columns=columns)]}


def _mismatch(id: str, there: tuple[list[str], list[str]], columns: Json, message: str) -> list[Case]:
    """The same for a table made by hand, on create; and on PATCH, for the table of the export itself."""
    return [
        case(
            f"{id} on create",
            fails("POST", RECEIVERS, _receiver(columns), message),
            Ask("GET", "/v1/receivers/<name>", None, 404),
            given=table(*there),
            then=has_table(*there, tokens=0),
        ),
        case(
            f"{id} on PATCH",
            succeeds("POST", RECEIVERS, {"name": "<name>", "exports": [export(table="in.c-<name>.mine")]}),
            fails("PATCH", EXPORT, {"mapping": {"tableId": "in.c-<name>.t", "columns": columns}}, message),
            given=table(*there),
            then=has_table(*there),
        ),
    ]


CASES: list[Case] = [
    case(
        "bucket and table are made",
        succeeds("POST", RECEIVERS, _receiver(ID_BODY)),
        then=has_table(["id", "body"], ["id"]),
    ),
    case(
        "table is made in a bucket that is there",
        succeeds("POST", RECEIVERS, _receiver(ID_BODY)),
        given=bucket,
        then=has_table(["id", "body"], ["id"]),
    ),
    case(
        "table that is there and matches is used",
        succeeds("POST", RECEIVERS, _receiver(ID_BODY)),
        given=table(["id", "body"], ["id"]),
        then=has_table(["id", "body"], ["id"]),
    ),
    case(
        "primary key of several columns is compared in order",
        succeeds("POST", RECEIVERS, _receiver([column("a", primaryKey=True), column("b", "ip", primaryKey=True)])),
        given=table(["a", "b"], ["a", "b"]),
        then=has_table(["a", "b"], ["a", "b"]),
    ),
    *_mismatch(
        "other columns",
        (["id", "body"], []),
        [column("id", "id"), column("ip", "ip")],
        f'columns of the {TABLE} do not match expected ["id","ip"], found ["id","body"]',
    ),
    *_mismatch(
        "columns in another order",
        (["id", "body"], []),
        [column("body"), column("id", "id")],
        f'columns of the {TABLE} do not match expected ["body","id"], found ["id","body"]',
    ),
    *_mismatch(
        "one column fewer",
        (["id", "body"], []),
        [column("id", "id")],
        f'columns of the {TABLE} do not match expected ["id"], found ["id","body"]',
    ),
    *_mismatch(
        "another primary key",
        (["foo", "bar"], []),
        [column("foo", primaryKey=True), column("bar")],
        f'primary key of the {TABLE} does not match expected ["foo"], found []',
    ),
    *_mismatch(
        "both",
        (["id", "body"], ["id"]),
        [column("foo"), column("bar", primaryKey=True)],
        f'- columns of the {TABLE} do not match expected ["foo","bar"], found ["id","body"]\n'
        f'- primary key of the {TABLE} does not match expected ["bar"], found ["id"]',
    ),
    case(
        "PATCH makes a table that is missing, in a bucket that is missing",
        succeeds("POST", RECEIVERS, {"name": "<name>", "exports": [export(table="in.c-<name>-first.t")]}),
        succeeds("PATCH", EXPORT, {"mapping": {"tableId": "in.c-<name>.t", "columns": ID_BODY}}),
        then=has_table(["id", "body"], ["id"], tokens=2),
    ),
    case(
        "PATCH with the same mapping is a new revision of the same table",
        succeeds("POST", RECEIVERS, _receiver(ID_BODY)),
        succeeds("PATCH", EXPORT, {"mapping": {"tableId": "in.c-<name>.t", "columns": ID_BODY}}),
        then=has_table(["id", "body"], ["id"], tokens=2),
    ),
    case(
        "two exports of one request that want the same table differently",
        fails(
            "POST",
            RECEIVERS,
            {"name": "<name>", "exports": [export(columns=ID_BODY), export("F", columns=[column("body")])]},
            f'- columns of the {TABLE} do not match expected ["body"], found ["id","body"]\n'
            f'- primary key of the {TABLE} does not match expected [], found ["id"]',
        ),
    ),
]
