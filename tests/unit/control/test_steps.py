"""The steps of a task against a simulated Storage: lost answers and a crash between any two steps."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.control.steps import (
    CreateBucket,
    CreateTable,
    CreateToken,
    DeleteBucket,
    DeleteTable,
    DeleteTokens,
    Failure,
    Known,
    LookAtBucket,
    LookAtTable,
    LookAtTokens,
    Progress,
    Step,
    Table,
    Token,
    Wanted,
    WriteProgress,
    dump_progress,
    load_progress,
    may_be_left,
    next_step,
    next_undo,
    token_description,
)
from app.model.errors import BadRequest
from app.model.receiver import Column, ColumnType, Mapping, TableId

COLUMNS = (Column("id", ColumnType.ID, primary_key=True), Column("body", ColumnType.BODY))
TABLE = Table(("id", "body"), ("id",))


def want(export_id: str, table_id: str) -> Wanted:
    return Wanted(export_id, token_description("r", export_id), Mapping(table_id, COLUMNS))


@dataclass
class World:
    """Storage, and what a task's record keeps over a crash."""

    buckets: set[str] = field(default_factory=set)
    tables: dict[str, Table] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)
    progress: Progress | None = None
    ids: itertools.count[int] = field(default_factory=itertools.count)

    def carry_out(self, step: Step, known: Known) -> Known:
        """As `provision` does, but in memory; what is impossible in Storage is an error here."""
        match step:
            case LookAtBucket(bucket):
                return known.with_bucket(bucket, bucket in self.buckets)
            case LookAtTable(table):
                return known.with_table(table, self.tables.get(table))
            case LookAtTokens():
                return replace(known, tokens=dict(self.tokens))
            case WriteProgress(progress):
                self.progress = load_progress(dump_progress(progress))
                return known
            case CreateBucket(bucket):
                assert bucket not in self.buckets
                self.buckets.add(bucket)
                return known.with_bucket(bucket, True)
            case CreateToken(export_id, description, bucket):
                assert bucket in self.buckets
                token = Token(f"new-{next(self.ids)}", "secret")
                self.tokens[token.token_id] = description
                return known.with_token(export_id, token, description)
            case CreateTable(mapping):
                assert mapping.table_id not in self.tables
                assert TableId.parse(mapping.table_id).bucket_id in self.buckets
                self.tables[mapping.table_id] = TABLE
                return known.with_table(mapping.table_id, TABLE)
            case DeleteTokens(token_ids):
                for token_id in token_ids:
                    self.tokens.pop(token_id, None)
                return known.without_tokens(token_ids)
            case DeleteTable(table):
                self.tables.pop(table, None)
                return known.with_table(table, None)
            case DeleteBucket(bucket):
                assert not [table for table in self.tables if table.startswith(f"{bucket}.")]
                self.buckets.discard(bucket)
                return known.with_bucket(bucket, False)


def forget(step: Step, known: Known) -> Known:
    match step:
        case CreateBucket(bucket) | DeleteBucket(bucket):
            return known.with_bucket(bucket, None)
        case CreateTable(mapping):
            return known.without_table(mapping.table_id)
        case DeleteTable(table):
            return known.without_table(table)
        case CreateToken() | DeleteTokens():
            return replace(known, tokens=None)
    return known


def run(
    world: World, wanted: list[Wanted], accidents: dict[int, str], undo_after: int | None = None
) -> tuple[Known, list[str]]:
    """Go through the steps; `accidents` say what happens to which of them.

    After `undo_after` steps the task has failed and is undone. Returns what is known at the end, and the steps' kinds.
    """
    known, done = Known(), []
    for count in itertools.count():
        assert count < 500, "the steps do not come to an end"
        if undo_after is not None and count >= undo_after and world.progress is not None:
            failing = world.progress.failure is None
            world.progress = replace(world.progress, failure=Failure("it failed"))
            known = replace(known, tables={}, held={}) if failing else known
        undoing = world.progress is not None and world.progress.failure is not None
        step = (
            next_undo(wanted, world.progress or Progress(), known)
            if undoing
            else next_step(wanted, world.progress, known)
        )
        if step is None:
            return known, done
        done.append(type(step).__name__)
        match accidents.get(count, "ok"):
            case "ok":
                known = world.carry_out(step, known)
            case "lost after the effect":
                world.carry_out(step, known)
                known = forget(step, known)
            case "lost before the effect":
                known = forget(step, known)
            case "crash after the effect":
                world.carry_out(step, known)
                known = Known()
            case "crash before the effect":
                known = Known()
    raise AssertionError


