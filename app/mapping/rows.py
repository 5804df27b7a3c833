"""One mapping and a batch of events: rows and failures, cut into segments.

Every event ends in exactly one of them, whatever its bytes are and whatever its template does, as long as that ends. A
body that cannot be read wins over other faults of an event; else the first column at fault is named. An export's filter
comes first, and what it does not let through is neither row nor failure.
"""

from __future__ import annotations

from collections.abc import Mapping as Table
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import pyarrow as pa

from app.mapping.cells import Template
from app.mapping.engines import make_template
from app.mapping.events import Events
from app.mapping.faults import FILTER, USED_UP, Fault, Refused, TooMuch, Unwatched, Watch
from app.mapping.now import Stamps
from app.mapping.outcomes import FILTERED_OUT, Filter, RawStrings
from app.mapping.path_columns import PathColumn
from app.mapping.segments import cut
from app.mapping.table import bytes_array, text_array, write_csv
from app.model.engine import Engine
from app.model.event import EventBatch, Reason, Segment
from app.model.receiver import ColumnType, Mapping

MAX_RUN_BYTES = 8 << 20
"""Bodies that are mapped at once."""
MAX_CELL_CHARS = 32 << 20
"""Characters of template cells that are gathered at once, over all columns; each column may have a cell of 1 MiB."""

_STAMPS = Stamps()


@dataclass(frozen=True)
class CompiledMapping:
    """A mapping with its templates made ready, in the order of evaluation: (FILTER or the index of a column of type
    `template` or `path`, template).
    """

    mapping: Mapping
    templates: tuple[tuple[int, Template], ...]


@lru_cache(maxsize=256)
def compile_mapping(mapping: Mapping, engine: Engine = Engine.RJSONNET) -> CompiledMapping:
    """The mapping made ready; remembered. Its templates and its filter must have passed `check_template`.

    >>> from app.model.receiver import Column
    >>> compile_mapping(Mapping("in.c-b.t", (Column("id", ColumnType.ID),))).templates
    ()
    """
    templates: list[tuple[int, Template]] = []
    if mapping.filter is not None:
        templates.append((FILTER, Filter(make_template(mapping.filter, engine))))
    for number, column in enumerate(mapping.columns):
        if column.type is ColumnType.PATH:
            templates.append((number, PathColumn(column.path or "", column.default, column.raw_string)))
        elif column.type is ColumnType.TEMPLATE:
            template = make_template(column.template or "", engine)
            templates.append((number, RawStrings(template) if column.raw_string else template))
    return CompiledMapping(mapping, tuple(templates))


def map_batch(
    mapping: Mapping,
    batch: EventBatch | Events,
    watch: Watch | None = None,
    start: int = 0,
    stop: int | None = None,
    engine: Engine = Engine.RJSONNET,
) -> list[Segment]:
    """What the events from index `start` to before `stop` (all) become for one export: segments that cover them, in
    order.

    Give `Events` to share parsed bodies between exports. When the watch's time is used up, the events not mapped yet
    become failures `template.timeout`. Raises MemoryError.

    >>> from app.model.receiver import Column
    >>> columns = (Column("id", ColumnType.ID), Column("x", ColumnType.TEMPLATE, template="Body('x')"))
    >>> mapping = Mapping("in.c-b.t", columns)
    >>> batch = EventBatch([7, 8], [0, 0], ["a", "b"], ["", ""], [b'{"x":1.5}', b"{}"], [[], []])
    >>> map_batch(mapping, batch)[0].csv
    b'"a","1.5"\\n'
    >>> map_batch(mapping, batch)[0].failures[0].message
    'path "x" not found in the body'
    """
    events = batch if isinstance(batch, Events) else Events.of(batch)
    compiled = compile_mapping(mapping, engine)
    segments: list[Segment] = []
    stop = len(events) if stop is None else stop
    if events.batch.schema_ids:
        return _map_framed(compiled, events, start, stop, watch or Unwatched())
    for run in _runs(events.batch.bodies, start, stop):
        segments += _map_run(compiled, events, *run, watch or Unwatched(), {})
    return segments


def _map_framed(compiled: CompiledMapping, events: Events, start: int, stop: int, watch: Watch) -> list[Segment]:
    """Where bodies have to be decoded: runs by the size that they have then, one after the other."""
    segments: list[Segment] = []
    faults: dict[int, Fault] = {}
    size = 0
    for index in range(start, stop):
        if size > MAX_RUN_BYTES:
            segments += _map_run(compiled, events, start, index, watch, faults)
            events.forget_decoded()
            start, size, faults = index, 0, {}
        fault = events.decode(index, watch)
        if fault is not None:
            faults[index] = fault
        size += len(events.batch.bodies[index])
        if watch.expired():
            used_up = dict.fromkeys(range(index + 1, stop), Fault(Reason.TEMPLATE_TIMEOUT, None, USED_UP))
            segments += _map_run(compiled, events, start, index + 1, watch, faults)
            return segments + cut(events.batch, index + 1, stop, b"", used_up, events.raw_size)
    segments += _map_run(compiled, events, start, stop, watch, faults)
    events.forget_decoded()
    return segments


