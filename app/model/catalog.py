"""What the control log says now, as a fold over its records: receivers, exports, those that drain, replays, tasks."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import chain

from app.model.binding import Binding, SourceTopic, binding_key
from app.model.receiver import Draining, Export, Receiver, entity_key, is_bound
from app.model.replay import Replay, ReplayingExport, with_replays
from app.model.task import Forgotten, Task


@dataclass(slots=True)
class Catalog:
    """The state after the control log's records so far. Keys are `entity_key`; tasks are by "<project>/<task id>"."""

    receivers: dict[str, Receiver] = field(default_factory=dict)
    exports: dict[str, Export] = field(default_factory=dict)
    exports_by_uid: dict[str, Export] = field(default_factory=dict)
    """Also those that drain."""
    draining: dict[str, Draining] = field(default_factory=dict)
    """By the export's uid."""
    exports_by_receiver: dict[str, dict[str, Export]] = field(default_factory=dict)
    receivers_by_topic: dict[str, Receiver] = field(default_factory=dict)
    """Those with one topic; `reader_of` also finds those with a pattern."""
    bindings: dict[str, dict[str, Binding]] = field(default_factory=dict)
    """By topic, then by key, in the order of the log: the first one counts."""
    replays: dict[str, dict[str, Replay]] = field(default_factory=dict)
    """By the export's uid, then by lane; finished ones too."""
    tasks: dict[str, Task] = field(default_factory=dict)
    forgotten: dict[str, Forgotten] = field(default_factory=dict)
    """By the number of the commands partition, as the log's keys have it."""

    def put_receiver(self, receiver: Receiver) -> None:
        self.receivers[entity_key(receiver.project_id, receiver.receiver_id)] = receiver
        if receiver.pattern is None:
            self.receivers_by_topic[receiver.topic] = receiver

    def put_binding(self, binding: Binding) -> None:
        self.bindings.setdefault(binding.topic, {}).setdefault(binding_key(binding), binding)

    def put_export(self, export: Export) -> None:
        key = entity_key(export.project_id, export.receiver_id, export.export_id)
        self.drop_export(key)
        self.exports[key] = export
        self.exports_by_uid[export.uid] = export
        self.exports_by_receiver.setdefault(export.receiver_uid, {})[export.uid] = export

    def put_draining(self, draining: Draining) -> None:
        """Its record comes before the one that ends the export, so that the uid is known all the time."""
        self.draining[draining.export.uid] = draining
        self.exports_by_uid[draining.export.uid] = draining.export

    def put_replay(self, replay: Replay) -> None:
        self.replays.setdefault(replay.export_uid, {})[replay.lane] = replay

    def put_task(self, task: Task) -> None:
        self.tasks[task_key(task)] = task

    def put_forgotten(self, forgotten: Forgotten) -> None:
        self.forgotten[str(forgotten.partition)] = forgotten

    def drop_receiver(self, key: str) -> None:
        """The receiver has ended; its exports have ended by records of their own, before it."""
        receiver = self.receivers.pop(key, None)
        if receiver is None:
            return
        self.exports_by_receiver.pop(receiver.uid, None)
        if self.receivers_by_topic.get(receiver.topic) is receiver:
            del self.receivers_by_topic[receiver.topic]

    def drop_binding(self, key: str) -> None:
        """`key` is that of `binding_key`."""
        topic = key.partition("/")[2]
        found = self.bindings.get(topic, {})
        found.pop(key, None)
        if not found:
            self.bindings.pop(topic, None)

    def drop_export(self, key: str) -> None:
        export = self.exports.pop(key, None)
        if export is not None:
            if self.exports_by_uid.get(export.uid) is export:
                del self.exports_by_uid[export.uid]
            self.exports_by_receiver.get(export.receiver_uid, {}).pop(export.uid, None)

    def drop_draining(self, uid: str) -> None:
        """All that was accepted is in the table, or in the dead letters."""
        if self.draining.pop(uid, None) is not None:
            self.exports_by_uid.pop(uid, None)

    def drop_replay(self, key: str) -> None:
        """`key` is that of `replay_key`."""
        uid, _, lane = key.partition("/")
        found = self.replays.get(uid, {})
        found.pop(lane, None)
        if not found:
            self.replays.pop(uid, None)

    def drop_task(self, key: str) -> None:
        self.tasks.pop(key, None)

    def drop_forgotten(self, key: str) -> None:
        self.forgotten.pop(key, None)

    def exports_of(self, receiver: Receiver) -> list[Export]:
        """The receiver's exports, by id."""
        exports = self.exports_by_receiver.get(receiver.uid, {}).values()
        return sorted(exports, key=lambda export: export.export_id)

    def replays_of(self, export_uid: str) -> list[Replay]:
        """All replays of an export, in the order in which they began."""
        return sorted(self.replays.get(export_uid, {}).values(), key=lambda replay: replay.revision.number)

    def running_replays(self) -> list[Replay]:
        """Those that are not finished, of all exports."""
        return [replay for found in self.replays.values() for replay in found.values() if not replay.is_finished]

    def replaying_export(self, export_uid: str) -> ReplayingExport | None:
        """The export with its replays; None when it has ended."""
        export = self.exports_by_uid.get(export_uid)
        return None if export is None else with_replays(export, self.replays_of(export_uid))

    def binding_of(self, topic: str) -> Binding | None:
        """Who is bound to the topic: the first one in the log."""
        return next(iter(self.bindings.get(topic, {}).values()), None)

    def bound_topics(self, receiver_uid: str) -> tuple[SourceTopic, ...]:
        """The topics that a receiver is bound to, or was as long as it was there, by name."""
        return tuple(
            binding.source
            for topic in sorted(self.bindings)
            if (binding := self.binding_of(topic)) is not None and binding.receiver_uid == receiver_uid
        )

    def topics_of(self, receiver: Receiver) -> tuple[SourceTopic, ...]:
        """What the receiver reads: one topic, or all that its pattern is bound to."""
        if receiver.pattern is not None:
            return self.bound_topics(receiver.uid)
        return (SourceTopic(receiver.topic, receiver.topic_id, receiver.partitions),)

    def topics_drained(self, draining: Draining) -> tuple[SourceTopic, ...]:
        """What a deleted export's events are in."""
        if not draining.topic:
            return self.bound_topics(draining.export.receiver_uid)
        return (SourceTopic(draining.topic, draining.topic_id, draining.partitions),)

    def bindings_of(self, receiver_uid: str) -> list[Binding]:
        """All claims of a receiver, also those that came too late."""
        found = (binding for claims in self.bindings.values() for binding in claims.values())
        return [binding for binding in found if binding.receiver_uid == receiver_uid]

    def reader_of(self, topic: str) -> Receiver | None:
        """The receiver that the topic's events are for."""
        receiver = self.receivers_by_topic.get(topic)
        if receiver is not None:
            return receiver
        binding = self.binding_of(topic)
        if binding is None:
            return None
        bound = self.receivers.get(entity_key(binding.project_id, binding.receiver_id))
        return bound if bound is not None and bound.uid == binding.receiver_uid else None

    def draining_from(self, topic: str) -> list[Draining]:
        """What is drained from the topic with this name, in the order of its deletion."""
        binding = self.binding_of(topic)
        bound = None if binding is None else binding.receiver_uid
        found = [
            draining
            for draining in self.draining.values()
            if (draining.topic == topic if draining.topic else draining.export.receiver_uid == bound)
        ]
        return sorted(found, key=lambda draining: (draining.ended_ms, draining.export.uid))

    def topic_name(self, topic_id: str) -> str | None:
        """The name of a topic that is read, or is drained from; None when there is none with this id."""
        read = ((r.topic_id, r.topic) for r in self.receivers_by_topic.values())
        bound = ((b.topic_id, b.topic) for claims in self.bindings.values() for b in claims.values())
        drained = ((d.topic_id, d.topic) for d in self.draining.values())
        return next((name for found, name in chain(read, bound, drained) if found == topic_id), None)

    def topic_id(self, topic: str) -> str | None:
        """The id of the topic from which events of this name are taken; None when nobody takes any."""
        receiver, binding = self.receivers_by_topic.get(topic), self.binding_of(topic)
        if receiver is not None:
            return receiver.topic_id
        if binding is not None:
            return binding.topic_id
        return next((draining.topic_id for draining in reversed(self.draining_from(topic))), None)

    def reading_of(self, topic: str) -> str | None:
        """What a commit of the topic with this name has to say to count: its id, and of a topic that is somebody else's
        also for which receiver it was read, since each begins where it was told to.
        """
        receiver, binding = self.receivers_by_topic.get(topic), self.binding_of(topic)
        if receiver is not None:
            return f"{receiver.topic_id}/{receiver.uid}" if receiver.is_bound else receiver.topic_id
        if binding is not None:
            return f"{binding.topic_id}/{binding.receiver_uid}"
        for draining in reversed(self.draining_from(topic)):
            export = draining.export
            bound = is_bound(topic, export.project_id, export.receiver_id)
            return f"{draining.topic_id}/{export.receiver_uid}" if bound else draining.topic_id
        return None

    def receivers_of(self, project_id: str) -> list[Receiver]:
        """The project's receivers, by id."""
        found = [receiver for receiver in self.receivers.values() if receiver.project_id == project_id]
        return sorted(found, key=lambda receiver: receiver.receiver_id)


def task_key(task: Task) -> str:
    return f"{task.project_id}/{task.task_id}"
