"""The table of rules in docs/delivery.md is true: of the code that keeps them, and of the tests that show them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from mutations import MUTATIONS

ROOT = Path(__file__).parents[2]
RULES = range(1, 26)


class Row(NamedTuple):
    """What the page says of some rules: their numbers, files that keep them, and files that show them."""

    rules: tuple[int, ...]
    kept_by: tuple[Path, ...]
    shown_by: tuple[Path, ...]


def _rows() -> list[Row]:
    page = (ROOT / "docs/delivery.md").read_text()
    lines = re.findall(r"^\| (.+) \|$", page.partition("## The rules")[2].partition("\n## ")[0], re.MULTILINE)
    rows = []
    for rule, where, shown in (line.split(" | ") for line in lines[1:]):
        numbers = re.match(r"\d+(, \d+)*", rule)
        files: list[str] = re.findall(r"`([^`]+)`", shown)
        rows.append(
            Row(
                tuple(map(int, numbers[0].split(", "))) if numbers else (),
                tuple(ROOT / name for name in re.findall(r"`(app/[^`]+)`", where)),
                tuple(ROOT / name if name.startswith("tests/") else ROOT / "tests/unit" / name for name in files),
            )
        )
    return rows


ROWS = _rows()


def rules_named(text: str) -> Iterator[int]:
    """The rules that a text names: "rule 8", "rules 1 to 3 and 21", also where a line ends in between."""
    for names in re.findall(r"\brules? (\d+(?:(?: to |, | and )\d+)*)", " ".join(text.split())):
        for first, last in re.findall(r"(\d+)(?: to (\d+))?", names):
            yield from range(int(first), int(last or first) + 1)


def test_each_rule_has_its_row() -> None:
    assert [rule for row in ROWS for rule in row.rules] == list(RULES)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: ",".join(map(str, row.rules)) or "identity")
def test_files_of_a_rule_are_there(row: Row) -> None:
    missing = [path for path in (*row.kept_by, *row.shown_by) if not path.is_file()]

    assert row.kept_by
    assert row.shown_by
    assert missing == []


@pytest.mark.parametrize("row", ROWS, ids=lambda row: ",".join(map(str, row.rules)) or "identity")
def test_code_that_keeps_a_rule_names_it(row: Row) -> None:
    texts = {path: path.read_text() for path in row.kept_by}

    nameless = [
        path
        for path, text in texts.items()
        if not (set(row.rules) & set(rules_named(text)) if row.rules else "identity)" in text)
    ]

    assert nameless == []


@pytest.mark.parametrize("row", ROWS, ids=lambda row: ",".join(map(str, row.rules)) or "identity")
def test_rule_that_the_model_shows_has_mutations_in_the_files_that_are_named(row: Row) -> None:
    named = {(rule, path.stem) for rule in row.rules for path in row.shown_by if "mutations_of" in path.name}

    there = {(int(m.rule.partition(":")[0]), m.apply.__module__) for m in MUTATIONS}

    assert {rule for rule, _ in named} == {rule for rule, _ in there} & set(row.rules)
    assert {(rule, file) for rule, file in there if rule in row.rules} <= named
    assert {file for _, file in named} == {file for rule, file in there if rule in row.rules}
