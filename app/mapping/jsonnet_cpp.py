"""Templates evaluated by the C++ Jsonnet: the same snippet for many events, as in `app.mapping.jsonnet`.

An evaluation costs 33 ms before it begins (the engine parses its standard library in each), and so does every event
that fails otherwise than by a look-up, for the next evaluation starts behind it.

The binding takes and gives C strings, and nothing but primitives as arguments. So arguments come as one JSON text, and
objects, arrays and texts that C cannot hold go back as JSON; cells are printed by `std.toString`, which is native where
`std.manifestJson` is not, and their spaces taken out here.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NoReturn

import _jsonnet
import orjson

from app.mapping import globals
from app.mapping.cells import Cells
from app.mapping.events import Events
from app.mapping.faults import MAX_ROW_BYTES, TOO_LARGE, Refused, TooMuch, Watch
from app.mapping.headers import clean_text
from app.mapping.messages import MAX_STACK, TOO_DEEP, tidied
from app.mapping.now import DEFAULT_FORMAT
from app.mapping.std import CPP_STD, NATIVES, Natives, supplied
from app.model.event import Reason

EVENTS_PER_EVALUATION = 5000
_GC_MIN_OBJECTS = 100_000
_REMEMBERED_CHARS = 200
# A template can call std.native and name any variable; it cannot guess these.
_KEY = secrets.token_hex(8)
_ND = globals.NO_DEFAULT
_FRAME = f"""local cell_{_KEY} = std.native('{_KEY}cell'), std_{_KEY} = std,
  value_{_KEY}(given) = if std_{_KEY}.isArray(given) then std_{_KEY}.parseJson(given[0]) else given;
