"""The sink's shell in the model: the order of steps of `app.sink`, around the real fold and the real import decisions.

Every task is a generator that yields between any two actions on the world, so the process can be killed, frozen or
overtaken there. Methods are small where a rule lives in the order of steps, so that a test can take that rule out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterator, Sequence

from model_world import BatchKey, Job, World, place_of

from app.model.ledger import BatchRecord, ExportState, Phase, Slice, StagedFile
from app.model.receiver import LIVE_LANE
from app.model.replay import lane_of
from app.model.rows import Rows
from app.sink import fold as folding
from app.sink import importing, retiring, steps
from app.sink.importing import Act

GRACE_LOOK_UPS = 2
TRIES = 12
RETRY = importing.RetryPlan(first_ms=500, factor=2, cap_ms=2_000)
WAITING = True
"""What a task yields when it had nothing to do; after an action it yields None."""
Task = Iterator[bool | None]


class Fenced(Exception):
    """A ledger write failed: another process has the epoch, or what became of the write is not known (rule 11)."""


class Shell:
    """One ownership of the rows partition by one process."""

    def __init__(self, world: World, name: str) -> None:
        self.world, self.name = world, name
        self.generation = world.sink_generation
        self.epoch = -1
        self.next_offset = 0
        self.folds: dict[str, folding.ExportFold] = {}
        self.batches: dict[BatchKey, BatchRecord] = {}
        self.writing: set[str] = set()
        self.workers: dict[str, list[Task]] = {}
        """What works on an export's fold, and ends when another takes its place."""
        self.importing: set[tuple[str, int]] = set()
        """Replays whose batches are imported, by the export's uid and the lane's number."""
        self.tasks: list[Task] = [self.start()]

    def step(self) -> None:
        """Carry out one action of one task that has one. Raises Fenced, after which the process must give up or start
        again.
        """
        for _ in range(TRIES):
            task = self.tasks[int(self.world.random.random() * len(self.tasks))]
            if next(task, None) is not WAITING:
                return

    def tell(self, text: str, *values: object) -> None:
        self.world.tell(self.name + ": " + text, *values)

    # Start

    def start(self) -> Task:
        yield
        yield from self.open_ledger()
        self.next_offset = self.start_offset()
        self.tell("starts at rows %d with %s", self.next_offset, [fold.staged for fold in self.folds.values()])
        self.tasks += [self.consume(), self.commit()]
        for uid in self.folds:
            self.begin_work(uid)
            self.tasks += [self.import_batches(uid, 0), self.retire(uid), self.park(uid)]

    def begin_work(self, uid: str) -> None:
        self.workers[uid] = [self.stage(uid), self.publish_failures(uid)]
        if self.folds[uid].parked:
            self.workers[uid].append(self.catch_up(uid))
        self.tasks += self.workers[uid]

    def start_offset(self) -> int:
        return self.world.group_offset

    def open_ledger(self) -> Task:
        """Fencing and reading take their time; a former owner may still write before the one, and none after."""
        self.fence()
        yield from self.pause()
        self.load()
        yield from self.pause()

    def pause(self) -> Task:
        for _ in range(self.world.random.randint(1, 6)):
            yield

    def fence(self) -> None:
        self.world.epoch += 1
        self.epoch = self.world.epoch
        self.tell("has epoch %d", self.epoch)

    def load(self) -> None:
        self.folds = {
            uid: folding.ExportFold(self.world.states.get(uid) or ExportState(uid)) for uid in self.world.exports
        }
        self.batches = dict(self.world.batches)

    # Ledger

    def write(
        self,
        batches: Sequence[BatchRecord],
        write: steps.LedgerWrite | None = None,
        letters: Sequence[BatchKey] = (),
    ) -> None:
        """One fenced transaction. It may fail, or succeed without our knowing. `letters` are of expired batches."""
        if self.epoch != self.world.epoch or self.world.fault(0.01):
            raise Fenced
        records = {(record.export_uid, record.batch_id): record for record in batches}
        self.world.batches.update(records)
        if write is not None:
            uid = write.state.export_uid
            self.world.states[uid] = write.state
            self.world.dead_letters += [
                place_of(uid, f.revision, f.source.partition, f.event.offset) for f in write.failures
            ]
            self.tell("ledger: %s, dead letters %s", write.state, [f.event.offset for f in write.failures])
        self.world.letters_of_batches.update(letters)
        for record in batches:
            self.tell("ledger: %s", record)
        if self.world.fault(0.01):
            raise Fenced
        self.batches.update(records)

    def put(self, record: BatchRecord) -> None:
        self.write([record])

    def lock(self, uid: str) -> Task:
        while uid in self.writing:
            yield WAITING
        self.writing.add(uid)

    def unlock(self, uid: str) -> None:
        self.writing.discard(uid)

    # Taking envelopes

    def consume(self) -> Task:
        """Envelopes and ticks in one loop, which decides alone when a step is cut."""
        choose = self.world.random
        while True:
            yield None if self.next_offset < len(self.world.rows) else WAITING
            if self.next_offset < len(self.world.rows):
                self.take()
            if choose.random() < 0.2:
                for uid, fold in self.folds.items():
                    fold.close_before(self.world.exports[uid].revision)
                    self.close_lanes(uid)
                    if fold.close_due(self.world.now_ms, self.world.exports[uid].conditions):
                        self.on_time_close(fold)
            for fold in self.folds.values():
                if choose.random() < 0.2:
                    fold.cut()

    def take(self) -> None:
        uid = self.world.rows[self.next_offset][1].export_uid
        if not self.folds[uid].parked:
            self.fold_at(self.next_offset)
        self.next_offset += 1

    def fold_at(self, offset: int) -> None:
        appended_ms, rows = self.world.rows[offset]
        export = self.world.exports[rows.export_uid]
        fold = self.folds[rows.export_uid]
        first = None
        if rows.source.lane != LIVE_LANE:
            first = self.lane_first(rows)
            if first is None:
                return
        retired = rows.revision in export.retired and not fold.knows(offset, rows)
        if retired and self.epoch == self.world.epoch:
            self.world.violated("RETIRED revision %d of %s has new rows", rows.revision, rows.export_uid)
        try:
            fold.take(offset, rows, appended_ms, export.table_id(rows.revision), export.conditions, first)
        except folding.Gap as gap:
            if self.epoch != self.world.epoch:
                raise Fenced from gap
            self.world.violated("GAP %s: %s", rows.export_uid, gap)

    def lane_first(self, rows: Rows) -> int | None:
        """Where the source of a replay begins; None when the replay is over: what comes of it is a repeat."""
        return retiring.first_of(self.world.exports[rows.export_uid].definition(), rows.source)

    def close_lanes(self, uid: str) -> None:
        """A replay's windows end with its last row; of one that is over the marks are forgotten."""
        if not self.world.exports[uid].replays:
            return
        export, fold = self.world.exports[uid].definition(), self.folds[uid]
        fold.keep_lanes([replay.lane for replay in export.replays])
        for replay in export.replays:
            if retiring.is_taken(replay, fold.marks):
                fold.close_revision(replay.revision.number, "replay")
            lane = lane_of(replay.revision.number)
            if (uid, lane) not in self.importing:
                self.importing.add((uid, lane))
                self.tasks.append(self.import_batches(uid, lane))

    def on_time_close(self, fold: folding.ExportFold) -> None:
        """Nothing: the closing reaches the ledger with the step that stages the last row (rule 8)."""

    def commit(self) -> Task:
        while True:
            offset = self.commit_offset()
            yield None if offset > self.world.group_offset else WAITING
            if self.generation == self.world.sink_generation and offset > self.world.group_offset:
                self.world.group_offset = offset
                self.tell("group commit %d", offset)

    def commit_offset(self) -> int:
        unstaged = [fold.first_unstaged for fold in self.folds.values()]
        return min([offset for offset in unstaged if offset is not None], default=self.next_offset)

    # Staging

    def stage(self, uid: str) -> Task:
        fold = self.folds[uid]
        while True:
            yield
            while fold.step is None:
                yield WAITING
            staged: dict[str, steps.StagedPart] = {}
            for batch_id, part in fold.step.parts.items():
                yield from self.upload(uid, batch_id, part, staged)
            yield from self.lock(uid)
            open_batches = {batch_id: record for (owner, batch_id), record in self.batches.items() if owner == uid}
            write = fold.step_write(open_batches, staged, self.world.now_ms)
            yield
            yield from self.write_step(write)
            fold.written(write)
            self.unlock(uid)

    def write_step(self, write: steps.LedgerWrite) -> Task:
        """Slices, closings, dead letters and snapshot in one transaction (rule 8)."""
        self.write(write.batches, write)
        yield

    def upload(self, uid: str, batch_id: str, part: steps.Part, staged: dict[str, steps.StagedPart]) -> Task:
        """A part becomes one slice of its batch's file; after an unclear answer it is uploaded anew."""
        record = self.batches.get((uid, batch_id))
        file = record.file if record else self.world.prepare_file()
        yield
        if record and self.world.locked():
            file = yield from self.copied(record)
        data = b"".join(part.csv)
        while True:
            name = self.slice_name(record)
            self.world.files[file.file_id].slices[name] = data
            self.tell("slice %s of batch %s in file %s", name, batch_id, file.file_id)
            yield
            if not self.world.fault(0.1):
                break
        self.on_uploaded(file, name)
        staged[batch_id] = steps.StagedPart(file, "run", True, Slice(name, part.rows, part.size_bytes, len(data)))

    def slice_name(self, record: BatchRecord | None) -> str:
        return f"{len(record.slices) if record else 0}-{self.world.number()}"

    def on_uploaded(self, file: StagedFile, name: str) -> None:
        """Nothing: the manifest is written when the ledger's list of slices is final (rule 10)."""

    def publish_failures(self, uid: str) -> Task:
        fold = self.folds[uid]
        while True:
            yield
            while not fold.has_failures or fold.idle:
                yield WAITING
            yield from self.lock(uid)
            write = fold.dead_letter_write()
            if write is not None:
                yield
                self.write((), write)
                yield
                fold.written(write)
            self.unlock(uid)

    # Parking

    def park(self, uid: str) -> Task:
        """Now and then the export cannot stage: what is in memory is dropped, and read again later (rule 12)."""
        while True:
            while not self.world.fault(0.05):
                yield WAITING
            yield from self.lock(uid)
            self.stop_work(uid)
            write = self.folds[uid].park_write()
            yield
            self.write((), write)
            self.tell("%s is parked at %d", uid, write.state.staged_to)
            yield
            self.folds[uid] = self.parked_fold(self.folds[uid], write.state)
            self.begin_work(uid)
            self.unlock(uid)

    def stop_work(self, uid: str) -> None:
        """Cancel the step under way, and a catch-up."""
        self.tasks = [task for task in self.tasks if task not in self.workers[uid]]

    def parked_fold(self, before: folding.ExportFold, state: ExportState) -> folding.ExportFold:
        """The fold that goes on: as the ledger has it, whatever the one before held."""
        return folding.ExportFold(state)

    def catch_up(self, uid: str) -> Task:
        while self.world.fault(0.9):
            yield WAITING
        fold = self.folds[uid]
        offset = self.catch_up_from(fold)
        while offset < self.live_offset():
            if self.world.rows[offset][1].export_uid == uid:
                self.fold_at(offset)
            offset += 1
            yield
        fold.resume()
        self.tell("%s has caught up to %d", uid, offset)

    def catch_up_from(self, fold: folding.ExportFold) -> int:
        return fold.position

    def live_offset(self) -> int:
        """Where the others are now."""
        return self.next_offset

    # Importing

    def import_batches(self, uid: str, lane: int) -> Task:
        """Those of the events as they arrive, or of a replay, one after the other."""
        while True:
            yield
            if lane == 0:
                yield from self.retry_waiting(uid)
            waiting = (Phase.CLOSING, Phase.IMPORTING, Phase.FAILED)
            records = [r for r in self.batches.values() if r.export_uid == uid and r.phase in waiting]
            records = [record for record in records if lane_of(record.revision) == lane]
            if records:
                yield from self.import_batch((uid, importing.in_order(records)[0].batch_id))
            else:
                yield WAITING

    def retry_waiting(self, uid: str) -> Task:
        """Take up what persons asked of batches that wait for one."""
        for record in [r for r in self.batches.values() if r.export_uid == uid and r.phase in importing.TERMINAL]:
            if self.take_up(record):
                yield

    def take_up(self, record: BatchRecord) -> bool:
        retry = importing.asked_for(record, self.world.retries[record.export_uid])
        if retry is not None:
            self.put(importing.retried(record, retry, self.world.now_ms))
        return retry is not None

    def import_batch(self, key: BatchKey) -> Task:
        look_ups: Counter[int] = Counter()
        while True:
            yield
            if self.take_up(self.batches[key]):
                continue
            record = self.batches[key]
            attempt = len(record.attempts)
            grace_over = look_ups[attempt] >= GRACE_LOOK_UPS
            expiry_ms = self.world.expiry_ms
            locked = not record.attempts and self.world.locked()
            act = importing.next_act(
                record, self.world.now_ms, grace_over=grace_over, expiry_ms=expiry_ms, locked=locked
            )
            if act is Act.NONE:
                return
            if act is Act.EXPIRE:
                yield from self.expire(record)
                return
            if act is Act.BEGIN:
                yield from self.begin(key)
            elif act is Act.REFILE:
                file = yield from self.copied(record)
                self.put(importing.refiled(record, file))
            elif act is Act.LOOK_UP:
                look_ups[attempt] += 1
                self.adopt(record)
            elif act is Act.COPY:
                yield from self.copy(key)
            elif act is Act.DELETE_FIRST:
                yield from self.move(key)
            elif act is Act.POLL:
                yield from self.poll(record)
            else:
                yield WAITING

    def begin(self, key: BatchKey) -> Task:
        record = self.batches[key]
        if importing.needs_manifest(record):
            self.write_manifest(record)
            yield
        self.put(importing.begun(record, self.world.now_ms))
        yield
        yield from self.post(self.batches[key])

    def expire(self, record: BatchRecord) -> Task:
        """Given up, with one dead letter for the batch in the same transaction (rule 19)."""
        key = record.export_uid, record.batch_id
        letters = [] if record.expired_ms else [key]
        self.write([importing.expired(record, None, self.world.now_ms)], letters=letters)
        yield

    def write_manifest(self, record: BatchRecord) -> None:
        self.world.files[record.file.file_id].manifest = [item.name for item in record.slices]
        self.tell("manifest of file %s: %s", record.file.file_id, [item.name for item in record.slices])

    def post(self, record: BatchRecord) -> Task:
        """One POST: answered; done with its answer lost; lost on its way; or late."""
        world, file_id = self.world, record.file.file_id
        request = file_id, (record.export_uid, record.batch_id), record.table_id
        luck = world.random.random() if world.chaos else 0.0
        if luck < 0.4:
            answer = world.post(*request)
            yield
            self.take_answer(record, answer)
        elif luck < 0.6:
            self.tell("POST of file %s: the answer is lost", file_id)
            world.post(*request)
        elif luck < 0.75:
            self.tell("POST of file %s never arrives", file_id)
        else:
            self.tell("POST of file %s is delayed", file_id)
            world.network.append(request)
        yield

    def take_answer(self, record: BatchRecord, answer: Job | str) -> None:
        if isinstance(answer, Job):
            self.put(importing.adopted(record, answer.job_id))
        else:
            self.put(importing.refused(record, answer, self.retry_ms(record)))

    def retry_ms(self, record: BatchRecord) -> int:
        return self.world.now_ms + RETRY.pause_ms(record.failures + 1, self.world.random.random())

    def find(self, record: BatchRecord) -> Job | None:
        known = importing.known_jobs(record)
        mine = (job for job in self.world.jobs if job.file_id == record.file.file_id and job.job_id not in known)
        return next(mine, None)

    def adopt(self, record: BatchRecord) -> bool:
        job = self.find(record)
        if job is not None:
            self.put(importing.adopted(record, job.job_id))
        return job is not None

    def copy(self, key: BatchKey) -> Task:
        record = self.batches[key]
        second = yield from self.copied(record)
        self.put(importing.copied(record, second))

    def copied(self, record: BatchRecord) -> Generator[bool | None, None, StagedFile]:
        """The slices that the ledger has, and a manifest of them, in another file."""
        second = self.world.prepare_file()
        yield
        copy, first = self.world.files[second.file_id], self.world.files[record.file.file_id]
        while first.deleted:
            yield WAITING
        names = [item.name for item in record.slices]
        copy.slices = {name: first.slices[name] for name in names}
        copy.manifest = names
        self.tell("copies file %s to %s", record.file.file_id, second.file_id)
        yield
        return second

    def move(self, key: BatchKey) -> Task:
        record = self.batches[key]
        self.delete(record.file)
        yield
        if self.adopt(record):
            return
        yield
        self.put(importing.moved(record, self.world.now_ms))
        yield
        yield from self.post(self.batches[key])

    def delete(self, file: StagedFile) -> None:
        self.world.files[file.file_id].deleted = True
        self.tell("deletes file %s", file.file_id)

    def poll(self, record: BatchRecord) -> Task:
        job = next(job for job in self.world.jobs if job.job_id == record.attempts[-1].job_id)
        while job.state == "waiting":
            yield WAITING
        if job.state == "success":
            self.put(importing.imported(record, self.world.now_ms))
        else:
            has_key = self.world.exports[record.export_uid].has_key
            retry_ms = self.retry_ms(record)
            self.put(importing.job_failed(record, job.code, "no", has_key=has_key, retry_ms=retry_ms))

    def retire(self, uid: str) -> Task:
        """Tell control which revisions are over by the ledger (rules 18 and 20)."""
        while True:
            over = self.over(uid)
            yield None if set(over) - self.world.exports[uid].retired else WAITING
            self.world.retire(uid, over)

    def over(self, uid: str) -> Sequence[int]:
        busy = [r for r in self.batches.values() if r.export_uid == uid and r.phase is not Phase.IMPORTED]
        return retiring.over(self.world.exports[uid].definition(), self.folds[uid].staged, busy)

    # The end

    def done(self) -> bool:
        """Whether all rows are taken, staged and closed, and all failures published."""
        return self.next_offset == len(self.world.rows) and all(
            fold.idle and not fold.windows and not fold.has_closed and not fold.has_failures and not fold.staged.parked
            for fold in self.folds.values()
        )
