"""Direct plans: the plainest templates, recognised exactly and evaluated without the engine, ten times quicker.

A plan is a call of one global with literal arguments, or such calls and literals joined by "+", or an object whose
fields are such sums. It gives what the engine gives, or leaves the event to the engine: a sum with an operand that is
not a string, objects, arrays and numbers that need more than their own digits. Anything else in a template means no
plan.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any

from app.mapping import lookups
from app.mapping.calls import Call, bound, read_call, read_literal
from app.mapping.cells import Cells, Template, plain_text, plain_texts
from app.mapping.events import Events
from app.mapping.faults import MAX_ROW_BYTES, TOO_LARGE, Refused, TooMuch, Watch
from app.mapping.jsonnet import JsonnetTemplate
from app.mapping.tokens import Kind, NotPlain, Token, literal, tokens
from app.model.event import Reason


def make_template(source: str, engine: Template | None = None) -> Template:
    """The template made ready, by a plan where there is one. The source must have passed `check_template`.

    `engine` is the same template for what is no plan (rjsonnet's by default).

    >>> type(make_template("Body('a') + '-' + Ip()")).__name__
    'DirectPlan'
    >>> type(make_template("std.length(Body('a'))")).__name__
    'JsonnetTemplate'
    """
    engine = engine or JsonnetTemplate(source)
    plan = read_plan(source)
    return DirectPlan(plan, engine) if plan else engine


@dataclass(frozen=True)
class Sum:
    """Pieces joined by "+": calls, and literals as they are."""

    pieces: tuple[Any, ...]


@dataclass(frozen=True)
class Record:
    """An object: sums by field, in the order in which the engine evaluates and prints them."""

    fields: tuple[tuple[str, Sum], ...]


def read_plan(source: str) -> Sum | Record | None:
    """The template as a plan; None when it is not one.

    >>> read_plan("{ ip: Ip() }")
    Record(fields=(('ip', Sum(pieces=(Call(name='Ip', arguments=()),))),))
    >>> read_plan("Ip() == ''")
    """
    found = tokens(source)
    try:
        plan: Sum | Record
        plan, at = _read_record(found) if found[0].text == "{" else _read_sum(found, 0)
    except NotPlain:
        return None
    return plan if found[at].kind is Kind.END else None


def _read_record(found: Sequence[Token]) -> tuple[Record, int]:
    fields: dict[str, Sum] = {}
    at = 1
    while found[at].text != "}":
        name = literal(found[at]) if found[at].kind is Kind.STRING else found[at].text
        plain = found[at].kind in (Kind.STRING, Kind.WORD) and found[at + 1].text == ":" and found[at + 2].text != ":"
        if not plain or name in fields:
            raise NotPlain(name)
        fields[name], at = _read_sum(found, at + 2)
        if found[at].text == ",":
            at += 1
        elif found[at].text != "}":
            raise NotPlain(name)
    if not fields:
        raise NotPlain("{}")
    return Record(tuple(sorted(fields.items()))), at + 1


def _read_sum(found: Sequence[Token], at: int) -> tuple[Sum, int]:
    pieces = []
    while True:
        read = read_literal if found[at].kind is not Kind.WORD or found[at + 1].text != "(" else read_call
        piece, at = read(found, at)
        pieces.append(piece)
        if found[at].text != "+":
            return Sum(tuple(pieces)), at
        at += 1


class DirectPlan:
    """A plan made ready; `engine` is the same template for the events that a plan must not decide."""

    def __init__(self, plan: Sum | Record, engine: Template) -> None:
        self.plan = plan
        self._engine = engine
        fields = plan.fields if isinstance(plan, Record) else [("", plan)]
        self._frame = [""] * (len(fields) + 1) if isinstance(plan, Sum) else _frame(name for name, _ in fields)
        self._columns = [_column(part) for _, part in fields]
        self._values = [_value(part) for _, part in fields]

    def evaluate(self, events: Events, indexes: Sequence[int], max_chars: int, watch: Watch) -> Cells:
        texts = self._at_once(events, indexes, max_chars)
        if texts is not None:
            return Cells(texts)
        return self._one_by_one(events, indexes, max_chars, watch)

    def _at_once(self, events: Events, indexes: Sequence[int], max_chars: int) -> list[str] | None:
        """The cells, if none needs to be looked at alone."""
        parts: list[Iterable[str]] = []
        spare = max_chars
        for before, column in zip(self._frame, self._columns, strict=False):
            texts = column(events, indexes, spare)
            spare -= sum(map(len, texts or ()))
            if texts is None or spare < 0:
                return None
            parts += [repeat(before), texts] if before else [texts]
        if len(parts) == 1:
            cells = list(parts[0])
        else:
            cells = list(map("".join, zip(*parts, repeat(self._frame[-1]), strict=False)))
        return cells if max(map(len, cells), default=0) <= MAX_ROW_BYTES else None

    def _one_by_one(self, events: Events, indexes: Sequence[int], max_chars: int, watch: Watch) -> Cells:
        texts: list[str] = []
        refused: dict[int, Refused] = {}
        left: list[int] = []
        spare = max_chars
        for index in indexes:
            try:
                text = self._cell(events, index)
            except Refused as error:
                refused[index] = Refused(error.reason, error.message)  # without the stack that it holds
                text = ""
            if text is None:
                left.append(len(texts))
                text = ""
            texts.append(text)
            spare -= len(text)
            if spare < 0 and len(indexes) > 1:
                raise TooMuch
        if left:
            rest = self._engine.evaluate(events, [indexes[at] for at in left], max_chars, watch)
            for at, text in zip(left, rest.texts, strict=False):
                texts[at] = text
            refused |= rest.refused
            if len(rest.texts) < len(left):
                del texts[left[len(rest.texts)] :]
        return Cells(texts, refused)

    def _cell(self, events: Events, index: int) -> str | None:
        """An event's cell; None leaves it to the engine. Raises Refused."""
        cell = ""
        for before, value_of in zip(self._frame, self._values, strict=False):
            text = plain_text(value_of(events, index))
            if text is None:
                return None
            if len(cell) <= MAX_ROW_BYTES:  # more than that is refused anyway, unless a field behind it fails
                cell += before + text
        if len(cell) > MAX_ROW_BYTES:
            raise Refused(Reason.ROW_TOO_LARGE, TOO_LARGE)
        return cell + self._frame[-1]


def _frame(names: Iterable[str]) -> list[str]:
    """What stands before each field's value, and behind the last."""
    keys = [f"{plain_text(name)}:" for name in names]
    return ["{" + keys[0], *(f",{key}" for key in keys[1:]), "}"]


def _column(part: Sum) -> Callable[[Events, Sequence[int], int], list[str] | None]:
    """A sum's texts for many events; None when one of them must be looked at alone."""
    columns = [lookups.column(piece) if isinstance(piece, Call) else lookups.constant(piece) for piece in part.pieces]

    def texts_of(events: Events, indexes: Sequence[int], max_chars: int) -> list[str] | None:
        values = []
        chars = 0
        for column in columns:
            column_values = column(events, indexes)
            if column_values is None:
                return None
            if len(columns) == 1:
                return plain_texts(column_values)
            if set(map(type, column_values)) != {str}:
                return None
            chars += sum(map(len, column_values))
            if chars > max_chars:
                return None
            values.append(column_values)
        return plain_texts(list(map("".join, zip(*values, strict=True))))

    return texts_of


def _value(part: Sum) -> Callable[[Events, int], Any]:
    """A sum's value for one event: its only piece's value, or a string; a list stands for what the engine must add."""
    pieces = [bound(piece) if isinstance(piece, Call) else _always(piece) for piece in part.pieces]
    if len(pieces) == 1:
        return pieces[0]

    def value_of(events: Events, index: int) -> Any:
        joined = ""
        for piece in pieces:
            value = piece(events, index)
            if type(value) is not str:
                return _FOR_ENGINE
            if len(joined) <= MAX_ROW_BYTES:  # more than that is refused anyway
                joined += value
        return joined

    return value_of


_FOR_ENGINE: list[Any] = []


def _always(value: Any) -> Callable[[Events, int], Any]:
    return lambda events, index: value
