"""What surrounds the sink in the model: the topic of events, the rows log, Kafka's fencing, Storage, time and faults.

Every choice comes from one seeded generator, so a seed is a history that can be run again. Faults happen while `chaos`
is on; after that everything answers, so that what is still missing at the end is lost and not late.
"""

from __future__ import annotations

import csv
import io
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from app.model.conditions import Conditions
from app.model.ledger import BatchRecord, ExportState, Phase, StagedFile
from app.model.receiver import BatchRetry, Export, Mapping, Revision, SourceOffset
from app.model.replay import (
    OffsetRange,
    Replay,
    ReplayingExport,
    ReplayKind,
    is_lane_number,
    lane_number,
    with_replays,
)
from app.model.rows import Rows, Source
from app.sink.importing import TERMINAL

SOURCES = (Source("topic", 0, "live"), Source("topic", 1, "live"))
MAX_EVENTS = 20
MAX_REPLAYS = 3
MS_A_STEP = 20
REFUSED_CODE = "storage.validation"
UNKNOWN_CODE = "internalError"

Place = tuple[str, int, int]
"""Export uid (of a replay with the number of its revision), source partition, source offset: what must end in exactly
one place.
"""
BatchKey = tuple[str, str]
"""Export uid, batch id."""


def place_of(uid: str, revision: int, partition: int, offset: int) -> Place:
    return f"{uid}/{revision}" if is_lane_number(revision) else uid, partition, offset


@dataclass
class ModelExport:
    """An export. Every second revision goes to another table; a table with a key forgives a second load."""

    uid: str
    conditions: Conditions
    has_key: bool
    revision: int = 1
    ends: dict[int, tuple[int, ...]] = field(default_factory=dict)
    """Of each earlier revision: the offset in each source from which no event is of it."""
    retired: set[int] = field(default_factory=set)
    """Revisions whose tokens are gone."""
    replays: list[Replay] = field(default_factory=list)

    def table_id(self, revision: int) -> str:
        for replay in self.replays:
            if replay.revision.number == revision:
                return replay.revision.mapping.table_id
        return f"in.c-model.{self.uid}-{revision // 2}"

    def definition(self) -> ReplayingExport:
        """The export as the control log would have it, as far as retiring is concerned."""
        ends = {
            number: tuple(SourceOffset("topic", partition, offset) for partition, offset in enumerate(offsets))
            for number, offsets in self.ends.items()
        }
        revisions = tuple(
            Revision(number, Mapping(self.table_id(number), ()), "", b"", 0, ends.get(number))
            for number in range(1, self.revision + 1)
        )
        export = Export(self.uid, "", "", "", "", "", self.conditions, 0, (), revisions, 0)
        return with_replays(export, self.replays)


@dataclass
class File:
    slices: dict[str, bytes] = field(default_factory=dict)
    manifest: list[str] | None = None
    deleted: bool = False


@dataclass
class Job:
    job_id: str
    file_id: str
    batch: BatchKey
    table_id: str
    state: str = "waiting"
    code: str | None = None


@dataclass(frozen=True)
class LoadedRow:
    place: Place
    batch: BatchKey
    doubtful: bool
    """The job that loaded it reported an error of an unknown kind."""


