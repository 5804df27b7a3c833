"""Templates evaluated by rjsonnet: one evaluation for many events, each event's failure its own.

The snippet goes through the events in order and hands every finished cell to a callback at once. So when an event
fails, the cells before it are kept, the event is known (the one after the last cell), and the next evaluation starts
behind it. That costs 0.2 ms a failure; a look-up that fails, the usual kind, does not even end the evaluation: Jsonnet
cannot catch errors, so the event's outcome is decided by it, and what the template still makes of the event is thrown
away.

Every event is evaluated by the same text in the same frame, so its outcome does not depend on its neighbours. Imports
are refused. A template that does not end cannot be ended here: `app.mapping.children` does that from outside.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn, Protocol

import rjsonnet

from app.mapping import globals
from app.mapping.events import Events
from app.mapping.faults import MAX_ROW_BYTES, OUT_OF_MEMORY, TOO_LARGE, Refused, TooMuch, Watch
from app.mapping.now import DEFAULT_FORMAT
from app.model.event import Reason

EVENTS_PER_EVALUATION = 1000
MAX_STACK = 500
Callbacks = dict[str, tuple[tuple[str, ...], Callable[..., Any]]]
"""rjsonnet's native functions: name to parameters and function."""


@dataclass(slots=True)
class Cells:
    """One column for some events: a text for each of the first `len(texts)` events given ("" where refused).

    Fewer texts than events: the watch's time was used up before the rest.
    """

    texts: list[str]
    refused: dict[int, Refused] = field(default_factory=dict)


class Template(Protocol):
    """A template made ready. Engines and direct plans are the same thing to a column."""

    def evaluate(self, events: Events, indexes: Sequence[int], max_chars: int, watch: Watch) -> Cells:
        """The cells of these events (ascending indexes).

        Raises TooMuch when several events have more than `max_chars` characters together, and MemoryError.
        """


# A template can call std.native and name any variable; it cannot guess these.
_KEY = secrets.token_hex(8)
_ND = globals.NO_DEFAULT
_GLOBALS = {
    "Ip": f"local Ip = std.native('{_KEY}ip');",
    "Now": f"local now_{_KEY} = std.native('{_KEY}now'), Now(format='{DEFAULT_FORMAT}') = now_{_KEY}(format);",
    "HeaderStr": f"local HeaderStr = std.native('{_KEY}headers');",
    "Header": f"local header_{_KEY} = std.native('{_KEY}header'),"
    f" Header(header='', default='{_ND}') = header_{_KEY}(header, default);",
    "BodyStr": f"local BodyStr = std.native('{_KEY}text');",
    "Body": f"local body_{_KEY} = std.native('{_KEY}body'),"
    f" Body(path='', default='{_ND}') = body_{_KEY}(path, default);",
}
"""The globals of a template. Only those that it names are defined, for the engine parses them in every evaluation."""
_FRAME = f"local cell_{_KEY} = std.native('{_KEY}cell'), text_{_KEY} = std.manifestJsonMinified;"
_TRIM = f"""
local std_{_KEY} = std;
local std = std_{_KEY} + {{ trim(str):: std_{_KEY}.stripChars(str, ' \t\n\f\r\u0085\u00a0') }};
"""
"""rjsonnet 0.5.6 has no std.trim."""


