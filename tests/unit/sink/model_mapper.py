"""Mappers in the model: they repeat chunks with other cuts and other outcomes, as rules 1 to 3 allow and no more."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from model_world import SOURCES, World

from app.model.event import Reason
from app.model.replay import Replay
from app.model.rows import FailedEvent, Rows, Source, to_runs

MOST_UNDER_WAY = 3
PADDING = ("", "p" * 30, "line\nbreak", '""quoted""\n', '""', "\n")


class Mapper:
    """One ownership of a source partition. `run` stops (yields) wherever the process can be killed or frozen."""

    def __init__(self, world: World, partition: int) -> None:
        self.world, self.partition = world, partition
        self.generation = world.mapper_generation[partition]
        self.process = self.run()
        self.lanes: dict[str, Iterator[None]] = {}

    def step(self) -> None:
        """One action, of the events as they arrive or of a replay; a replay that was begun goes on when it is over."""
        if self.world.replaying:
            for replay in self.world.running_replays():
                if replay.lane not in self.lanes:
                    self.lanes[replay.lane] = self.run_lane(replay)
        if self.lanes:
            next(self.world.random.choice([self.process, *self.lanes.values()]))
        else:
            next(self.process)

    def run_lane(self, replay: Replay) -> Iterator[None]:
        """The replay's range in this partition, block by block; each is written down when it is delivered."""
        world, part = self.world, replay.ranges[self.partition]
        key = replay.lane, self.partition
        source = replace(SOURCES[self.partition], lane=replay.lane)
        position = max(part.first, world.lane_offsets.get(key, 0))
        while position < part.end:
            end = min(position + world.random.randint(1, 4), part.end)
            yield
            queue = self.map_chunk(replay.export_uid, replay.revision.number, position, end, source)
            yield from self.deliver_block(queue, key, end)
            position = end
            yield
        while True:
            yield

    def deliver_block(self, queue: list[Rows], key: tuple[str, int], end: int) -> Iterator[None]:
        while queue:
            self.send(queue)
            yield
        self.world.lane_offsets[key] = end

    def run(self) -> Iterator[None]:
        """Exports go through the chunks under way each at its own pace; a chunk is committed when all have."""
        world, events = self.world, self.world.events[self.partition]
        position = world.committed[self.partition]
        under_way: list[tuple[int, dict[str, list[Rows]]]] = []
        while True:
            yield
            end = min(position + world.random.randint(1, 4), len(events))
            if end > position and (not under_way or (len(under_way) < MOST_UNDER_WAY and world.random.random() < 0.3)):
                revisions = {uid: export.revision for uid, export in world.exports.items()}
                yield
                source = SOURCES[self.partition]
                queues = {uid: self.map_chunk(uid, revisions[uid], position, end, source) for uid in world.exports}
                under_way.append((end, queues))
                position = end
                yield
            ready = self.next_queues([queues for _, queues in under_way])
            if ready:
                self.send(world.random.choice(ready))
                yield
            while under_way and not any(under_way[0][1].values()):
                end, _ = under_way.pop(0)
                if self.generation == world.mapper_generation[self.partition]:
                    world.committed[self.partition] = end
                yield

    def next_queues(self, chunks: Sequence[dict[str, list[Rows]]]) -> list[list[Rows]]:
        """Of each export, what is left of the first chunk that it has not gone through."""
        first: dict[str, list[Rows]] = {}
        for queues in chunks:
            for uid, queue in queues.items():
                if queue:
                    first.setdefault(uid, queue)
        return list(first.values())

    def send(self, queue: list[Rows]) -> None:
        """Produce one envelope; it stays the next one until its delivery report has come (rule 1)."""
        index = self.choose(queue)
        if self.world.fault(0.15):
            return
        rows = queue[index]
        self.world.rows.append((self.world.now_ms, rows))
        self.world.tell(
            "rows[%d] %s rev %d source %d [%d, %d) rows %s failures %s",
            *(len(self.world.rows) - 1, rows.export_uid, rows.revision, self.partition, rows.base, rows.end),
            *(list(rows.row_offsets()), [event.offset for event in rows.failures]),
        )
        if not self.world.fault(0.15):
            del queue[index]

    def choose(self, queue: Sequence[Rows]) -> int:
        return 0

    def map_chunk(self, uid: str, revision: int, start: int, end: int, source: Source) -> list[Rows]:
        envelopes = []
        while start < end:
            cut = self.world.random.randint(start + 1, end)
            envelopes.append(self.map_events(uid, revision, start, cut, source))
            start = cut
        return envelopes

    def map_events(self, uid: str, revision: int, base: int, end: int, source: Source) -> Rows:
        """Skipping is of the event and so always the same; whether an event fails may differ each time."""
        choose = self.world.random
        skipped = self.world.events[self.partition]
        taken = [offset for offset in range(base, end) if not skipped[offset]]
        failed = {offset for offset in taken if choose.random() < 0.25}
        good = [offset for offset in taken if offset not in failed]
        cells = [f'"{uid}","{self.partition}","{offset}","{revision}","{choose.choice(PADDING)}"\n' for offset in good]
        return Rows(
            uid,
            revision,
            source,
            base,
            end,
            to_runs(base, good),
            len(good),
            "".join(cells).encode(),
            [_failure(offset) for offset in sorted(failed)],
            end - base - len(taken),
        )


def _failure(offset: int) -> FailedEvent:
    return FailedEvent(offset, Reason.TEMPLATE_TIMEOUT, None, "too slow", "events", 0, str(offset), "", (), b"{}")
