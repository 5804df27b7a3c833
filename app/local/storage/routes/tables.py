"""Tables: define, create from CSV, list, detail, delete, import, preview."""

from __future__ import annotations

import re
from typing import Any

from app.local.storage.errors import denied, invalid
from app.local.storage.preview import preview_answer
from app.local.storage.records import Operation, Table
from app.local.storage.routes.call import Answer, Call
from app.local.storage.scopes import may_read, may_see_file, need_read, need_write
from app.local.storage.stores import Json
from app.local.storage.views import table_view

_TABLE = re.compile(r"[A-Za-z0-9_-]{1,96}")
_COLUMN = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]{0,62}[A-Za-z0-9])?")


def define(call: Call) -> Answer:
    """Make an empty table from its columns; they are VARCHAR whatever type is asked for."""
    bucket = call.bucket()
    need_write(call.token, bucket.id)
    name = _free_name(call, bucket.id)
    wanted = call.params.array("columns")
    if not wanted:
        raise invalid("Invalid request: columns: at least one column is needed.", "storage.tables.validation")
    columns = [str(column.get("name", "")) if isinstance(column, dict) else "" for column in wanted]
    check_columns(columns)
    primary_key = _primary_key(call.params.texts("primaryKeysNames"), columns)
    typed = any(column.get("basetype") or column.get("definition") for column in wanted)
    params = {
        "bucketId": bucket.id,
        "name": name,
        "columns": columns,
        "primaryKey": primary_key,
        "isTyped": typed,
    }
    return call.accepted(call.submit(Operation.TABLE_DEFINITION_CREATE, f"{bucket.id}.{name}", params))


def create_async(call: Call) -> Answer:
    """Make a table from an uploaded CSV file with a header; it is untyped."""
    bucket = call.bucket()
    need_write(call.token, bucket.id)
    name = _free_name(call, bucket.id)
    file_id = _file(call)
    params = _csv_params(call) | {
        "bucketId": bucket.id,
        "name": name,
        "primaryKey": call.params.texts("primaryKey"),
        "columns": call.params.texts("columns"),
        "withoutHeaders": False,
    }
    job = call.submit(Operation.TABLE_CREATE, f"{bucket.id}.{name}", params, file_id=file_id)
    return call.accepted(job)


def index(call: Call) -> Answer:
    """List the tables that the token may read."""
    tables = call.storage.metadata.tables()
    return Answer(200, [_view(call, table) for table in tables if may_read(call.token, table.bucket_id)])


def detail(call: Call) -> Answer:
    """Describe a table."""
    table = call.table()
    need_read(call.token, table.bucket_id)
    return Answer(200, _view(call, table))


def delete(call: Call) -> Answer:
    """Delete a table, with `async` as a job."""
    table = call.table()
    need_write(call.token, table.bucket_id)
    job = call.submit(Operation.TABLE_DELETE, table.id, {"force": call.params.flag("force")}, table_id=table.id)
    return call.accepted(job) if call.params.flag("async") else call.finished(job)


def import_async(call: Call) -> Answer:
    """Load an uploaded file into a table. The same file may be loaded again; nothing notices."""
    table = call.table()
    need_write(call.token, table.bucket_id)
    file_id = _file(call)
    ignored = call.params.optional_number("ignoredLinesCount")
    if ignored is not None and ignored not in (0, 1):
        raise invalid("Invalid request: ignoredLinesCount: the local emulator knows 0 and 1 only.")
    without_headers = call.params.flag("withoutHeaders") if ignored is None else ignored == 0
    params = {
        "incremental": call.params.flag("incremental"),
        "withoutHeaders": without_headers,
        "columns": call.params.texts("columns"),
    } | _csv_params(call)
    return call.accepted(call.submit(Operation.TABLE_IMPORT, table.id, params, table_id=table.id, file_id=file_id))


def preview(call: Call) -> Answer:
    """Read the first rows, filtered, as CSV or JSON."""
    table = call.table()
    need_read(call.token, table.bucket_id)
    return Answer(200, preview_answer(call.storage.warehouse, table, call.params))


def check_columns(columns: list[str]) -> None:
    """Raise ApiError 400 for column names that Storage, or DuckDB below the emulator, does not take."""
    for column in columns:
        if not _COLUMN.fullmatch(column):
            raise invalid(
                f"Invalid column name {column!r}: letters, digits, dash and underscore are allowed, 64 characters at "
                "most, and it must begin and end with a letter or digit.",
                "storage.tables.validation",
            )
    if len({column.lower() for column in columns}) != len(columns):
        raise invalid(
            "Column names must differ in more than case (the local emulator keeps tables in DuckDB).",
            "storage.tables.validation",
        )


def _free_name(call: Call, bucket_id: str) -> str:
    name = call.params.required("name")
    if not _TABLE.fullmatch(name):
        raise invalid(
            f"Invalid table name {name!r}: letters, digits, dash and underscore are allowed, 96 characters at most.",
            "storage.tables.validation",
        )
    if any(table.name.lower() == name.lower() for table in call.storage.metadata.tables(bucket_id)):
        raise invalid(f"The table {name!r} already exists in the bucket.", "storage.buckets.tableAlreadyExists")
    return name


def _primary_key(primary_key: list[str], columns: list[str]) -> list[str]:
    unknown = [key for key in primary_key if key not in columns]
    if unknown:
        raise invalid(f"Primary key columns {unknown} are not columns of the table.", "storage.validation.primaryKey")
    return primary_key


def _file(call: Call) -> int:
    file = call.file(call.params.required("dataFileId"))
    if not may_see_file(call.token, file):
        raise denied()
    return file.id


def _csv_params(call: Call) -> dict[str, Any]:
    delimiter = call.params.text("delimiter", ",") or ","
    escape = call.params.text("escapedBy")
    enclosure = call.params.text("enclosure", "" if escape else '"')
    if enclosure and escape:
        raise invalid("Only one of enclosure and escapedBy may be given.")
    if any(len(character) > 1 for character in (delimiter, enclosure, escape)):
        raise invalid("delimiter, enclosure and escapedBy are one character each.")
    return {"delimiter": delimiter, "enclosure": enclosure, "escapedBy": escape}


def _view(call: Call, table: Table) -> Json:
    return table_view(table, call.storage.warehouse.rows_count(table.id), call.storage.url)
