"""Batches for people. What Storage said in them is not obeyed by the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Column, Table
from rich.text import Text

from app.cli.terminal import id_column, printable

_ERROR_CHARACTERS = 80


def batches_table(batches: Sequence[Mapping[str, Any]]) -> Table:
    """One line each: how far it is, what it has, and what went wrong last."""
    table = Table(
        id_column(batch["id"] for batch in batches),
        "phase",
        "opened",
        "closed by",
        "rows",
        "bytes",
        "failures",
        "next try",
        "error",
        box=None,
    )
    for batch in batches:
        error = batch.get("error", "")
        shown = printable(error[:_ERROR_CHARACTERS]) + ("…" if len(error) > _ERROR_CHARACTERS else "")
        cells = [batch["id"], batch["phase"], batch["openedAt"], batch.get("closedBy", "")]
        cells += [f"{batch['rows']:,}", f"{batch['csvBytes']:,}", f"{batch['failures']:,}", batch.get("retryAt", "")]
        table.add_row(*(Text(printable(cell)) for cell in cells), Text(shown))
    return table


def batch_view(batch: Mapping[str, Any]) -> RenderableType:
    """All that is known of the batch, then its attempts."""
    load = "incremental" if batch["incremental"] else "full"
    slices = f"{batch['slices']:,} slices, {batch['storedBytes']:,} bytes compressed"
    facts = {
        "id": batch["id"],
        "phase": batch["phase"],
        "table": f"{batch['tableId']} ({load} load), revision {batch['revision']}",
        "rows": f"{batch['rows']:,} rows, {batch['csvBytes']:,} bytes",
        "file": f"{batch['fileId']} ({slices}), run id {batch['runId']}",
        "opened": batch["openedAt"],
        "closed": f"{batch['closedAt']} by {batch['closedBy']}" if "closedAt" in batch else "",
        "imported": batch.get("importedAt", ""),
        "failures": str(batch["failures"] or ""),
        "error": batch.get("error", ""),
        "next try": batch.get("retryAt", ""),
        "expired": batch.get("expiredAt", ""),
        "retried": batch.get("retriedAt", ""),
        "sources": "\n".join(_source(source) for source in batch["sources"]),
    }
    table = Table(Column(style="bold"), Column(overflow="fold"), box=None, show_header=False)
    for name, value in facts.items():
        if value:
            table.add_row(name, Text(printable(value, lines=True)))
    if not batch["attempts"]:
        return table
    attempts = Table("attempt", "file", "job", Column("refused", overflow="fold"), box=None, header_style="bold")
    for attempt in batch["attempts"]:
        cells = (attempt["startedAt"], attempt["fileId"], attempt.get("jobId", ""), attempt.get("refusal", ""))
        attempts.add_row(*(Text(printable(cell)) for cell in cells))
    return Group(table, Text(), attempts)


def _source(source: Mapping[str, Any]) -> str:
    place = f"partition {source['partition']}, offsets {source['first']} to {source['last']}"
    return f"{place}, lane {source['lane']}, topic id {source['topicId']}"
