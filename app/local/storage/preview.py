"""`data-preview`: the first rows of a table, with Storage's filters, as CSV or JSON."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

from app.local.storage.errors import ApiError, invalid
from app.local.storage.params import Params
from app.local.storage.records import Table
from app.local.storage.warehouse import Warehouse, quoted

DEFAULT_ROWS = 100
MAX_ROWS = 1000
MAX_COLUMNS = 100
MAX_JSON_VALUE = 16_384
_OPERATORS = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}


def preview_answer(warehouse: Warehouse, table: Table, params: Params) -> Any:
    """Give the body: CSV text, or for `format=json` the columns and rows with each value's name and whether it was cut.

    Raises ApiError 400 for arguments that are wrong.
    """
    columns = params.texts("columns") or list(table.columns)
    if len(columns) > MAX_COLUMNS:
        raise ApiError(
            400,
            "storage.maxNumberOfColumnsExceed",
            f"The preview would have {len(columns)} columns; at most {MAX_COLUMNS} are allowed. Name some.",
        )
    for column in columns:
        _known(table, column)
    form = params.text("format", "rfc")
    if form not in ("rfc", "json"):
        raise invalid(f"Invalid format {form!r}: rfc or json is allowed.")
    where, values = _where(table, params)
    limit = params.number("limit", DEFAULT_ROWS, least=1, most=MAX_ROWS)
    rows = warehouse.preview(table.id, columns, where, values, _order(table, params), limit)
    return _json(columns, rows) if form == "json" else _csv(columns, rows)


def _where(table: Table, params: Params) -> tuple[str, list[str]]:
    filters = [item for item in params.array("whereFilters") if isinstance(item, dict)]
    if params.text("whereColumn"):
        operator = params.text("whereOperator", "eq")
        filters.append(
            {
                "column": params.text("whereColumn"),
                "operator": "ne" if operator == "neq" else operator,
                "values": params.texts("whereValues"),
            }
        )
    conditions, values = [], []
    for item in filters:
        column = quoted(_known(table, str(item.get("column", ""))))
        operator = str(item.get("operator", "eq"))
        wanted = [str(value) for value in item.get("values") or []]
        if operator in ("eq", "ne"):
            marks = ", ".join("?" for _ in wanted)
            conditions.append(f"{column} {'NOT IN' if operator == 'ne' else 'IN'} ({marks})")
        elif operator in _OPERATORS and len(wanted) == 1:
            conditions.append(f"{column} {_OPERATORS[operator]} ?")
        else:
            raise invalid(
                f"Invalid filter {operator!r} with {len(wanted)} values: eq and ne take one or more, "
                "gt, ge, lt and le take one."
            )
        if not wanted:
            raise invalid(f"The filter on column {item.get('column')!r} has no values.")
        values += wanted
    return (f" WHERE {' AND '.join(conditions)}" if conditions else ""), values


def _order(table: Table, params: Params) -> str:
    terms = []
    for item in params.array("orderBy"):
        wanted = item if isinstance(item, dict) else {}
        direction = "DESC" if str(wanted.get("order", "ASC")).upper() == "DESC" else "ASC"
        terms.append(f"{quoted(_known(table, str(wanted.get('column', ''))))} {direction}")
    return f" ORDER BY {', '.join(terms)}" if terms else ""


def _known(table: Table, column: str) -> str:
    if column not in table.columns:
        raise invalid(f"Column {column!r} is not in table {table.id}: it has {', '.join(table.columns)}.")
    return column


def _csv(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue()


def _json(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> dict[str, Any]:
    return {
        "columns": list(columns),
        "rows": [
            [
                {
                    "columnName": column,
                    "value": value[:MAX_JSON_VALUE],
                    "isTruncated": len(value) > MAX_JSON_VALUE,
                }
                for column, value in zip(columns, row, strict=True)
            ]
            for row in rows
        ],
    }
