"""Direct plans: the plainest templates, recognised exactly and evaluated without the engine, ten times quicker.

A plan is a call of one global with literal arguments, or such calls and string literals joined by "+". It gives what
the engine gives, or leaves the event to the engine: a sum with an operand that is not a string, objects, arrays and
numbers that need more than their own digits. Anything else in a template, an escape or a comment too, means no plan.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import orjson

from app.mapping import globals
from app.mapping.body import BodyInvalid
from app.mapping.events import Events
from app.mapping.faults import MAX_ROW_BYTES, TOO_LARGE, Refused, TooMuch, Watch
from app.mapping.globals import NO_DEFAULT
from app.mapping.jsonnet import Cells, JsonnetTemplate, Template, escape_controls
from app.mapping.now import DEFAULT_FORMAT
from app.mapping.paths import path_parts
from app.model.event import Reason

Piece = Callable[[Events, int], Any]

_TOKEN = re.compile(
    r"""[ \t\r\n]*(?:
        "(?P<double>[^"\\]*)" | '(?P<single>[^'\\]*)'
      | (?P<number>-?(?:0|[1-9][0-9]{0,14})(?![0-9.eE_A-Za-z]))
      | (?P<word>[A-Za-z_][A-Za-z0-9_]*)
      | (?P<sign>[+(),=])
      | (?P<end>\Z)
    )""",
    re.VERBOSE,
)
_WORDS = {"null": None, "true": True, "false": False}
_PARAMETERS: dict[str, dict[str, Any]] = {
    "Ip": {},
    "BodyStr": {},
    "HeaderStr": {},
    "Now": {"format": DEFAULT_FORMAT},
    "Header": {"header": "", "default": NO_DEFAULT},
    "Body": {"path": "", "default": NO_DEFAULT},
}


def make_template(source: str) -> Template:
    """The template made ready, by a plan where there is one. The source must have passed `check_template`.

    >>> type(make_template("Body('a') + '-' + Ip()")).__name__
    'DirectPlan'
    >>> type(make_template("std.length(Body('a'))")).__name__
    'JsonnetTemplate'
    """
    engine = JsonnetTemplate(source)
    pieces = _Reader(source).pieces()
    return DirectPlan(pieces, engine) if pieces else engine


class _NoPlan(Exception):
    """The template is not plain."""


class _Reader:
    """Reads a source as a plan: pieces joined by "+"."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._position = 0
        self._kind = ""
        self._value: Any = None

    def pieces(self) -> list[Piece]:
        """The operands in order; none when the source is not a plan."""
        try:
            self._next()
            pieces = [self._piece()]
            while self._is("+"):
                self._next()
                pieces.append(self._piece())
            if self._kind != "end":
                raise _NoPlan
        except _NoPlan:
            return []
        return pieces

    def _next(self) -> None:
        found = _TOKEN.match(self._source, self._position)
        if found is None:
            raise _NoPlan
        self._position = found.end()
        kind = found.lastgroup or ""
        text = found[kind]
        if kind in ("double", "single"):
            self._kind, self._value = "literal", text
        elif kind == "number":
            # -0 is a double of its own in Jsonnet, but an int here.
            if text == "-0":
                raise _NoPlan
            self._kind, self._value = "literal", int(text)
        elif text in _WORDS:
            self._kind, self._value = "literal", _WORDS[text]
        else:
            self._kind, self._value = kind, text

    def _is(self, sign: str) -> bool:
        return self._kind == "sign" and self._value == sign

    def _take(self, sign: str) -> None:
        if not self._is(sign):
            raise _NoPlan
        self._next()

    def _piece(self) -> Piece:
        if self._kind == "literal":
            literal = self._value
            self._next()
            return lambda events, index: literal
        if self._kind != "word" or self._value not in _PARAMETERS:
            raise _NoPlan
        name = self._value
        self._next()
        return _call(name, self._arguments(_PARAMETERS[name]))

    def _arguments(self, parameters: dict[str, Any]) -> list[Any]:
        """The literal for each parameter, defaults where none is given."""
        given: dict[str, Any] = {}
        names = list(parameters)
        self._take("(")
        positional = True
        while not self._is(")"):
            if given:
                self._take(",")
            if self._kind == "word":
                name, positional = self._value, False
                self._next()
                self._take("=")
            elif positional and len(given) < len(names):
                name = names[len(given)]
            else:
                raise _NoPlan
            if name not in parameters or name in given or self._kind != "literal":
                raise _NoPlan
            given[name] = self._value
            self._next()
        self._next()
        return list((parameters | given).values())


