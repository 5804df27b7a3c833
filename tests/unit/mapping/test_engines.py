"""Choosing an engine, and what the C++ one needs beside the corpus of `test_differential`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import _jsonnet
import orjson
import pytest
from same_cells import outcomes
from template_grammar import Event

from app.mapping.children import MappingPool
from app.mapping.engines import make_template
from app.mapping.events import Events
from app.mapping.faults import TooMuch, Unwatched
from app.mapping.jsonnet_cpp import CppTemplate
from app.model.engine import Engine
from app.model.event import EventBatch, Reason, Segment
from app.model.receiver import Mapping
from app.settings import Settings

MakeBatch = Callable[..., EventBatch]
MakeMapping = Callable[..., Mapping]


@pytest.fixture
def evaluations(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The snippets that the C++ engine was given."""
    given: list[str] = []
    evaluate = _jsonnet.evaluate_snippet

    def counted(name: str, snippet: str, **options: Any) -> str:
        given.append(snippet)
        return evaluate(name, snippet, **options)

    monkeypatch.setattr(_jsonnet, "evaluate_snippet", counted)
    return given


def test_setting_takes_both_names(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings(_env_file=None).jsonnet_engine is Engine.RJSONNET  # type: ignore[call-arg]  # pydantic-settings' own

    monkeypatch.setenv("STREAMS_JSONNET_ENGINE", "jsonnet")

    assert Settings(_env_file=None).jsonnet_engine is Engine.JSONNET  # type: ignore[call-arg]  # the same


async def test_children_map_by_the_engine_of_their_pool(
    make_batch: MakeBatch, make_mapping: MakeMapping, outcome: Callable[[list[Segment]], Any]
) -> None:
    mapping = make_mapping(plan="Body('x')", other="[Body('x')]")
    pool = MappingPool(1, engine=Engine.JSONNET)
    await pool.start()
    try:
        (segments,) = await pool.map([("key", mapping)], make_batch(b'{"x":1.1}', b'{"x":2}'))
    finally:
        await pool.close()

    assert outcome(segments)[0] == {0: b'"1.1000000000000001","[1.1000000000000001]"\n', 1: b'"2","[2]"\n'}


def test_plan_leaves_nothing_but_fractions_to_the_engine(evaluations: list[str]) -> None:
    bodies = [b'"1.5"', b"2", b"null", b'{"a":"1.5"}', b"1.1", b"-0.0", b"[1.5]", b'"\\"."']
    some = [Event(b'{"x":%s}' % body, ()) for body in bodies]

    texts = outcomes(make_template("Body('x')", Engine.JSONNET), some)

    assert texts == ['"1.5"', "2", "null", '{"a":"1.5"}', "1.1000000000000001", "-0", "[1.5]", '"\\"."']
    # One for the object and the array, which no plan prints, one for the fraction.
    assert [snippet.rpartition("range(1, ")[2] for snippet in evaluations] == ["2)]", "2)]"]


def test_look_up_that_fails_does_not_end_the_evaluation(evaluations: list[str]) -> None:
    made = outcomes(CppTemplate("[Body('nope'), Header('nope')]"), [Event(b"{}", ())] * 100)

    assert made == [("template.error", 'path "nope" not found in the body')] * 100
    assert len(evaluations) == 1


@pytest.mark.parametrize("name", ["import", "importstr", "importbin"])
@pytest.mark.parametrize("engine", Engine)
def test_imports_are_refused(name: str, engine: Engine) -> None:
    made = outcomes(make_template(f"{name} '/etc/hostname'", engine), [Event(b"", ())])

    assert made == [("template.error", 'imports are not allowed: "/etc/hostname"')]


@pytest.mark.parametrize("engine", Engine)
@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("error 'two\\nlines'", "two\nlines"),
        ("assert false : 'said'; 1", "said"),
        ("assert false; 1", "Assertion failed."),
        ("{ assert false }", "Assertion failed."),
        (
            "local f(x) = 1 + f(x); f(1)",
            "max stack frames exceeded: the template calls itself, or its value is nested, deeper than 500 frames",
        ),
        ("function(x) x", "tried to manifest function"),
        ("Body(1)", 'Body: "path" must be a string, got number'),
    ],
)
def test_message_is_the_same_by_both_engines(template: str, message: str, engine: Engine) -> None:
    assert outcomes(make_template(template, engine), [Event(b"{}", ())]) == [("template.error", message)]


def test_cell_over_the_rows_limit_is_refused() -> None:
    some = [Event(orjson.dumps("x" * (1 << 20)), ()), Event(b'"small"', ())]

    large, small = outcomes(CppTemplate("Body()"), some)

    assert large[0] == Reason.ROW_TOO_LARGE
    assert small == '"small"'


def test_more_text_than_allowed_is_too_much_for_several_events_only(make_batch: MakeBatch) -> None:
    events = Events.of(make_batch(b"{}", b"{}"))
    template = CppTemplate("std.repeat('x', 100)")

    with pytest.raises(TooMuch):
        template.evaluate(events, [0, 1], 150, Unwatched())

    assert len(template.evaluate(events, [0], 50, Unwatched()).texts[0]) == 102


class StopAfter(Unwatched):
    """A watch whose time is used up after some events."""

    def __init__(self, events: int) -> None:
        self.left = events
        self.seen: list[int] = []

    def at(self, index: int) -> None:
        self.seen.append(index)

    def expired(self) -> bool:
        self.left -= 1
        return self.left <= 0


def test_evaluation_ends_when_the_time_is_used_up(make_batch: MakeBatch) -> None:
    watch = StopAfter(3)

    cells = CppTemplate("std.length(BodyStr())").evaluate(Events.of(make_batch(*[b"{}"] * 10)), range(10), 1000, watch)

    assert cells.texts == ["2", "2", "2"]
    assert watch.seen == [0, 1, 2]


@pytest.mark.parametrize("depth", [254, 255, 400])
def test_deep_body_is_printed(depth: int) -> None:
    body = b"[" * depth + b"]" * depth

    assert outcomes(CppTemplate("Body()"), [Event(body, ())]) == [body.decode()]


@pytest.mark.parametrize("depth", [500, 1024])
def test_body_that_is_too_deep_fails_and_harms_no_other(depth: int) -> None:
    body = b"[" * depth + b"]" * depth

    deep, other = outcomes(CppTemplate("Body()"), [Event(body, ()), Event(b"1", ())])

    assert deep[0] == Reason.TEMPLATE_ERROR
    assert deep[1].startswith("max stack frames exceeded")
    assert other == "1"
