"""Bodies of requests: normalised, checked, and what is unknown in them named."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from app.api.drafts import ExportChange, ExportDraft, ReceiverDraft, SourceDraft, dump_draft, load_draft
from app.api.payloads import (
    ExportPatch,
    ExportPayload,
    ReceiverPayload,
    export_change,
    export_draft,
    receiver_draft,
    unknown_fields,
)
from app.model.conditions import Conditions
from app.model.errors import BadRequest
from app.model.receiver import Column, ColumnType, Mapping
from app.settings import Settings

SETTINGS = Settings(_env_file=None)  # type: ignore[call-arg]  # pydantic-settings' own argument
COLUMN = {"name": "id", "type": "id"}
MAPPING = {"tableId": "in.c-b.t", "columns": [COLUMN]}


def _export(**others: Any) -> ExportPayload:
    return ExportPayload.model_validate({"name": "E", "mapping": MAPPING, **others})


def test_export_takes_defaults() -> None:
    draft = export_draft(_export(), SETTINGS)

    assert draft.export_id == "e"
    assert draft.mapping == Mapping("in.c-b.t", (Column("id", ColumnType.ID),), incremental=True)
    assert draft.conditions == Conditions(1000, 5 * 1024 * 1024, 300)


@pytest.mark.parametrize(
    ("given_", "expected"),
    [
        ({"count": 5}, Conditions(5, 5 * 1024 * 1024, 300)),
        ({"size": "1kB"}, Conditions(1000, 1024, 300)),
        ({"time": "1.5h"}, Conditions(1000, 5 * 1024 * 1024, 5400)),
        ({}, Conditions()),
    ],
)
def test_conditions_not_given_take_their_defaults(given_: dict[str, Any], expected: Conditions) -> None:
    assert export_draft(_export(conditions=given_), SETTINGS).conditions == expected


def test_explicit_id_is_normalised_and_wins_over_the_name() -> None:
    assert export_draft(_export(id="My/Export Id"), SETTINGS).export_id == "my-export-id"


@given(st.text(min_size=1, max_size=48))
def test_id_of_any_name_is_safe_in_paths_topics_and_keys(name: str) -> None:
    payload = ReceiverPayload.model_validate({"name": name[:40], "id": name})

    try:
        receiver_id = receiver_draft(payload, SETTINGS, str.encode).receiver_id
    except BadRequest:
        assume(False)  # nothing of it can be in an id
    assert 1 <= len(receiver_id) <= 48
    assert set(receiver_id) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")


def test_draft_survives_the_way_to_control() -> None:
    export = _export(conditions={"time": "45s"})
    receiver = receiver_draft(ReceiverPayload.model_validate({"name": "R", "exports": [export]}), SETTINGS, str.encode)

    assert load_draft(ReceiverDraft, dump_draft(receiver)) == receiver
    assert load_draft(ExportDraft, dump_draft(receiver.exports[0])) == receiver.exports[0]


def test_draft_that_cannot_be_read_is_a_bad_request() -> None:
    with pytest.raises(BadRequest, match="cannot read the command"):
        load_draft(ReceiverDraft, '{"name": 1}')


def test_all_problems_are_told_at_once() -> None:
    bad = _export(id="!", mapping={"tableId": "nothing", "columns": [COLUMN, COLUMN]}, conditions={"time": "1s"})

    with pytest.raises(BadRequest) as refusal:
        export_draft(bad, SETTINGS)

    parts = ("No id can be made", '"tableId"', "more than once", '"time" must be')
    assert all(part in refusal.value.message for part in parts), refusal.value.message


def _code(source: str) -> dict[str, str]:
    return {"language": "jsonnet", "content": source}


def test_path_column_and_filter_are_in_the_mapping() -> None:
    column = {"name": "x", "type": "path", "path": "a.b", "defaultValue": "", "rawString": True}
    payload = _export(mapping={"tableId": "in.c-b.t", "columns": [column]}, filter=_code("true"))

    draft = export_draft(payload, SETTINGS)

    wanted = Column("x", ColumnType.PATH, path="a.b", default="", raw_string=True)
    assert draft.mapping == Mapping("in.c-b.t", (wanted,), filter="true")
    assert load_draft(ExportDraft, dump_draft(draft)) == draft


def test_fields_of_other_types_are_ignored_and_named() -> None:
    fields = {"template": _code("1"), "path": "a", "defaultValue": "b"}
    columns = [{"name": type, "type": type, **fields} for type in ("id", "path", "template")]
    payload = _export(mapping={"tableId": "in.c-b.t", "columns": columns})

    columns_made = export_draft(payload, SETTINGS).mapping.columns

    assert columns_made == (
        Column("id", ColumnType.ID),
        Column("path", ColumnType.PATH, path="a", default="b"),
        Column("template", ColumnType.TEMPLATE, template="1"),
    )
    ignored = [(0, "template", "id"), (0, "path", "id"), (0, "defaultValue", "id"), (1, "template", "path")]
    ignored += [(2, "path", "template"), (2, "defaultValue", "template")]
    assert unknown_fields(payload) == [
        f'Field "{field}" in body.mapping.columns[{number}] is ignored, because the type of the column is "{type}".'
        for number, field, type in ignored
    ]


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ({"type": "path"}, 'column "x" is missing path'),
        ({"type": "path", "path": None, "rawString": True}, 'column "x" is missing path'),
        (
            {"type": "body", "rawString": True},
            'column "x" has rawString, which only the types "template" and "path" may have',
        ),
    ],
)
def test_column_that_lacks_or_has_what_its_type_does_not_is_refused(column: dict[str, Any], message: str) -> None:
    payload = _export(mapping={"tableId": "in.c-b.t", "columns": [{"name": "x", **column}]})

    with pytest.raises(BadRequest) as refusal:
        export_draft(payload, SETTINGS)

    assert refusal.value.message == message


def test_filter_that_can_never_be_evaluated_is_refused_by_its_name() -> None:
    receiver = ReceiverPayload.model_validate({"name": "R", "exports": [_export(filter=_code("nix"))]})

    for refused in (
        lambda: export_draft(_export(filter=_code("nix")), SETTINGS),
        lambda: receiver_draft(receiver, SETTINGS, str.encode),
        lambda: export_change(ExportPatch.model_validate({"filter": _code("nix")}), SETTINGS),
    ):
        with pytest.raises(BadRequest) as refusal:
            refused()
        assert refusal.value.message == "Filter is invalid: 1:1-4 Unknown variable: nix."


OLD, NEW = Mapping("in.c-b.old", (), filter="'old'"), Mapping("in.c-b.new", ())


@pytest.mark.parametrize(
    ("body", "current", "expected"),
    [
        ({}, OLD, None),
        ({"name": "N"}, OLD, None),
        ({"mapping": MAPPING}, OLD, "in.c-b.t 'old'"),
        ({"filter": _code("true")}, OLD, "in.c-b.old true"),
        ({"filter": _code("true")}, NEW, "in.c-b.new true"),
        ({"filter": _code("'old'")}, OLD, None),
        ({"filter": None}, OLD, "in.c-b.old None"),
        ({"filter": None}, NEW, None),
        ({"filter": None, "mapping": MAPPING}, OLD, "in.c-b.t None"),
        ({"filter": _code("true"), "mapping": MAPPING}, OLD, "in.c-b.t true"),
        ({"mapping": None}, OLD, None),
    ],
)
def test_mapping_and_filter_are_changed_apart_and_make_one_revision(
    body: dict[str, Any], current: Mapping, expected: str | None
) -> None:
    change = export_change(ExportPatch.model_validate(body), SETTINGS)

    mapping = load_draft(ExportChange, dump_draft(change)).new_mapping(current)

    assert (None if mapping is None else f"{mapping.table_id} {mapping.filter}") == expected


def test_of_many_unknown_fields_the_first_are_named() -> None:
    payload = ReceiverPayload.model_validate({"name": "x", **{f"f{number}": 1 for number in range(1000)}})

    warnings = unknown_fields(payload)

    assert len(warnings) == 21
    assert warnings[0] == 'Unknown field "f0" in body is ignored.'
    assert warnings[-1] == "More fields are ignored."


def test_unknown_fields_are_named_with_their_path() -> None:
    payload = ReceiverPayload.model_validate(
        {"name": "R", "x": 1, "exports": [{"name": "E", "mapping": {**MAPPING, "y": 2}}]}
    )

    assert unknown_fields(payload) == [
        'Unknown field "x" in body is ignored.',
        'Unknown field "y" in body.exports[0].mapping is ignored.',
    ]


@pytest.mark.parametrize(
    ("given", "from_ms"),
    [("earliest", 0), ("latest", None), (None, None), ("2023-01-02T03:04:05Z", 1672628645000)],
)
def test_source_begins_where_it_is_said(given: str | None, from_ms: int | None) -> None:
    body = ReceiverPayload.model_validate({"name": "a", "source": {"topic": "orders", "from": given}})

    assert receiver_draft(body, SETTINGS, str.encode).source == SourceDraft("orders", from_ms)


@pytest.mark.parametrize("given", ["yesterday", "2023-01-02T03:04:05"])
def test_source_begins_at_a_word_or_a_time_with_its_zone(given: str) -> None:
    body = ReceiverPayload.model_validate({"name": "a", "source": {"topic": "orders", "from": given}})

    with pytest.raises(BadRequest, match='Invalid "from" value'):
        receiver_draft(body, SETTINGS, str.encode)


@pytest.mark.parametrize("more", [{"auth": "bearer"}, {"split": "off"}])
def test_receiver_with_a_source_has_nothing_that_is_said_of_requests(more: dict[str, str]) -> None:
    body = ReceiverPayload.model_validate({"name": "a", "source": {"topic": "orders"}, **more})

    with pytest.raises(BadRequest, match="takes no requests"):
        receiver_draft(body, SETTINGS, str.encode)


def test_source_may_be_a_pattern() -> None:
    body = ReceiverPayload.model_validate({"name": "a", "source": {"topics": "shop.*", "from": "earliest"}})

    assert receiver_draft(body, SETTINGS, str.encode).source == SourceDraft("", 0, "shop.*")


@pytest.mark.parametrize("source", [{}, {"topic": "orders", "topics": "shop.*"}, {"from": "latest"}])
def test_source_is_either_a_topic_or_a_pattern(source: dict[str, str]) -> None:
    body = ReceiverPayload.model_validate({"name": "a", "source": source})

    with pytest.raises(BadRequest, match='either "topic" or "topics"'):
        receiver_draft(body, SETTINGS, str.encode)
