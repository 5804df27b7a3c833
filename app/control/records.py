"""The outcome of a task as records of the control log: pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from app.api.drafts import ExportDraft, ReceiverDraft
from app.control.steps import Failure
from app.kafka.codec import ControlValue, control_codec
from app.kafka.names import Names
from app.kafka.transaction import Record
from app.kafka.view import control_key
from app.model.binding import Binding, binding_key
from app.model.catalog import task_key
from app.model.receiver import Draining, Export, Receiver, Revision, SourceOffset, entity_key
from app.model.replay import Replay, replay_key
from app.model.task import Forgotten, Task, TaskStatus

Ended = Receiver | Export | Draining | Replay | Task | Binding


@dataclass(frozen=True)
class SealedToken:
    """A token as the log keeps it: `token` is encrypted."""

    token_id: str
    token: bytes


@dataclass(frozen=True)
class TopicFacts:
    """A receiver's topic as it is: its id, and the end of each partition, in order."""

    name: str
    topic_id: str
    ends: tuple[int, ...]

    @property
    def starts(self) -> tuple[SourceOffset, ...]:
        """Where something created now begins to take events; a partition that is empty needs no word."""
        return tuple(SourceOffset(self.topic_id, number, end) for number, end in enumerate(self.ends) if end > 0)


@dataclass(frozen=True)
class ManyTopics:
    """The topics of a receiver with a pattern; none of them is *the* topic."""

    topics: tuple[TopicFacts, ...]
    name: str = ""
    topic_id: str = ""
    ends: tuple[int, ...] = ()

    @property
    def starts(self) -> tuple[SourceOffset, ...]:
        return tuple(start for topic in self.topics for start in topic.starts)


def make_receiver(
    project_id: str, draft: ReceiverDraft, topic: TopicFacts | ManyTopics, *, uid: str, secret: bytes, now_ms: int
) -> Receiver:
    """The receiver of a draft. `secret` is encrypted."""
    return Receiver(
        uid=uid,
        project_id=project_id,
        receiver_id=draft.receiver_id,
        name=draft.name,
        description=draft.description,
        secret=secret,
        topic=topic.name,
        topic_id=topic.topic_id,
        partitions=len(topic.ends),
        created_ms=now_ms,
        starts=topic.starts,
        bearer_only=draft.bearer_only,
        signature=draft.signature,
        split=draft.split,
        pattern=None if draft.source is None else draft.source.pattern,
    )


def make_export(
    receiver: Receiver,
    draft: ExportDraft,
    topic: TopicFacts | ManyTopics,
    token: SealedToken,
    *,
    uid: str,
    rows_partition: int,
    now_ms: int,
) -> Export:
    """The export of a draft, with its first revision; it takes events from the topic's end on."""
    return Export(
        uid=uid,
        receiver_uid=receiver.uid,
        project_id=receiver.project_id,
        receiver_id=receiver.receiver_id,
        export_id=draft.export_id,
        name=draft.name,
        conditions=draft.conditions,
        rows_partition=rows_partition,
        starts=topic.starts,
        revisions=(Revision(1, draft.mapping, token.token_id, token.token, now_ms),),
        created_ms=now_ms,
    )


def choose_rows_partitions(exports: Iterable[Export], partitions: int, count: int) -> list[int]:
    """Partitions of the rows topic for `count` new exports: each time the one with the fewest, the lowest first."""
    used = Counter(export.rows_partition for export in exports)
    chosen = []
    for _ in range(count):
        partition = min(range(partitions), key=lambda number: (used[number], number))
        used[partition] += 1
        chosen.append(partition)
    return chosen


def succeeded(task: Task, result: str, now_ms: int) -> Task:
    return replace(task, status=TaskStatus.SUCCESS, finished_ms=now_ms, result=result, progress=None)


def failed(task: Task, failure: Failure, now_ms: int) -> Task:
    return replace(
        task,
        status=TaskStatus.ERROR,
        finished_ms=now_ms,
        result=None,
        error=failure.message,
        error_name=failure.name,
        error_status=failure.status,
        progress=None,
    )


def control_records(names: Names, values: Sequence[ControlValue] = (), ended: Sequence[Ended] = ()) -> list[Record]:
    """Records for one transaction: what is drained, what ends, then what is.

    In this order a reader in the middle of them knows an export that is drained all the time.
    """
    drained = [value for value in values if isinstance(value, Draining)]
    others = [value for value in values if not isinstance(value, Draining)]
    gone = [Record(names.control, _key(value), None, 0) for value in ended]
    return [*(_record(names, value) for value in drained), *gone, *(_record(names, value) for value in others)]


def _record(names: Names, value: ControlValue) -> Record:
    return Record(names.control, _key(value), control_codec.encode(value), 0)


def tokens_of(exports: Iterable[Export]) -> tuple[str, ...]:
    """Ids of the Storage tokens of these exports, each revision's own."""
    return tuple(revision.token_id for export in exports for revision in export.revisions)


def _key(value: ControlValue) -> str:
    if isinstance(value, Task):
        return control_key("task", task_key(value))
    if isinstance(value, Forgotten):
        return control_key("forgotten", str(value.partition))
    if isinstance(value, Binding):
        return control_key("binding", binding_key(value))
    if isinstance(value, Draining):
        return control_key("draining", value.export.uid)
    if isinstance(value, Replay):
        return control_key("replay", replay_key(value.export_uid, value.lane))
    if isinstance(value, Export):
        return control_key("export", entity_key(value.project_id, value.receiver_id, value.export_id))
    return control_key("receiver", entity_key(value.project_id, value.receiver_id))
