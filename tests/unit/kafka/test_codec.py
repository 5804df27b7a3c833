"""Every record comes back from its bytes as it was, and bytes that are no record are refused."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.kafka.codec import (
    Codec,
    CodecError,
    batch_codec,
    command_codec,
    control_codec,
    dead_letter_codec,
    rows_codec,
    state_codec,
)
from app.model.conditions import Conditions
from app.model.dead_letter import DeadLetter
from app.model.event import Reason
from app.model.ledger import Attempt, BatchRecord, ExportState, Mark, Phase, Slice, SourceRange, StagedFile, Window
from app.model.receiver import (
    BatchRetry,
    Column,
    ColumnType,
    Draining,
    Export,
    Mapping,
    PreviousSecret,
    Receiver,
    Revision,
    SourceOffset,
)
from app.model.replay import OffsetRange, Replay, ReplayKind
from app.model.rows import FailedEvent, Rows, Source
from app.model.signature import Algorithm, Encoding, HmacForm, Scheme, Signature, SigningSecret
from app.model.task import Command, Forgotten, Task, TaskStatus, TaskType

ints = st.integers(0, 2**31 - 1)
longs = st.integers(0, 2**63 - 1)
texts = st.text(max_size=12)
blobs = st.binary(max_size=12)


def tuples(items: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(items, max_size=3).map(tuple)


sources = st.builds(Source, texts, ints, texts)
events = st.builds(
    FailedEvent,
    offset=longs,
    reason=st.sampled_from(Reason),
    column=st.none() | texts,
    message=texts,
    topic=texts,
    time_ms=longs,
    event_id=texts,
    ip=texts,
    headers=st.lists(st.tuples(texts, blobs), max_size=3),
    body=st.none() | blobs,
)
rows = st.builds(
    Rows,
    export_uid=texts,
    revision=ints,
    source=sources,
    base=longs,
    end=longs,
    runs=st.lists(longs, max_size=4),
    count=ints,
    csv=blobs,
    failures=st.lists(events, max_size=2),
    skipped=ints,
)
letters = st.builds(DeadLetter, texts, texts, texts, texts, ints, sources, events, longs)
states = st.builds(
    ExportState,
    export_uid=texts,
    staged_to=longs,
    dead_letters_to=longs,
    marks=tuples(st.builds(Mark, sources, longs, longs, longs)),
    windows=tuples(st.builds(Window, texts, ints, texts, longs, longs, longs)),
    parked=st.booleans(),
)
files = st.builds(StagedFile, texts, longs, longs, blobs)
batches = st.builds(
    BatchRecord,
    export_uid=texts,
    batch_id=texts,
    revision=ints,
    table_id=texts,
    incremental=st.booleans(),
    phase=st.sampled_from(Phase),
    opened_ms=longs,
    run_id=texts,
    file=files,
    next_file=st.none() | files,
    slices=tuples(st.builds(Slice, texts, longs, longs, longs)),
    sources=tuples(st.builds(SourceRange, sources, longs, longs)),
    attempts=tuples(st.builds(Attempt, texts, longs, st.none() | texts, st.none() | texts)),
    closed_by=st.none() | texts,
    closed_ms=st.none() | longs,
    failures=ints,
    retry_ms=st.none() | longs,
    error=st.none() | texts,
    finished_ms=st.none() | longs,
    expired_ms=st.none() | longs,
    retry_id=st.none() | texts,
    retried_ms=st.none() | longs,
)
tasks = st.builds(
    Task,
    project_id=texts,
    task_id=texts,
    type=st.sampled_from(TaskType),
    status=st.sampled_from(TaskStatus),
    created_ms=longs,
    receiver_id=texts,
    export_id=st.none() | texts,
    finished_ms=st.none() | longs,
    result=st.none() | texts,
    error=st.none() | texts,
    error_name=st.none() | texts,
    error_status=st.none() | ints,
)
commands = st.builds(Command, tasks, texts, blobs)
offsets = st.builds(SourceOffset, texts, ints, longs)
columns = st.builds(
    Column,
    name=texts,
    type=st.sampled_from(ColumnType),
    primary_key=st.booleans(),
    template=st.none() | texts,
    path=st.none() | texts,
    default=st.none() | texts,
    raw_string=st.booleans(),
)
mappings = st.builds(Mapping, texts, tuples(columns), st.booleans(), st.none() | texts)
revisions = st.builds(Revision, ints, mappings, texts, blobs, longs, st.none() | tuples(offsets))
exports = st.builds(
    Export,
    uid=texts,
    receiver_uid=texts,
    project_id=texts,
    receiver_id=texts,
    export_id=texts,
    name=texts,
    conditions=st.builds(Conditions, longs, longs, st.floats(allow_nan=False)),
    rows_partition=ints,
    starts=tuples(offsets),
    revisions=tuples(revisions),
    created_ms=longs,
    drain_to=st.none() | tuples(offsets),
    ended_by=st.none() | blobs,
    retries=tuples(st.builds(BatchRetry, texts, longs, texts)),
)
drainings = st.builds(Draining, exports, texts, texts, ints, st.booleans(), longs)
ranges = st.builds(OffsetRange, ints, longs, longs)
replays = st.builds(
    Replay,
    lane=texts,
    kind=st.sampled_from(ReplayKind),
    project_id=texts,
    receiver_id=texts,
    export_id=texts,
    export_uid=texts,
    revision=revisions,
    receiver_topic=texts,
    topic=texts,
    topic_id=texts,
    ranges=tuples(ranges),
    created_ms=longs,
    begun_by=blobs,
    reason=st.none() | texts,
    finished_ms=st.none() | longs,
    rows=st.none() | longs,
    failures=st.none() | longs,
    skipped=st.none() | longs,
)
forms = st.builds(
    HmacForm, texts, st.sampled_from(Algorithm), st.sampled_from(Encoding), texts, st.none() | texts, texts
)
signatures = st.builds(
    Signature,
    st.sampled_from(Scheme),
    tuples(st.builds(SigningSecret, texts, blobs)),
    st.none() | st.floats(allow_nan=False),
    st.none() | forms,
)
receivers = st.builds(
    Receiver,
    uid=texts,
    project_id=texts,
    receiver_id=texts,
    name=texts,
    description=texts,
    secret=blobs,
    topic=texts,
    topic_id=texts,
    partitions=ints,
    created_ms=longs,
    starts=tuples(offsets),
    split=st.booleans(),
    previous=st.none() | st.builds(PreviousSecret, blobs, longs),
    bearer_only=st.booleans(),
    signature=st.none() | signatures,
)

forgotten = st.builds(Forgotten, texts, ints, longs)

RECORDS: dict[str, tuple[Codec[Any], st.SearchStrategy[Any]]] = {
    "rows": (rows_codec, rows),
    "dead_letter": (dead_letter_codec, letters),
    "export_state": (state_codec, states),
    "batch_record": (batch_codec, batches),
    "command": (command_codec, commands),
    "control_record": (control_codec, st.one_of(receivers, exports, drainings, replays, tasks, forgotten)),
}
kinds = pytest.mark.parametrize("kind", RECORDS)


@kinds
@given(data=st.data())
def test_record_comes_back_as_it_was(kind: str, data: st.DataObject) -> None:
    codec, records = RECORDS[kind]
    record = data.draw(records)

    assert codec.decode(codec.encode(record)) == record


@kinds
@given(data=st.data())
def test_record_cut_short_is_refused(kind: str, data: st.DataObject) -> None:
    codec, records = RECORDS[kind]
    encoded = codec.encode(data.draw(records))
    length = data.draw(st.integers(0, len(encoded) - 1))

    with pytest.raises(CodecError, match=kind):
        codec.decode(encoded[:length])


@kinds
@given(data=st.data())
def test_damaged_record_is_another_record_or_refused(kind: str, data: st.DataObject) -> None:
    codec, records = RECORDS[kind]
    encoded = bytearray(codec.encode(data.draw(records)))
    for _ in range(data.draw(st.integers(1, 3))):
        encoded[data.draw(st.integers(0, len(encoded) - 1))] = data.draw(st.integers(0, 255))

    with contextlib.suppress(CodecError):
        codec.decode(bytes(encoded))  # raises nothing else


@kinds
@given(junk=st.binary(max_size=40))
@example(junk=b"")
@example(junk=b"\xc3\x01" + bytes(8))
def test_junk_is_refused(kind: str, junk: bytes) -> None:
    with pytest.raises(CodecError, match=f"Not a {kind} record that this version knows"):
        RECORDS[kind][0].decode(junk)


def test_word_that_this_version_does_not_have_is_refused() -> None:
    failed = batch_codec.encode(BatchRecord("x", "b", 1, "t", True, Phase.FAILED, 0, "run", StagedFile("f", 0, 0, b"")))

    with pytest.raises(CodecError, match="batch_record record is damaged: 'fooled' is not a valid Phase"):
        batch_codec.decode(failed.replace(b"failed", b"fooled"))


def test_record_of_another_kind_is_refused() -> None:
    with pytest.raises(CodecError, match="Not a rows record"):
        rows_codec.decode(state_codec.encode(ExportState("x")))
