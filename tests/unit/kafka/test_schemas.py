"""The schemas are a contract: a version that was ever in use can be read as long as there are records of it.

`fingerprints.json` names every version of each schema, oldest first. Who changes a schema keeps the old file as
`schemas/history/<name>.<number>.avsc` (number from 1) and adds the new version's fingerprint to the list.
"""

from __future__ import annotations

import copy
import io
import json
from itertools import islice
from pathlib import Path
from typing import Any

import fastavro
import pytest
from fastavro.schema import SchemaParseException, fingerprint, to_parsing_canonical_form
from fastavro.utils import generate_many

from app.kafka.codec import SCHEMAS

FINGERPRINTS: dict[str, list[str]] = json.loads(Path(__file__).with_name("fingerprints.json").read_text())
names = pytest.mark.parametrize("name", FINGERPRINTS)


def parsed(path: Path) -> Any:
    return fastavro.parse_schema(json.loads(path.read_text()))


def fingerprint_of(schema: Any) -> str:
    return str(fingerprint(to_parsing_canonical_form(schema), "CRC-64-AVRO"))


def history(name: str) -> list[Path]:
    """Earlier versions, oldest first."""
    count = len(FINGERPRINTS[name]) - 1
    return [SCHEMAS / "history" / f"{name}.{number}.avsc" for number in range(1, count + 1)]


def readable(writer: Any, reader: Any) -> bool:
    """Whether records of the one schema can be read by the other; tried with generated ones."""
    for record in islice(generate_many(writer, 30), 30):
        buffer = io.BytesIO()
        fastavro.schemaless_writer(buffer, writer, record)
        buffer.seek(0)
        try:
            fastavro.schemaless_reader(buffer, writer, reader)
        except (fastavro.read.SchemaResolutionError, SchemaParseException):
            return False
    return True


def test_every_schema_is_listed() -> None:
    assert {path.stem for path in SCHEMAS.glob("*.avsc")} == FINGERPRINTS.keys()


@names
def test_schema_is_the_last_version_that_is_listed(name: str) -> None:
    current = fingerprint_of(parsed(SCHEMAS / f"{name}.avsc"))

    number = len(FINGERPRINTS[name])
    assert current == FINGERPRINTS[name][-1], (
        f"schemas/{name}.avsc was changed: keep the version before as schemas/history/{name}.{number}.avsc "
        f'and add "{current}" to fingerprints.json'
    )


@names
def test_earlier_versions_are_kept_as_they_were(name: str) -> None:
    assert [fingerprint_of(parsed(path)) for path in history(name)] == FINGERPRINTS[name][:-1]


@names
def test_records_of_all_versions_can_be_read(name: str) -> None:
    current = parsed(SCHEMAS / f"{name}.avsc")

    assert all(readable(parsed(path), current) for path in [*history(name), SCHEMAS / f"{name}.avsc"])


def test_new_field_needs_a_default() -> None:
    before = json.loads((SCHEMAS / "export_state.avsc").read_text())
    field = {"name": "added", "type": "long"}
    without, with_default = copy.deepcopy(before), copy.deepcopy(before)
    without["fields"].append(field)
    with_default["fields"].append(field | {"default": 0})

    assert readable(fastavro.parse_schema(before), fastavro.parse_schema(with_default))
    assert not readable(fastavro.parse_schema(before), fastavro.parse_schema(without))
