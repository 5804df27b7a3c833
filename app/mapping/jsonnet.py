"""Templates evaluated by rjsonnet: one evaluation for many events, each event's failure its own.

The snippet goes through the events in order and hands every finished cell to a callback at once. So when an event
fails, the cells before it are kept, the event is known (the one after the last cell), and the next evaluation starts
behind it. That costs 0.2 ms a failure, and 0.7 ms where the template recurses without end; a look-up that fails, the
usual kind, does not even end the evaluation: Jsonnet cannot catch errors, so the event's outcome is decided by it, and
what the template still makes of the event is thrown away.

Every event is evaluated by the same text in the same frame, so its outcome does not depend on its neighbours. Imports
are refused. A template that does not end cannot be ended here: `app.mapping.children` does that from outside.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import rjsonnet

from app.mapping import globals
from app.mapping.calls import PARAMETERS, Call, bind_calls, bound
from app.mapping.cells import Cells, escape_controls, has_no_end, plain_text
from app.mapping.events import Events
from app.mapping.faults import MAX_ROW_BYTES, OUT_OF_MEMORY, TOO_LARGE, Refused, TooMuch, Watch
from app.mapping.lookups import engine_column
from app.mapping.messages import MAX_STACK, tidied
from app.mapping.std import NATIVES, RJSONNET_STD, supplied
from app.mapping.tokens import tokens
from app.model.event import Reason

EVENTS_PER_EVALUATION = 1000
NO_END = "overflow: a number of the result is past a double, or none"
Callbacks = dict[str, tuple[tuple[str, ...], Callable[..., Any]]]
"""rjsonnet's native functions: name to parameters and function."""


# A template can call std.native and import what it names; it cannot guess this.
_KEY = secrets.token_hex(4)
_NATIVES = {"Ip": "ip", "Now": "now", "HeaderStr": "headers", "Header": "header", "BodyStr": "text", "Body": "body"}
"""What each global calls. Only those that a template names are defined: the engine parses them in every evaluation."""
_START = f"""local value = std.native('{_KEY}value'), printed = std.native('{_KEY}printed'), type = std.type,
 print = std.manifestJsonMinified, row = (import '{_KEY}')"""
_HAND_OVER = "value(v) then null else printed(print(v)))"
_ANY = f"(local v = row(), t = type(v); if (t == 'string' || t == 'number') && {_HAND_OVER}"
"""Hands over an event's cell: strings and numbers as they are, which is quicker than printed by the engine."""
_SCALAR = f"(local v = row(); if {_HAND_OVER}"
"""The same for templates that make scalars: quicker, but the engine panics when the value is a function."""


class JsonnetTemplate:
    """A template for rjsonnet. The source must have passed `check_template`."""

    def __init__(self, source: str) -> None:
        prefix = _prefix(source)
        bound_source, self._calls = bind_calls(source, prefix)
        numbers = range(len(self._calls))
        globals_named = "".join(_definition(name) for name in _NATIVES if name in bound_source)
        std = supplied(source, RJSONNET_STD)
        names = ",".join(f"{prefix}{number}" for number in numbers)
        self._row = f"{globals_named}{std}function({names})function()(\n{bound_source}\n)"
        natives = ", ".join(f"std.native('{_KEY}call{number}')" for number in numbers)
        self._start = f"{_START}({natives});\n"
        self._cell = _ANY if _may_make_containers(bound_source) else _SCALAR

    def _import(self, _base: str, path: str) -> tuple[str, str]:
        """The template, which is a file of its own: for each frame of a failure's trace (500 where it recurses without
        end) the engine goes through the whole file to find out the line.
        """
        if path != _KEY:
            raise RuntimeError(f'imports are not allowed: "{path}"')
        return path, self._row

    def evaluate(self, events: Events, indexes: Sequence[int], max_chars: int, watch: Watch) -> Cells:
        run = _Run(indexes, max_chars, watch)
        callbacks, release = run.callbacks(events, self._calls)
        try:
            self._evaluate(run, len(indexes), callbacks)
        finally:
            release()
        return run.result()

    def _evaluate(self, run: _Run, events: int, callbacks: Callbacks) -> None:
        cell = self._cell
        while not run.stopped and len(run.texts) < events:
            count = min(events - len(run.texts), EVENTS_PER_EVALUATION)
            run.watch.at(run.indexes[len(run.texts)])
            try:
                rjsonnet.evaluate_snippet(
                    "template",
                    f"{self._start}[{cell} for _ in std.range(1, {count})]",
                    max_stack=MAX_STACK,
                    import_callback=self._import,
                    native_callbacks=callbacks | NATIVES,
                )
            except RuntimeError as error:
                run.on_failure(Refused(Reason.TEMPLATE_ERROR, _message(str(error))))
            except BaseException as error:
                # pyo3's PanicException is no Exception, and its class cannot be imported.
                if type(error).__name__ != "PanicException":
                    raise
                if cell is _ANY:
                    run.on_failure(_panic(str(error)))
                cell = _ANY


def _may_make_containers(source: str) -> bool:
    return any(token.text in ("{", "[", "function") for token in tokens(source))


