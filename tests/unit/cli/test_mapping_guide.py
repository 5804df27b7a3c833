"""What docs/mapping.md shows is what the mapping does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from app.cli.files import read_exports
from app.mapping import now
from app.mapping.now import format_time
from app.mapping.rows import map_batch
from app.model.event import EventBatch
from app.model.receiver import ColumnType
from app.settings import Settings

GUIDE = (Path(__file__).resolve().parents[3] / "docs/mapping.md").read_text()
TIME_MS = 1_672_628_645_006
"""2023-01-02T03:04:05.006Z."""


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", GUIDE, flags=re.DOTALL)


def test_example_becomes_the_rows_that_stand_there(tmp_path: Path) -> None:
    (export,), (events,), (rows,) = blocks("yaml"), blocks("json"), blocks("csv")
    file = tmp_path / "export.yaml"
    file.write_text(export)
    bodies = [line.encode() for line in events.splitlines()]
    count = len(bodies)
    batch = EventBatch(list(range(count)), [TIME_MS] * count, ["id"] * count, [""] * count, bodies, [[]] * count)

    (draft,), warnings = read_exports(str(file))
    (segment,) = map_batch(draft.mapping, batch)

    assert (segment.csv.decode(), segment.failures, warnings) == (rows, [], [])


def test_every_type_of_column_is_there() -> None:
    table = GUIDE.split("## Columns\n")[1].split("\n## ")[0]

    assert set(re.findall(r"^\| `(\w+)` \|", table, flags=re.MULTILINE)) == {kind.value for kind in ColumnType}


def test_every_format_gives_what_stands_beside_it() -> None:
    shown = dict(re.findall(r"`(%.)` `([^`]+)`", GUIDE))

    assert shown == {format: format_time(TIME_MS, format) for format in shown}
    assert {format[1] for format in shown} | set("nt") == {*now._PARTS, *now._SHORTHANDS}


@pytest.mark.parametrize(
    ("name", "default"), [("max_columns", 100), ("mapping_event_seconds", 1), ("mapping_memory_mib", 512)]
)
def test_bounds_are_the_settings_defaults(name: str, default: float) -> None:
    assert Settings.model_fields[name].default == default