def _runs(bodies: Sequence[bytes], start: int, stop: int) -> list[tuple[int, int]]:
    """The events as runs whose bodies fit in MAX_RUN_BYTES; usually one."""
    runs: list[tuple[int, int]] = []
    size = 0
    if sum(map(len, bodies)) > MAX_RUN_BYTES:
        for index in range(start, stop):
            if size and size + len(bodies[index]) > MAX_RUN_BYTES:
                runs.append((start, index))
                start, size = index, 0
            size += len(bodies[index])
    runs.append((start, stop))
    return runs


def _map_run(
    compiled: CompiledMapping, events: Events, start: int, stop: int, watch: Watch, undecoded: Table[int, Fault]
) -> list[Segment]:
    """`undecoded` are events of the run, by index, whose bodies cannot be read by their schemas."""
    indexes: Sequence[int] = range(start, stop)
    if undecoded:
        indexes = [index for index in indexes if index not in undecoded]
    try:
        rows, cells, faults = _evaluate(compiled, events, indexes, watch)
    except TooMuch:
        middle = (start + stop) // 2
        halves = ((start, middle), (middle, stop))
        return [segment for half in halves for segment in _map_run(compiled, events, *half, watch, undecoded)]
    faults.update((index, fault) for index, fault in undecoded.items() if start <= index < stop)
    csv = write_csv(_columns(compiled, events, rows, cells)) if rows else b""
    return cut(events.batch, start, stop, csv, faults, events.raw_size, rows)


def _evaluate(
    compiled: CompiledMapping, events: Events, indexes: Sequence[int], watch: Watch
) -> tuple[Sequence[int], dict[int, list[str]], dict[int, Fault]]:
    """The events that become rows, the template columns' cells (by column) for them, and the faults (by event)."""
    faults: dict[int, Fault] = {}
    cells: dict[int, tuple[Sequence[int], list[str]]] = {}
    for number, template in compiled.templates:
        name = None if number == FILTER else compiled.mapping.columns[number].name
        max_chars = MAX_CELL_CHARS // len(compiled.templates)
        watch.begin(number)
        column = template.evaluate(events, indexes, max_chars, watch)
        # An event that fails already may still turn out to have a body that no template can read.
        unread = [index for index, fault in faults.items() if fault.reason is not Reason.BODY_INVALID]
        unread = [index for index in unread if not events.body_is_valid(index)]
        refused = template.evaluate(events, sorted(unread), max_chars, watch).refused if unread else {}
        watch.end()
        faults.update((i, _fault(r, name)) for i, r in refused.items() if r.reason is Reason.BODY_INVALID)
        faults.update((i, _fault(r, name)) for i, r in column.refused.items())
        used_up = Fault(Reason.TEMPLATE_TIMEOUT, name, USED_UP)
        faults.update((i, used_up) for i in indexes[len(column.texts) :])
        if number == FILTER:
            indexes = [i for i, text in zip(indexes, column.texts, strict=False) if text != FILTERED_OUT]
        else:
            cells[number] = (indexes, column.texts)
        indexes = [index for index in indexes if index not in faults] if faults else indexes
    return indexes, {number: _only(indexes, *column) for number, column in cells.items()}, faults


def _fault(refused: Refused, column: str | None) -> Fault:
    whole_row = refused.reason in (Reason.BODY_INVALID, Reason.ROW_TOO_LARGE)
    return Fault(refused.reason, None if whole_row else column, refused.message)


def _only(indexes: Sequence[int], evaluated: Sequence[int], texts: list[str]) -> list[str]:
    """The texts of these events, out of those of all that were evaluated."""
    if len(indexes) == len(evaluated):
        return texts
    by_index = dict(zip(evaluated, texts, strict=False))
    return [by_index[index] for index in indexes]


def _columns(
    compiled: CompiledMapping, events: Events, rows: Sequence[int], cells: dict[int, list[str]]
) -> list[pa.Array]:
    batch = events.batch
    made: dict[ColumnType, pa.Array] = {}
    columns: list[pa.Array] = []
    for number, column in enumerate(compiled.mapping.columns):
        if number in cells:
            columns.append(text_array(cells[number]))
            continue
        if column.type not in made:
            match column.type:
                case ColumnType.ID:
                    made[column.type] = text_array([batch.ids[index] for index in rows])
                case ColumnType.DATETIME:
                    made[column.type] = text_array([_STAMPS[batch.times_ms[index]] for index in rows])
                case ColumnType.IP:
                    made[column.type] = text_array([batch.ips[index] for index in rows])
                case ColumnType.BODY:
                    made[column.type] = bytes_array([batch.bodies[index] for index in rows])
                case ColumnType.HEADERS:
                    made[column.type] = text_array([events.headers(index).cell for index in rows])
        columns.append(made[column.type])
    return columns