def _prefix(source: str) -> str:
    """A short name that no name in the source begins with, for what is bound."""
    prefix = "_"
    while prefix in source:
        prefix += "_"
    return prefix


def _definition(name: str) -> str:
    """The global as a function with named parameters and defaults."""
    parameters = PARAMETERS[name]
    native = f"std.native('{_KEY}{_NATIVES[name]}')"
    if not parameters:
        return f"local {name} = {native};\n"
    signature = ", ".join(f"{parameter}={default!r}" for parameter, default in parameters.items())
    return f"local {name}_{_KEY} = {native}, {name}({signature}) = {name}_{_KEY}({', '.join(parameters)});\n"


class _Run:
    """One evaluation's state: the texts so far say which event is being evaluated."""

    def __init__(self, indexes: Sequence[int], max_chars: int, watch: Watch) -> None:
        self.texts: list[str] = []
        self.stopped = False
        self._refused: dict[int, Refused] = {}
        self._stop: Exception | None = None
        self.indexes = indexes
        self._spare = max_chars
        self.watch = watch

    def callbacks(self, events: Events, calls: Sequence[Call]) -> tuple[Callbacks, Callable[[], None]]:
        """The native functions of the evaluations, and what lets go of the events (the engine keeps functions a while).

        They are called for every event, so what they use is local to them.
        """
        indexes, texts, watch, last = self.indexes, self.texts, self.watch, len(self.indexes) - 1

        def cell(text: str) -> None:
            """The event's cell; the next event begins."""
            if len(text) > MAX_ROW_BYTES:
                self._refuse(Refused(Reason.ROW_TOO_LARGE, TOO_LARGE))
                text = ""
            self._spare -= len(text)
            if self._spare < 0 and last:
                self._halt(TooMuch())
            done = len(texts)
            texts.append(text)
            if done < last:
                if watch.expired():
                    self.stopped = True
                    self._halt(TimeoutError())
                watch.at(indexes[done + 1])

        def value(value: Any) -> bool:
            """The event's cell as a value, if it is plain."""
            text = plain_text(value)
            if text is None:
                return False
            cell(text)
            return True

        def printed(text: str) -> None:
            """The event's cell as the engine prints it."""
            if has_no_end(text):
                self._refuse(Refused(Reason.TEMPLATE_ERROR, NO_END))
                text = ""
            cell(escape_controls(text))

        def failed(error: Refused | MemoryError) -> None:
            if not isinstance(error, Refused):
                self._halt(error)
            self._refuse(error)
            if last == 0:
                raise error

        def native(value_of: Callable[..., Any]) -> Callable[..., Any]:
            def call(*arguments: Any) -> Any:
                try:
                    return value_of(events, indexes[len(texts)], *arguments)
                except (Refused, MemoryError) as error:
                    return failed(error)

            return call

        def looked_up(values: list[Any]) -> Callable[[], Any]:
            return lambda: values[len(texts)]

        def release() -> None:
            nonlocal events, indexes, texts
            del events, indexes, texts
            for values in columns:
                values.clear()

        functions: Callbacks = {
            f"{_KEY}value": (("value",), value),
            f"{_KEY}printed": (("text",), printed),
        }
        for name, native_name in _NATIVES.items():
            functions[_KEY + native_name] = (tuple(PARAMETERS[name]), native(getattr(globals, native_name)))
        columns: list[list[Any]] = []
        for number, call in enumerate(calls):
            values = engine_column(call, events, indexes)
            if values is not None:
                columns.append(values)
            function = native(bound(call)) if values is None else looked_up(values)
            functions[f"{_KEY}call{number}"] = ((), function)
        return functions, release

    def _refuse(self, refused: Refused) -> None:
        # A new one, because the one caught holds its stack, and thus the events, in a cycle.
        self._refused.setdefault(self.indexes[len(self.texts)], Refused(refused.reason, refused.message))

    def _halt(self, error: Exception) -> NoReturn:
        """End the evaluation from within a callback; the engine turns any exception into its own."""
        self._stop = error
        raise error

    def on_failure(self, refused: Refused) -> None:
        """The evaluation ended early: because we ended it, or because the event under way failed."""
        if self._stop is not None:
            if not self.stopped:
                raise self._stop
            return
        self._refuse(refused)
        self.texts.append("")
        self.stopped = self.watch.expired()

    def result(self) -> Cells:
        return Cells(self.texts, self._refused)


def _panic(text: str) -> Refused:
    """What rjsonnet 0.5.6 does not turn into an error of Jsonnet."""
    if "capacity overflow" in text or "data.is_null()" in text:  # the latter of PyO3, for a text for Python
        return Refused(Reason.TEMPLATE_MEMORY, OUT_OF_MEMORY)
    if "not implemented" in text or "LocError" in text:
        return Refused(Reason.TEMPLATE_ERROR, "an argument of Body(), Header() or Now() fails or is a function")
    return Refused(Reason.TEMPLATE_ERROR, f"the engine failed: {text}")


def _message(text: str) -> str:
    return tidied(text).replace(_KEY, "")