def _call(name: str, arguments: list[Any]) -> Piece:
    match name:
        case "Ip":
            return lambda events, index: events.batch.ips[index]
        case "BodyStr":
            return lambda events, index: events.text(index)
        case "HeaderStr":
            return lambda events, index: events.headers(index).text
        case "Now":
            return lambda events, index: globals.now(events, index, *arguments)
        case "Header":
            return lambda events, index: globals.header(events, index, *arguments)
        case _:
            return _body(*arguments)


def _body(path: Any, default: Any) -> Piece:
    """`Body(path, default)`, quick where the path is of keys alone and ends at a string, as most do."""
    keys = path_parts(path) if type(path) is str else ()
    if not keys or not all(type(key) is str for key in keys):
        return lambda events, index: globals.body(events, index, path, default)

    def piece(events: Events, index: int) -> Any:
        try:
            value = events.value(index)
            for key in keys:
                value = value[key]  # of all that JSON has, only an object takes a string
            if type(value) is str:
                return value
        except (KeyError, TypeError, BodyInvalid):
            pass
        return globals.body(events, index, path, default)

    return piece


class DirectPlan:
    """A template of joined pieces; `engine` is the same template for the events that a plan must not decide."""

    def __init__(self, pieces: list[Piece], engine: Template) -> None:
        self.pieces = pieces
        self._engine = engine

    def evaluate(self, events: Events, indexes: Sequence[int], max_chars: int, watch: Watch) -> Cells:
        texts: list[str] = []
        refused: dict[int, Refused] = {}
        left: list[int] = []
        cell = _one(self.pieces[0]) if len(self.pieces) == 1 else _sum(self.pieces)
        for index in indexes:
            try:
                text = cell(events, index)
            except Refused as error:
                refused[index] = Refused(error.reason, error.message)  # without the stack that it holds
                text = ""
            if text is None:
                left.append(len(texts))
                text = ""
            texts.append(text)
        if sum(map(len, texts)) > max_chars and len(texts) > 1:
            raise TooMuch
        texts = escape_controls(texts)
        if left:
            rest = self._engine.evaluate(events, [indexes[at] for at in left], max_chars, watch)
            for at, text in zip(left, rest.texts, strict=False):
                texts[at] = text
            refused |= rest.refused
            if len(rest.texts) < len(left):
                del texts[left[len(rest.texts)] :]
        return Cells(texts, refused)


Cell = Callable[[Events, int], str | None]
"""An event's cell; None leaves it to the engine."""


def _one(piece: Piece) -> Cell:
    def cell(events: Events, index: int) -> str | None:
        value = piece(events, index)
        kind = type(value)
        if kind is str:
            return _string(value)
        if kind is int:
            return str(value) if -_EXACT < value < _EXACT else None
        if kind is float:
            return _number(value)
        if value is None:
            return "null"
        if kind is bool:
            return "true" if value else "false"
        return None

    return cell


def _sum(pieces: Sequence[Piece]) -> Cell:
    def cell(events: Events, index: int) -> str | None:
        joined = ""
        for piece in pieces:
            value = piece(events, index)
            if type(value) is not str:
                return None
            if len(joined) <= MAX_ROW_BYTES:  # more than that is refused anyway
                joined += value
        return _string(joined)

    return cell


_EXACT = 1 << 53


def _string(value: str) -> str | None:
    if len(value) > MAX_ROW_BYTES:
        raise Refused(Reason.ROW_TOO_LARGE, TOO_LARGE)
    try:
        text = orjson.dumps(value).decode()
    except orjson.JSONEncodeError:
        return None
    if len(text) > MAX_ROW_BYTES:
        raise Refused(Reason.ROW_TOO_LARGE, TOO_LARGE)
    return text


def _number(value: float) -> str | None:
    """The engine's text where it is plain: shortest digits, no exponent, no fraction for whole numbers."""
    text = repr(value)
    if "e" in text:
        return None
    return text.removesuffix(".0")
