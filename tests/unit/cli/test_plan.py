"""What `apply` is to do, and that after it there is nothing left to do."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from app.api.drafts import ExportDraft, ReceiverDraft
from app.cli.bodies import body_of, read_export, read_receiver
from app.cli.plan import Action, Plan, Step, plan_receiver
from app.model.errors import BadRequest


def export(name: str = "All", **others: Any) -> dict[str, Any]:
    columns = [{"name": "id", "type": "id", "primaryKey": True}, template("page", 'Body("page")')]
    return {"name": name, "mapping": {"tableId": "in.c-web.all", "columns": columns}, **others}


def template(name: str, content: str) -> dict[str, Any]:
    return {"name": name, "type": "template", "template": code(content)}


def code(content: str) -> dict[str, str]:
    return {"language": "jsonnet", "content": content}


def mapped(*columns: dict[str, Any], **others: Any) -> dict[str, Any]:
    return export(mapping={"tableId": "in.c-web.all", "columns": list(columns), **others})


def receiver(*exports: dict[str, Any], **others: Any) -> ReceiverDraft:
    return read_receiver({"name": "Clicks", "exports": list(exports), **others})[0]


def differences(plan: Plan) -> list[tuple[str, str | None, str | None]]:
    return [(one.path, one.before, one.after) for step in plan.steps for one in step.differences]


def actions(plan: Plan) -> list[tuple[str, str | None]]:
    return [(step.action.value, step.export_id) for step in plan.steps]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({"split": "off"}, {}, [("split", "off", "on")]),
        ({}, {"split": False}, [("split", "on", "off")]),  # as YAML reads off
        ({"split": True}, {"split": "on"}, []),
        ({}, {"name": "Visits", "id": "clicks"}, [("name", "Clicks", "Visits")]),
    ],
)
def test_receiver_is_changed_where_it_differs(
    before: dict[str, Any], after: dict[str, Any], expected: list[tuple[str, str, str]]
) -> None:
    plan = plan_receiver(receiver(**after), receiver(**before))

    assert differences(plan) == expected
    assert [body_of(step.draft) for step in plan.steps if step.draft is not None] == [
        {path: after for path, _, after in expected} for _ in expected
    ]


def test_unknown_receiver_is_created_with_its_exports() -> None:
    wanted = receiver(export())

    plan = plan_receiver(wanted, None)

    assert plan == Plan((Step(Action.CREATE, "clicks", draft=wanted),))


ID = {"name": "id", "type": "id"}
BODY = {"name": "body", "type": "body"}
PATH = {"name": "x", "type": "path", "path": "a"}


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (export(), export(id="all", name="Everything"), [("name", "All", "Everything")]),
        (export(), export(conditions={"size": "1MB"}), [("conditions.size", "5MB", "1MB")]),
        (export(conditions={"time": "90s"}), export(), [("conditions.time", "1m30s", "5m0s")]),
        (export(conditions={"count": 5}), export(), [("conditions.count", "5", "1000")]),
        (mapped(ID), mapped(ID, incremental=False), [("mapping.incremental", "true", "false")]),
        (mapped(ID), mapped(ID, tableId="in.c-web.b"), [("mapping.tableId", "in.c-web.all", "in.c-web.b")]),
        (mapped(ID), mapped(ID, BODY), [("column body", None, "body")]),
        (mapped(ID, BODY), mapped(ID), [("column body", "body", None)]),
        (mapped(ID, BODY), mapped(BODY, ID), [("order of columns", "id, body", "body, id")]),
        (mapped(ID), mapped({**ID, "primaryKey": True}), [("column id.primaryKey", "false", "true")]),
        (mapped(template("x", "1")), mapped(template("x", "2")), [("column x.template", "1", "2")]),
        (mapped(PATH), mapped({**PATH, "path": "b"}), [("column x.path", "a", "b")]),
        (mapped(PATH), mapped({**PATH, "defaultValue": ""}), [("column x.defaultValue", None, "")]),
        (mapped(PATH), mapped({**PATH, "rawString": True}), [("column x.rawString", "false", "true")]),
        (export(), export(filter=code("true")), [("filter", None, "true")]),
        (export(filter=code("true")), export(filter=code("false")), [("filter", "true", "false")]),
        (export(filter=code("true")), export(), [("filter", "true", None)]),
        (
            mapped({**BODY, "name": "x"}),
            mapped(template("x", "1")),
            [("column x.type", "body", "template"), ("column x.template", None, "1")],
        ),
    ],
)
def test_difference_is_named_with_both_values(
    before: dict[str, Any], after: dict[str, Any], expected: list[tuple[str, str | None, str | None]]
) -> None:
    plan = plan_receiver(receiver(after), receiver(before))

    assert differences(plan) == expected


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (export(), export(conditions={})),
        (export(conditions={"size": "5120kB"}), export(conditions={"size": "5MB"})),
        (export(conditions={"time": "1.5m"}), export(conditions={"time": "1m30s"})),
        (export(conditions={"time": "59.9999999s"}), export(conditions={"time": "1m"})),
        (export(), export(id="ALL")),
        (export(), export(receiverId="clicks")),
        (mapped(ID), mapped({**ID, "primaryKey": False}, incremental=True)),
        (export(), export(filter=None)),
        (mapped(PATH), mapped({**PATH, "defaultValue": None, "rawString": False})),
    ],
)
def test_what_means_the_same_is_unchanged(one: dict[str, Any], other: dict[str, Any]) -> None:
    plan = plan_receiver(receiver(one), receiver(other))

    assert plan == Plan(unchanged=("clicks", "clicks/all"))


def test_only_what_differs_is_sent() -> None:
    before, after = receiver(export()), receiver(export(conditions={"count": 5}))

    step = plan_receiver(after, before).steps[0]

    assert step.draft is not None
    assert body_of(step.draft) == {"conditions": {"count": 5, "size": "5MB", "time": "5m0s"}}


@pytest.mark.parametrize("wanted", [None, code("false")])
def test_filter_is_sent_without_the_mapping(wanted: dict[str, str] | None) -> None:
    before, after = receiver(export(filter=code("true"))), receiver(export(filter=wanted))

    step = plan_receiver(after, before).steps[0]

    assert step.draft is not None
    assert body_of(step.draft) == {"filter": wanted}


def test_description_that_the_file_leaves_out_is_emptied() -> None:
    plan = plan_receiver(receiver(), receiver(description="Old"))

    assert differences(plan) == [("description", "Old", "")]


def test_export_that_the_file_does_not_name_is_left_alone() -> None:
    plan = plan_receiver(receiver(), receiver(export()))

    assert (plan.steps, plan.left_alone) == ((), ("clicks/all",))


def test_pruned_export_is_deleted_before_others_are_changed_and_made() -> None:
    before = receiver(export("Old"), export("Kept"))
    after = receiver(export("New"), export("Kept", conditions={"count": 1}))

    plan = plan_receiver(after, before, prune=True)

    assert (actions(plan), plan.left_alone) == ([("delete", "old"), ("change", "kept"), ("create", "new")], ())


names = st.text("abcXYZ é-7", min_size=1, max_size=12).filter(lambda text: any(c in "abcXYZ7" for c in text))
times = st.one_of(
    st.integers(30, 90_000).map(lambda seconds: f"{seconds}s"),
    st.decimals(0, 90_000, places=7).map(lambda seconds: f"{seconds:f}s"),
    st.tuples(st.integers(0, 24), st.integers(0, 80), st.integers(0, 80)).map(lambda t: f"{t[0]}h{t[1]}m{t[2]}s"),
)
sizes = st.tuples(st.integers(0, 10**7), st.sampled_from(["", "B", "kB", "KB", "m", "GB"])).map(
    lambda t: f"{t[0]}{t[1]}"
)
conditions = st.fixed_dictionaries({}, optional={"count": st.integers(1, 10**7), "size": sizes, "time": times})
plain_columns = st.sampled_from(["id", "datetime", "ip", "body", "headers"]).map(lambda kind: {"type": kind})
plain_columns |= st.fixed_dictionaries(
    {"type": st.just("path"), "path": st.sampled_from(["", "a.b"])},
    optional={"defaultValue": st.sampled_from(["", "d"]), "rawString": st.booleans()},
)
filters = st.none() | st.sampled_from(["true", "Body('a') == 1"]).map(code)
templates = st.sampled_from(["1", 'Body("a")', "{\n  a: 1,\n}"]).map(lambda text: [template("", text)])
# At most one, because each is checked, which takes milliseconds.
kinds = st.tuples(st.lists(plain_columns, min_size=1, max_size=4), st.just([]) | st.just([]) | templates)
columns = kinds.flatmap(
    lambda two: st.permutations(range(len(two[0] + two[1]))).map(
        lambda order: [{**kind, "name": f"c{number}"} for kind, number in zip(two[0] + two[1], order, strict=True)]
    )
)
mappings = st.fixed_dictionaries(
    {"tableId": st.sampled_from(["in.c-a.b", "in.c-a.c"]), "columns": columns}, optional={"incremental": st.booleans()}
)
# Few ids, so that a file and what was there before often have an export in common.
ids = st.sampled_from(["all", "MORE", "some"])
export_bodies = st.fixed_dictionaries(
    {"id": ids, "name": names, "mapping": mappings}, optional={"conditions": conditions, "filter": filters}
)
receiver_bodies = st.fixed_dictionaries(
    {"name": names, "exports": st.lists(export_bodies, max_size=3, unique_by=lambda b: str(b["id"]))},
    optional={"description": st.text(max_size=5)},
)


@hypothesis_settings(max_examples=30)
@given(file=receiver_bodies, before=st.none() | receiver_bodies, prune=st.booleans())
def test_applied_twice_changes_nothing_the_second_time(
    file: dict[str, Any], before: dict[str, Any] | None, prune: bool
) -> None:
    wanted = read_receiver(file)[0]
    found = None if before is None else replace(read_receiver(before)[0], receiver_id=wanted.receiver_id)

    after = carried_out(found, plan_receiver(wanted, found, prune))

    assert plan_receiver(wanted, after, prune).steps == ()


@hypothesis_settings(max_examples=20)
@given(file=receiver_bodies)
def test_what_is_sent_means_what_the_file_says(file: dict[str, Any]) -> None:
    wanted = read_receiver(file)[0]

    assert read_receiver(body_of(wanted)) == (wanted, [])


def carried_out(found: ReceiverDraft | None, plan: Plan) -> ReceiverDraft:
    """A model of the API: what it shows after these calls with the bodies that are sent."""
    for step in plan.steps:
        body = {} if step.draft is None else body_of(step.draft)
        if step.export_id is None:
            now = body if found is None else {**body_of(found), **body}
            found = read_receiver(now)[0]
            continue
        assert found is not None
        there = {one.export_id: one for one in found.exports}
        there.pop(step.export_id, None) if step.action is Action.DELETE else None
        if step.action is Action.CREATE:
            assert step.export_id not in there
            there[step.export_id] = read_export(body)[0]
        elif step.action is Action.CHANGE:
            there[step.export_id] = changed(there[step.export_id], body)
        found = replace(found, exports=tuple(there.values()))
    assert found is not None
    return found


def changed(before: ExportDraft, body: dict[str, Any]) -> ExportDraft:
    return read_export({**body_of(before), **body})[0]


def test_receiver_of_a_source_that_the_api_shows_is_unchanged() -> None:
    wanted = receiver(source={"topic": "orders", "from": "earliest"})
    shown = receiver(source={"topic": "orders"})

    assert plan_receiver(wanted, shown) == Plan(unchanged=("clicks",))
    assert body_of(wanted)["source"] == {"topic": "orders", "from": "earliest"}


@pytest.mark.parametrize("source", [None, {"topic": "others"}])
def test_source_of_a_receiver_cannot_be_changed(source: dict[str, str] | None) -> None:
    with pytest.raises(BadRequest, match="cannot be changed"):
        plan_receiver(receiver(source={"topic": "orders"}), receiver(source=source))
