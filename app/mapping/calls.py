"""Calls of the globals with literal arguments, such as `Body('a.b', 'none')`: read from the source, made for an event.

Most templates look up what they need by calls of this kind. They are the pieces of direct plans, and in other templates
each is bound to its arguments before the engine runs (`bind_calls`), which saves a third of an evaluation. What a call
gives is decided in `app.mapping.globals` all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from app.mapping import globals
from app.mapping.body import BodyInvalid
from app.mapping.events import Events
from app.mapping.globals import NO_DEFAULT
from app.mapping.now import DEFAULT_FORMAT
from app.mapping.paths import path_parts
from app.mapping.tokens import Kind, NotPlain, Token, literal, tokens

PARAMETERS: dict[str, dict[str, Any]] = {
    "Ip": {},
    "Now": {"format": DEFAULT_FORMAT},
    "HeaderStr": {},
    "Header": {"header": "", "default": NO_DEFAULT},
    "BodyStr": {},
    "Body": {"path": "", "default": NO_DEFAULT},
}
"""The globals, their parameters in order, and the defaults. Source: Buffer API, signatures."""


@dataclass(frozen=True)
class Call:
    """A global and a literal for each of its parameters."""

    name: str
    arguments: tuple[Any, ...]


def read_call(found: Sequence[Token], at: int) -> tuple[Call, int]:
    """The call that begins with the token at this place, and the place behind it. Raises NotPlain.

    >>> read_call(tokens("Body(default=null, path='a')"), 0)
    (Call(name='Body', arguments=('a', None)), 10)
    """
    name = found[at].text
    if name not in PARAMETERS or found[at + 1].text != "(":
        raise NotPlain(name)
    given: dict[str, Any] = {}
    at += 2
    positional = True
    while found[at].text != ")":
        if given:
            at = _behind(found, at, ",")
        if found[at].kind is Kind.WORD and found[at + 1].text == "=":
            parameter, positional = found[at].text, False
            at += 2
        elif positional and len(given) < len(PARAMETERS[name]):
            parameter = list(PARAMETERS[name])[len(given)]
        else:
            raise NotPlain(name)
        if parameter not in PARAMETERS[name] or parameter in given:
            raise NotPlain(parameter)
        given[parameter], at = read_literal(found, at)
    return Call(name, tuple((PARAMETERS[name] | given).values())), at + 1


def read_literal(found: Sequence[Token], at: int) -> tuple[Any, int]:
    """The value of the plain literal, which may be a negative number, at this place, and the place behind it. Raises
    NotPlain.

    >>> read_literal(tokens("-5"), 0)
    (-5, 2)
    """
    if found[at].text != "-":
        return literal(found[at]), at + 1
    value = literal(found[at + 1])
    if type(value) is not int or value == 0:  # -0 is a double of its own in Jsonnet
        raise NotPlain(found[at + 1].text)
    return -value, at + 2


def _behind(found: Sequence[Token], at: int, sign: str) -> int:
    if found[at].text != sign:
        raise NotPlain(found[at].text)
    return at + 1


def bind_calls(source: str, prefix: str) -> tuple[str, list[Call]]:
    """The source with each plain call replaced by a call of `<prefix><n>` without arguments, and these calls.

    Calls of a global are left as they are when any of its occurrences may be something else: a variable or parameter
    that the template defines under this name, a field, or the global as a value.

    >>> bind_calls("std.asciiUpper(Header('x', 'none')) + Ip()", "call")
    ('std.asciiUpper(call0()) + call1()', [Call(name='Header', arguments=('x', 'none')), Call(name='Ip', arguments=())])
    >>> bind_calls("local Body(path='a') = path; Body('b')", "call")
    ("local Body(path='a') = path; Body('b')", [])
    """
    found = tokens(source)
    places: list[tuple[int, int, Call]] = []
    unsure: set[str] = set()
    for at, token in enumerate(found):
        if token.kind is not Kind.WORD or token.text not in PARAMETERS:
            continue
        try:
            call, behind = read_call(found, at)
        except NotPlain:
            if not _is_call(found, at):
                unsure.add(token.text)
            continue
        if _is_global(found, at, behind):
            places.append((token.start, found[behind - 1].end, call))
        else:
            unsure.add(token.text)
    pieces: list[str] = []
    calls: list[Call] = []
    end = 0
    for start, stop, call in places:
        if call.name not in unsure:
            pieces += [source[end:start], f"{prefix}{len(calls)}()"]
            calls.append(call)
            end = stop
    return "".join([*pieces, source[end:]]), calls


def _is_global(found: Sequence[Token], at: int, behind: int) -> bool:
    """Whether what looks like a plain call is one: not a definition (`local Body() = 1`), a method or a field."""
    before, after = found[at - 1].text if at else "", found[behind].text
    if before == "local" or before == ".":
        return False
    if after == "=":
        return found[behind + 1].text == "=" and found[behind + 1].start == found[behind].end
    return after not in (":", "+") or (after == "+" and found[behind + 1].text != ":")


def _is_call(found: Sequence[Token], at: int) -> bool:
    """Whether the name is called here with arguments that are not plain, and surely not defined."""
    before = found[at - 1].text if at else ""
    return found[at + 1].text == "(" and before not in ("local", ".", ",", "{")


def bound(call: Call) -> Callable[[Events, int], Any]:
    """What the call gives for an event. The function raises Refused.

    >>> from app.mapping.examples import EVENTS
    >>> bound(Call("Body", ("user.id", None)))(EVENTS, 0)
    7
    """
    match call.name:
        case "Ip":
            return lambda events, index: events.batch.ips[index]
        case "BodyStr":
            return lambda events, index: events.text(index)
        case "HeaderStr":
            return lambda events, index: events.headers(index).text
        case "Now":
            return lambda events, index: globals.now(events, index, *call.arguments)
        case "Header":
            return lambda events, index: globals.header(events, index, *call.arguments)
        case _:
            return _bound_body(*call.arguments)


def body_keys(path: Any) -> tuple[str, ...]:
    """The keys of a path that goes through objects alone; none for any other path.

    >>> body_keys("user.id"), body_keys("tags[0]")
    (('user', 'id'), ())
    """
    parts = path_parts(path) if type(path) is str else ()
    keys = tuple(part for part in parts if type(part) is str)
    return keys if len(keys) == len(parts) else ()


def _bound_body(path: Any, default: Any) -> Callable[[Events, int], Any]:
    """`Body(path, default)`, quick where the path is of keys alone and ends at a string, as most do."""
    keys = body_keys(path)
    if not keys:
        return lambda events, index: globals.body(events, index, path, default)

    def value_of(events: Events, index: int) -> Any:
        try:
            value = events.value(index)
            for key in keys:
                value = value[key]  # of all that JSON has, only an object takes a string
            if type(value) is str:
                return value
        except (KeyError, TypeError, BodyInvalid):
            pass
        return globals.body(events, index, path, default)

    return value_of