ACCIDENTS = st.dictionaries(
    st.integers(0, 25),
    st.sampled_from(
        ["lost after the effect", "lost before the effect", "crash after the effect", "crash before the effect"]
    ),
    max_size=6,
)
TABLES = ["in.c-one.a", "in.c-one.b", "in.c-two.a"]
WANTED = st.lists(st.sampled_from(TABLES), min_size=1, max_size=4).map(
    lambda tables: [want(f"e{number}", table) for number, table in enumerate(tables)]
)


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Storage with some of the buckets and tables, and tokens of others with the descriptions that we use."""
    tables = draw(st.sets(st.sampled_from(TABLES)))
    buckets = draw(st.sets(st.sampled_from(["in.c-one", "in.c-two"])))
    others = draw(st.sets(st.sampled_from(["e0", "e1", "e9"])))
    return World(
        buckets | {TableId.parse(table).bucket_id for table in tables},
        dict.fromkeys(tables, TABLE),
        {f"other-{export}": token_description("r", export) for export in others},
    )


@given(worlds(), WANTED, ACCIDENTS)
def test_all_is_made_once_whatever_happens(world: World, wanted: list[Wanted], accidents: dict[int, str]) -> None:
    others = dict(world.tokens)

    known, _ = run(world, wanted, accidents)

    assert set(world.tables) >= {one.mapping.table_id for one in wanted}
    made = {key: description for key, description in world.tokens.items() if key not in others}
    assert made == {known.held[one.export_id].token_id: one.description for one in wanted}
    assert others.items() <= world.tokens.items()


@given(worlds(), WANTED, ACCIDENTS, st.integers(0, 30))
def test_undone_task_leaves_storage_as_it_was(
    world: World, wanted: list[Wanted], accidents: dict[int, str], undo_after: int
) -> None:
    before = (set(world.buckets), dict(world.tables), dict(world.tokens))

    run(world, wanted, accidents, undo_after)

    if world.progress is not None and world.progress.failure is not None:
        assert (world.buckets, world.tables, world.tokens) == before


def test_order_is_bucket_token_table() -> None:
    _, done = run(World(), [want("e", "in.c-one.a")], {})

    assert [step for step in done if step.startswith("Create")] == ["CreateBucket", "CreateToken", "CreateTable"]
    assert done.index("WriteProgress") < done.index("CreateBucket")


def test_undoing_is_in_reverse_order() -> None:
    world, wanted = World(), [want("e", "in.c-one.a")]
    run(world, wanted, {})
    assert world.progress is not None
    world.progress = replace(world.progress, failure=Failure("it failed"))

    _, done = run(world, wanted, {})

    assert [step for step in done if step.startswith("Delete")] == ["DeleteTable", "DeleteTokens", "DeleteBucket"]


def test_table_that_has_got_rows_is_not_deleted_and_its_bucket_neither() -> None:
    world, wanted = World(), [want("e", "in.c-one.a")]
    run(world, wanted, {})
    assert world.progress is not None
    world.progress = replace(world.progress, failure=Failure("it failed"))
    world.tables["in.c-one.a"] = replace(TABLE, rows=1)

    run(world, wanted, {})

    assert (set(world.tables), world.buckets, world.tokens) == ({"in.c-one.a"}, {"in.c-one"}, {})


def test_mismatch_is_found_before_anything_is_made() -> None:
    world = World({"in.c-one"}, {"in.c-one.a": Table(("id", "other"), ())})

    with pytest.raises(BadRequest) as refusal:
        run(world, [want("e", "in.c-one.a")], {})

    assert refusal.value.message == (
        '- columns of the table "in.c-one.a" do not match expected ["id","body"], found ["id","other"]\n'
        '- primary key of the table "in.c-one.a" does not match expected ["id"], found []'
    )
    assert (world.progress, world.tokens) == (None, {})


def test_two_exports_of_one_task_must_agree_on_their_table() -> None:
    other = replace(want("f", "in.c-one.a"), mapping=Mapping("in.c-one.a", COLUMNS[:1]))

    with pytest.raises(BadRequest, match=r'expected \["id"\], found \["id","body"\]'):
        run(World(), [want("e", "in.c-one.a"), other], {})


@pytest.mark.parametrize(
    ("known", "left"),
    [
        (
            Known({"in.c-one": True}, {"in.c-one.a": TABLE}, {"7": token_description("r", "e"), "8": "another's"}),
            ['the table "in.c-one.a"', "the token 7", 'the bucket "in.c-one"'],
        ),
        (
            Known(),
            [
                'the table "in.c-one.a"',
                'the token described as "[_internal] Buffer Export e for Receiver r"',
                'the bucket "in.c-one"',
            ],
        ),
        (Known({"in.c-one": True}, {"in.c-one.a": None}, {}), ['the bucket "in.c-one"']),
        (Known({"in.c-one": False}, {}, {"6": token_description("r", "e")}), []),
    ],
    ids=["all is there", "nothing is known", "only the bucket is there", "another's token is there"],
)
def test_what_may_be_left_is_named_in_the_order_of_deletion(known: Known, left: list[str]) -> None:
    progress = Progress(buckets=("in.c-one",), tables=("in.c-one.a",), other_tokens=("6",))

    assert may_be_left([want("e", "in.c-one.a")], progress, known) == left
