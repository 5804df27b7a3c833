"""Replays for people: what one would come to, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Column, Table
from rich.text import Text

from app.cli.terminal import id_column, printable


def tried_view(tried: Mapping[str, Any]) -> RenderableType:
    """Offsets by partition, then what became of the events that were tried."""
    ranges = Table("partition", Column("from", justify="right"), Column("to", justify="right"), box=None)
    ranges.add_column("offsets", justify="right")
    for part in tried["ranges"]:
        count = part["end"] - part["first"]
        place = f"{part['topic']}/{part['partition']}" if "topic" in part else str(part["partition"])
        ranges.add_row(printable(place), f"{part['first']:,}", f"{part['end']:,}", f"{count:,}")
    which = "all" if tried["isWhole"] else "some"
    facts = {
        "table": tried["tableId"],
        "offsets": f"{tried['offsets']:,}",
        "tried": f"{tried['tried']:,} events ({which} of them)",
        "rows": f"{tried['rows']:,}",
        "dead letters": f"{tried['failures']:,}",
        "left out": f"{tried['skipped']:,}",
        "mended": f"{tried['mended']:,} of the rows are of events that are dead letters now",
    }
    if gone := tried.get("deletedBefore"):
        facts["deleted"] = f"retention has deleted what was before in partitions {', '.join(map(str, gone))}"
    return Group(ranges, Text(), _facts(facts))


def replays_table(replays: Sequence[Mapping[str, Any]]) -> RenderableType:
    """One line each; how far those are that are under way is not in a list."""
    table = Table(id_column(replay["id"] for replay in replays), "kind", "state", "table", "begun", box=None)
    for one in ("offsets", "rows", "dead letters"):
        table.add_column(one, justify="right")
    for replay in replays:
        numbers = (f"{replay[key]:,}" if key in replay else "" for key in ("offsets", "rows", "failures"))
        table.add_row(*(printable(replay[key]) for key in ("id", "kind", "state", "tableId", "createdAt")), *numbers)
    return table


def replay_view(replay: Mapping[str, Any]) -> RenderableType:
    facts = {
        "id": replay["id"],
        "kind": replay["kind"],
        "state": replay["state"],
        "table": replay["tableId"],
        "revision": str(replay["revision"]),
        "begun": replay["createdAt"],
        "cancelled": replay.get("cancelledAt", ""),
        "finished": replay.get("finishedAt", ""),
        "mapped": f"{replay['mapped']:,} of {replay['offsets']:,} offsets" if "mapped" in replay else "",
    }
    for name, key in (("rows", "rows"), ("dead letters", "failures"), ("left out", "skipped")):
        if key in replay:
            facts[name] = f"{replay[key]:,}"
    facts["note"] = replay.get("note", "")
    return _facts(facts)


def _facts(facts: Mapping[str, str]) -> Table:
    table = Table(Column(style="bold"), Column(overflow="fold"), box=None, show_header=False)
    for name, value in facts.items():
        if value:
            table.add_row(name, Text(printable(value)))
    return table
