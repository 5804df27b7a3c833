"""Files of receivers and exports, and what is said when one is wrong."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from app.cli.files import BadFile, read_exports, read_receivers

EXPORT = {"name": "All", "mapping": {"tableId": "in.c-web.all", "columns": [{"name": "id", "type": "id"}]}}


def write(folder: Path, text: str) -> str:
    path = folder / "file.yaml"
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize(
    "text",
    [
        "name: One\n---\nname: Two\n",
        "- name: One\n- name: Two\n",
        "receivers:\n- name: One\n- name: Two\n",
        '[{"name": "One"},\n\t{"name": "Two"}]',
        "---\nname: One\n---\n---\nname: Two\n...\n",
    ],
)
def test_several_receivers_may_be_in_one_file(tmp_path: Path, text: str) -> None:
    receivers, warnings = read_receivers(write(tmp_path, text))

    assert [receiver.receiver_id for receiver in receivers] == ["one", "two"]
    assert warnings == []


def test_dash_is_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(EXPORT)))

    exports, _ = read_exports("-")

    assert [export.export_id for export in exports] == ["all"]


def test_what_the_api_shows_can_be_read_back_without_a_warning(tmp_path: Path) -> None:
    shown = {"id": "x", "url": "http://h/v1/import/1/x/s", "name": "X", "exports": [{**EXPORT, "receiverId": "x"}]}

    receivers, warnings = read_receivers(write(tmp_path, json.dumps(shown)))

    assert (len(receivers[0].exports), warnings) == (1, [])


def test_misspelt_field_is_a_warning_that_names_its_place(tmp_path: Path) -> None:
    path = write(tmp_path, "name: One\ndescripton: Two\n")

    _, warnings = read_receivers(path)

    assert warnings == [f'{path}: Unknown field "descripton" in body is ignored.']


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("name: [\n", "line 2, column 1: "),
        ("name: One\n---\ndescription: Two\n", ', document 2: "name" is missing from body'),
        ("", "there are no receivers in it."),
        ("just text", "body must be an object"),
        ("name: One\n---\nid: ONE\nname: Other\n", '"one" is there more than once.'),
        ("name: 5\n", "body.name must be a string but got value 5"),
        ("name: '?'\n", 'No id can be made from "?"'),
        (
            json.dumps({"name": "A", "exports": [{**EXPORT, "conditions": {"time": "5"}}]}),
            'value "5" is not valid time',
        ),
        (
            json.dumps({"name": "A", "exports": [{**EXPORT, "conditions": {"time": 5}}]}),
            "body.exports[0].conditions.time",
        ),
    ],
)
def test_wrong_file_is_one_line_with_name_and_place(tmp_path: Path, text: str, problem: str) -> None:
    path = write(tmp_path, text)

    with pytest.raises(BadFile) as raised:
        read_receivers(path)

    assert raised.value.message.startswith(path)
    assert problem in raised.value.message
    assert "\n" not in raised.value.message


def test_missing_file_is_named() -> None:
    with pytest.raises(BadFile) as raised:
        read_receivers("nowhere.yaml")

    assert raised.value.message == "nowhere.yaml: No such file or directory."


def test_limits_are_left_to_the_api(tmp_path: Path) -> None:
    body: dict[str, Any] = {**EXPORT, "conditions": {"time": "1s", "size": "1GB", "count": 10**9}}

    exports, _ = read_exports(write(tmp_path, json.dumps(body)))

    assert exports[0].conditions.time_seconds == 1