"""
_PARAMETERS = {
    "Ip": "",
    "Now": f"format='{DEFAULT_FORMAT}'",
    "HeaderStr": "",
    "Header": f"header='', default='{_ND}'",
    "BodyStr": "",
    "Body": f"path='', default='{_ND}'",
}
_ARGUMENTS = re.compile(r"(\w+)=")
_SPACE = re.compile(r'("(?:[^"\\]|\\.)*")| ')


def _definition(name: str) -> str:
    parameters = _PARAMETERS[name]
    arguments = ", ".join(_ARGUMENTS.findall(parameters))
    return (
        f"local {name}({parameters}) = value_{_KEY}(std_{_KEY}.native('{_KEY}{name}')"
        f"(std_{_KEY}.toString([{arguments}])));\n"
    )


class CppTemplate:
    """A template for the C++ Jsonnet. The source must have passed `check_template`."""

    def __init__(self, source: str) -> None:
        named = "".join(_definition(name) for name in _PARAMETERS if name in source)
        row = f"local row_{_KEY}() = (\n{source}\n);\n"
        self._snippet = (
            f"{_FRAME}{named}{supplied(source, CPP_STD)}{row}"
            f"[cell_{_KEY}(std_{_KEY}.toString([row_{_KEY}()])) for _ in std_{_KEY}.range(1, "
        )

    def evaluate(self, events: Events, indexes: Sequence[int], max_chars: int, watch: Watch) -> Cells:
        run = _Run(events, indexes, max_chars, watch)
        natives = run.natives() | NATIVES
        while not run.stopped and len(run.texts) < len(indexes):
            count = min(len(indexes) - len(run.texts), EVENTS_PER_EVALUATION)
            watch.at(indexes[len(run.texts)])
            try:
                _jsonnet.evaluate_snippet(
                    "template",
                    f"{self._snippet}{count})]",
                    max_stack=MAX_STACK,
                    gc_min_objects=_GC_MIN_OBJECTS,
                    import_callback=_refuse_import,
                    native_callbacks=natives,
                )
            except RuntimeError as error:
                run.on_failure(str(error))
        return Cells(run.texts, run.refused)


class _Run:
    """One evaluation's state: the texts so far say which event is being evaluated."""

    def __init__(self, events: Events, indexes: Sequence[int], max_chars: int, watch: Watch) -> None:
        self.texts: list[str] = []
        self.refused: dict[int, Refused] = {}
        self.stopped = False
        self._stop: Exception | None = None
        self._events = events
        self._indexes = indexes
        self._spare = max_chars
        self._watch = watch

    def natives(self) -> Natives:
        """The native functions of the evaluations."""
        events = self._events
        return {
            f"{_KEY}cell": (("text",), self._cell),
            f"{_KEY}Ip": self._native(lambda index: events.batch.ips[index]),
            f"{_KEY}Now": self._native(lambda index, *given: globals.now(events, index, *given)),
            f"{_KEY}HeaderStr": self._native(lambda index: events.headers(index).text),
            f"{_KEY}Header": self._native(lambda index, *given: globals.header(events, index, *given)),
            f"{_KEY}BodyStr": self._native(lambda index: events.text(index)),
            f"{_KEY}Body": self._native(lambda index, *given: globals.body(events, index, *given)),
        }

    def _native(self, value_of: Callable[..., Any]) -> tuple[tuple[str, ...], Callable[[str], Any]]:
        def native(arguments: str) -> Any:
            try:
                return _given(value_of(self._indexes[len(self.texts)], *_taken(arguments)))
            except MemoryError as error:
                self._halt(error)
            except Refused as error:
                # The event's outcome is decided; ending the evaluation for it would cost another one.
                self._refuse(error)
                if len(self._indexes) == 1:
                    raise
                return None

        return ("arguments",), native

    def _cell(self, printed: str) -> None:
        text = printed[1:-1]
        if not text.startswith('"'):
            text = _SPACE.sub(r"\1", text)
        if len(text) > MAX_ROW_BYTES:
            self._refuse(Refused(Reason.ROW_TOO_LARGE, TOO_LARGE))
            text = ""
        self._spare -= len(text)
        if self._spare < 0 and len(self._indexes) > 1:
            self._halt(TooMuch())
        self.texts.append(text)
        if len(self.texts) < len(self._indexes):
            if self._watch.expired():
                self.stopped = True
                self._halt(TimeoutError())
            self._watch.at(self._indexes[len(self.texts)])

    def _refuse(self, refused: Refused) -> None:
        # A new one, because the one caught holds its stack, and thus the events.
        self.refused.setdefault(self._indexes[len(self.texts)], Refused(refused.reason, refused.message))

    def _halt(self, error: Exception) -> NoReturn:
        """End the evaluation from within a callback; the engine turns any exception into its own."""
        self._stop = error
        raise error

    def on_failure(self, message: str) -> None:
        """The evaluation ended early: because we ended it, or because the event under way failed."""
        if self._stop is not None:
            if not self.stopped:
                raise self._stop
            return
        self._refuse(Refused(Reason.TEMPLATE_ERROR, tidied(message).replace(_KEY, "")))
        self.texts.append("")


def _taken(arguments: str) -> list[Any]:
    return _remembered(arguments) if len(arguments) <= _REMEMBERED_CHARS else _parsed(arguments)


def _parsed(arguments: str) -> list[Any]:
    values: list[Any] = json.loads(arguments, parse_int=float)
    return values


_remembered = lru_cache(maxsize=4096)(_parsed)
"""Most calls have literals alone, the same for every event."""


def _given(value: Any) -> Any:
    """A value as the binding can hand it over: itself, or its JSON in a list of one."""
    if type(value) is str:
        return value if value.isascii() and "\0" not in value else [_json(value)]
    return [_json(value)] if type(value) in (dict, list) else value


def _json(value: Any) -> str:
    try:
        return orjson.dumps(value).decode()
    except orjson.JSONEncodeError:  # deeper than 254, or half characters
        try:
            return clean_text(json.dumps(value, ensure_ascii=False))
        except RecursionError:
            raise Refused(Reason.TEMPLATE_ERROR, TOO_DEEP) from None


def _refuse_import(_base: str, path: str) -> NoReturn:
    raise RuntimeError(f'imports are not allowed: "{path}"')