class JsonnetTemplate:
    """A template for rjsonnet. The source must have passed `check_template`."""

    def __init__(self, source: str) -> None:
        named = "".join(text for name, text in _GLOBALS.items() if name in source)
        trim = _TRIM if "trim" in source else ""
        row = f"local row_{_KEY}() = (\n{source}\n);\n"
        self._snippet = f"{_FRAME}{named}{trim}{row}[cell_{_KEY}(text_{_KEY}(row_{_KEY}())) for _ in std.range(1, "

    def evaluate(self, events: Events, indexes: Sequence[int], max_chars: int, watch: Watch) -> Cells:
        run = _Run(indexes, max_chars, watch)
        callbacks, release = run.callbacks(events)
        try:
            self._evaluate(run, len(indexes), callbacks)
        finally:
            release()
        return run.result()

    def _evaluate(self, run: _Run, events: int, callbacks: Callbacks) -> None:
        most = EVENTS_PER_EVALUATION
        while not run.stopped and len(run.texts) < events:
            count = min(events - len(run.texts), most)
            before, most = len(run.texts), min(most * 2, EVENTS_PER_EVALUATION)
            run.watch.at(run.indexes[before])
            try:
                rjsonnet.evaluate_snippet(
                    "template",
                    f"{self._snippet}{count})]",
                    max_stack=MAX_STACK,
                    import_callback=_refuse_import,
                    native_callbacks=callbacks,
                )
            except RuntimeError as error:
                run.on_failure(Refused(Reason.TEMPLATE_ERROR, _message(str(error))))
                # What lies behind a failure is prepared in vain: the next evaluation is about as long as this one got.
                most = 2 * (len(run.texts) - before)
            except BaseException as error:
                # pyo3's PanicException is no Exception, and its class cannot be imported.
                if type(error).__name__ != "PanicException":
                    raise
                run.on_failure(_panic(str(error)))


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

    def callbacks(self, events: Events) -> tuple[Callbacks, Callable[[], None]]:
        """The native functions of the evaluations, and what lets go of the events (the engine keeps functions a while).

        They are called for every event, so what they use is local to them.
        """
        indexes, texts, watch, last = self.indexes, self.texts, self.watch, len(self.indexes) - 1

        def cell(text: str) -> None:
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

        def failed(error: Refused | MemoryError) -> None:
            if not isinstance(error, Refused):
                self._halt(error)
            self._refuse(error)
            if last == 0:
                raise error

        def body(path: Any, default: Any) -> Any:
            try:
                return globals.body(events, indexes[len(texts)], path, default)
            except (Refused, MemoryError) as error:
                return failed(error)

        def header(name: Any, default: Any) -> Any:
            try:
                return globals.header(events, indexes[len(texts)], name, default)
            except Refused as error:
                return failed(error)

        def now(format: Any) -> Any:
            try:
                return globals.now(events, indexes[len(texts)], format)
            except Refused as error:
                return failed(error)

        def release() -> None:
            nonlocal events, indexes, texts
            del events, indexes, texts

        functions: Callbacks = {
            f"{_KEY}cell": (("text",), cell),
            f"{_KEY}body": (("path", "default"), body),
            f"{_KEY}header": (("header", "default"), header),
            f"{_KEY}now": (("format",), now),
            f"{_KEY}ip": ((), lambda: events.batch.ips[indexes[len(texts)]]),
            f"{_KEY}headers": ((), lambda: events.headers(indexes[len(texts)]).text),
            f"{_KEY}text": ((), lambda: events.text(indexes[len(texts)])),
        }
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

    def result(self) -> Cells:
        return Cells(escape_controls(self.texts), self._refused)


_CONTROL = re.compile("[\x7f-\x9f]")


def escape_controls(texts: list[str]) -> list[str]:
    """JSON texts with U+007F to U+009F escaped, which the engine leaves raw. Source: Buffer API, string escaping."""
    if "".join(texts).isprintable():
        return texts
    return [_CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text) for text in texts]


def _refuse_import(_base: str, path: str) -> NoReturn:
    raise RuntimeError(f'imports are not allowed: "{path}"')


def _panic(text: str) -> Refused:
    """What rjsonnet 0.5.6 does not turn into an error of Jsonnet."""
    if "capacity overflow" in text:
        return Refused(Reason.TEMPLATE_MEMORY, OUT_OF_MEMORY)
    if "not implemented" in text or "LocError" in text:
        return Refused(Reason.TEMPLATE_ERROR, "an argument of Body(), Header() or Now() fails or is a function")
    return Refused(Reason.TEMPLATE_ERROR, f"the engine failed: {text}")


def _message(text: str) -> str:
    """The engine's message without prefix and stack trace (positions there are those of our snippet)."""
    message = text.partition("\n    ")[0].removeprefix("runtime error: ")
    message = message.removeprefix("import_callback error: RuntimeError: ")
    if message.startswith("stack overflow"):
        return f"max stack frames exceeded: the template calls itself deeper than {MAX_STACK} frames"
    return message.replace(_KEY, "")