class World:
    def __init__(self, seed: int, *, tracing: bool = False) -> None:
        self.random = random.Random(seed)
        self._credentials = random.Random(f"credentials {seed}")
        self.chaos = True
        self.now_ms = 1_000_000
        self.trace: list[str] | None = [] if tracing else None
        self.violations: list[str] = []
        self.exports = {uid: self._export(uid) for uid in ("x0", "x1")}
        self.events: list[list[bool]] = [[], []]
        """For each source partition, an item an event: whether the mapping skips it on purpose."""
        self.committed = [0, 0]
        self.replaying = seed % 5 in (1, 3)
        """Whether there are replays in this history."""
        self.lane_offsets: dict[tuple[str, int], int] = {}
        """How far a mapper has written down that it is with a partition of a replay."""
        self.mapper_generation = [0, 0]
        self.rows: list[tuple[int, Rows]] = []
        """The rows partition: broker time and envelope."""
        self.group_offset = 0
        self.sink_generation = 0
        self.epoch = 0
        self.states: dict[str, ExportState] = {}
        self.batches: dict[BatchKey, BatchRecord] = {}
        self.dead_letters: list[Place] = []
        self.asked: list[tuple[str, BatchRetry]] = []
        self.retries: dict[str, tuple[BatchRetry, ...]] = dict.fromkeys(self.exports, ())
        self.letters_of_batches: Counter[BatchKey] = Counter()
        self.refusing = self.random.choice((0.05, 0.7))
        """Chance that Storage refuses an import for its token, for now."""
        self.expiry_ms = self.random.choice((100, 100, 1_000, 1_000_000_000))
        self.files: dict[str, File] = {}
        self.jobs: list[Job] = []
        self.network: list[tuple[str, BatchKey, str]] = []
        """POSTs that were sent and have not arrived."""
        self.loaded: list[LoadedRow] = []
        self._numbers = 0

    def _export(self, uid: str) -> ModelExport:
        count = self.random.choice((1, 3, 5, 8))
        size_bytes = self.random.choice((60, 200, 10_000, 10_000))
        seconds = self.random.choice((0.5, 3.0))
        return ModelExport(uid, Conditions(count, size_bytes, seconds), self.random.random() < 0.2)

    def tell(self, text: str, *values: object) -> None:
        if self.trace is not None:
            self.trace.append(text % values)

    def violated(self, text: str, *values: object) -> None:
        self.violations.append(text % values)
        self.tell("VIOLATION " + text, *values)

    def number(self) -> int:
        """A number that was never given before: stands for the random part of a name."""
        self._numbers += 1
        return self._numbers

    def fault(self, probability: float) -> bool:
        return self.chaos and self.random.random() < probability

    def locked(self) -> bool:
        """Whether a file's upload credentials have ended, by chances of their own."""
        return self.chaos and self._credentials.random() < 0.02

    def replace_mapping(self, uid: str) -> None:
        """A new revision is in force; the end of the one before is asked for after that (rule 18)."""
        export = self.exports[uid]
        export.revision += 1
        export.ends[export.revision - 1] = self.ends_of_events()

    def begin_replay(self) -> None:
        """A range of what there is, into the export's table or another one."""
        uid = self.random.choice(list(self.exports))
        export = self.exports[uid]
        ends = self.ends_of_events()
        if len(export.replays) == MAX_REPLAYS or not any(ends):
            return
        ranges = []
        for partition, end in enumerate(ends):
            first = self.random.randint(0, end)
            ranges.append(OffsetRange(partition, first, self.random.randint(first, end)))
        number = lane_number(export.replays, export.revision)
        table_id = self.random.choice((export.table_id(export.revision), f"in.c-model.{uid}-again"))
        revision = Revision(number, Mapping(table_id, ()), "", b"", 0)
        names = (f"lane-{self.number()}", ReplayKind.REPLAY, "", "", "", uid)
        export.replays.append(Replay(*names, revision, "topic", "topic", "topic", tuple(ranges), 0, b""))
        self.tell("%s", export.replays[-1])

    def running_replays(self) -> list[Replay]:
        return [r for export in self.exports.values() for r in export.replays if not r.is_finished]

    def ends_of_events(self) -> tuple[int, ...]:
        return tuple(map(len, self.events))

    def retire(self, uid: str, numbers: Iterable[int]) -> None:
        """Control deletes the tokens of these revisions."""
        new = set(numbers) - self.exports[uid].retired
        if new:
            export = self.exports[uid]
            export.retired |= new
            export.replays = [
                replace(r, finished_ms=self.now_ms) if r.revision.number in new else r for r in export.replays
            ]
            self.tell("%s: revisions %s are retired", uid, sorted(new))

    def ask_for_retry(self) -> None:
        """A person looks at a batch that failed and asks that it is tried again; at an unclear one they look well."""
        failed = [record for record in self.batches.values() if record.is_retriable]
        if not failed:
            return
        record = self.random.choice(failed)
        loaded = any(row.batch == (record.export_uid, record.batch_id) for row in self.loaded)
        if record.phase is Phase.UNCLEAR and loaded:
            return
        retry = BatchRetry(record.batch_id, record.attempt_ms, f"task-{self.number()}")
        self.asked.append((record.export_uid, retry))
        self.tell("a person asks for %s", retry)

    def take_command(self) -> None:
        """Control takes its time to write down what a person asked for."""
        if self.asked:
            uid, retry = self.asked.pop(0)
            others = [other for other in self.retries[uid] if other.batch_id != retry.batch_id]
            self.retries[uid] = (*others, retry)

    # Storage

    def prepare_file(self) -> StagedFile:
        file_id = f"f{self.number()}"
        self.files[file_id] = File()
        return StagedFile(file_id, self.now_ms, self.now_ms + 3_600_000, b"")

    def post(self, file_id: str, batch: BatchKey, table_id: str) -> Job | str:
        """An import request that arrives: a job, or the reason of a refusal."""
        file = self.files[file_id]
        if file.deleted or file.manifest is None:
            self.tell("storage refuses POST of file %s", file_id)
            return "the file does not exist"
        if self.fault(self.refusing):
            self.tell("storage refuses POST of file %s (token)", file_id)
            return "the token may not do that"
        if self.batches[batch].revision in self.exports[batch[0]].retired:
            self.violated("RETIRED batch %s is posted with a token that is gone", batch)
        others = [job.job_id for job in self.jobs if job.batch == batch and job.state in ("waiting", "success")]
        if others:
            self.violated("POSTED-TWICE batch %s file %s while jobs %s are under way or done", batch, file_id, others)
        job = Job(f"j{len(self.jobs)}", file_id, batch, table_id)
        self.jobs.append(job)
        self.tell("storage takes job %s of file %s, batch %s", job.job_id, file_id, batch)
        return job

    def run_job(self) -> None:
        """Carry out the oldest waiting job: it loads, or ends in an error that loaded nothing, or one that may have."""
        job = next((job for job in self.jobs if job.state == "waiting"), None)
        if job is None:
            return
        file = self.files[job.file_id]
        if file.deleted or file.manifest is None or self.fault(0.2):
            job.state, job.code = "error", REFUSED_CODE
        elif self.fault(0.12):
            job.state, job.code = "error", UNKNOWN_CODE
            if self.random.random() < 0.5:
                self._load(job, file)
        else:
            job.state = "success"
            self._load(job, file)
        self.tell("job %s of file %s: %s %s", job.job_id, job.file_id, job.state, job.code)

    def _load(self, job: Job, file: File) -> None:
        assert file.manifest is not None
        data = b"".join(file.slices[name] for name in file.manifest)
        for uid, partition, offset, revision, _ in csv.reader(io.StringIO(data.decode(), newline="")):
            place = place_of(uid, int(revision), int(partition), int(offset))
            if job.table_id != self.exports[uid].table_id(int(revision)):
                self.violated("WRONG-TABLE %s of revision %s in %s", place, revision, job.table_id)
            self.loaded.append(LoadedRow(place, job.batch, job.state == "error"))

    # The end

    def quiet(self) -> bool:
        """Whether nothing is on its way outside of the processes."""
        return (
            all(end == len(events) for end, events in zip(self.committed, self.events, strict=True))
            and not self.network
            and not any(job.state == "waiting" for job in self.jobs)
            and all(b.phase is Phase.OPEN or b.phase in TERMINAL for b in self.batches.values())
            and all(self._waits_for_a_person(replay) for replay in self.running_replays())
        )

    def _waits_for_a_person(self, replay: Replay) -> bool:
        phases = (Phase.UNCLEAR, Phase.EXPIRED)
        return any(b.revision == replay.revision.number and b.phase in phases for b in self.batches.values())

    def judge(self) -> None:
        """Each event that was not skipped must be in exactly one place for each export: a table, an unclear batch that
        a person looks at, or the dead letters, its own or its batch's.
        """
        found: Counter[Place] = Counter(self.dead_letters)
        for row in self.loaded:
            unclear = self.batches[row.batch].phase is Phase.UNCLEAR
            if not row.doubtful or not (unclear or self.exports[row.batch[0]].has_key):
                found[row.place] += 1
        for record in self.batches.values():
            letters = self.letters_of_batches[record.export_uid, record.batch_id]
            if letters != (record.expired_ms is not None):
                self.violated("LETTERS %d of batch %s, expired at %s", letters, record.batch_id, record.expired_ms)
            if record.phase is Phase.UNCLEAR or (record.phase is Phase.EXPIRED and letters):
                found.update(self._rows_of(record))
        for place in self._places():
            if found[place] != 1:
                self.violated("%s %s: %d places", "LOST" if not found[place] else "DOUBLED", place, found[place])
            del found[place]
        for place in found:
            self.violated("INVENTED %s", place)
        for record in self.batches.values():
            self._judge_batch(record)

    def _places(self) -> Iterator[Place]:
        for uid in self.exports:
            for partition, events in enumerate(self.events):
                yield from ((uid, partition, offset) for offset, skipped in enumerate(events) if not skipped)
            for replay in self.exports[uid].replays:
                for part in replay.ranges:
                    taken = [o for o in range(part.first, part.end) if not self.events[part.partition][o]]
                    yield from (place_of(uid, replay.revision.number, part.partition, offset) for offset in taken)

    def _rows_of(self, record: BatchRecord) -> list[Place]:
        slices = self.files[record.file.file_id].slices
        data = b"".join(slices[item.name] for item in record.slices)
        rows = csv.reader(io.StringIO(data.decode(), newline=""))
        return [place_of(row[0], int(row[3]), int(row[1]), int(row[2])) for row in rows]

    def _judge_batch(self, record: BatchRecord) -> None:
        """What the record says of its rows must be so, and its window must have ended as its conditions say."""
        conditions = self.exports[record.export_uid].conditions
        rows = self._rows_of(record)
        if record.count != len(rows) or not rows:
            self.violated("BATCH %s says %d rows and has %d", record.batch_id, record.count, len(rows))
        if record.count > conditions.count or (record.closed_by == "count" and record.count != conditions.count):
            self.violated("BATCH %s has %d rows, allowed are %d", record.batch_id, record.count, conditions.count)
        ranges: dict[int, list[int]] = defaultdict(list)
        for _, partition, offset in rows:
            ranges[partition].append(offset)
        said = {item.source.partition: [item.first, item.last] for item in record.sources}
        if said != {partition: [min(offsets), max(offsets)] for partition, offsets in ranges.items()}:
            self.violated("BATCH %s says sources %s and has %s", record.batch_id, said, dict(ranges))
