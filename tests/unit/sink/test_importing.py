"""The decisions of an import alone: one POST an attempt, none while one is unsettled, and an end to every path."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.model.ledger import Attempt, BatchRecord, Phase, Slice, StagedFile
from app.model.receiver import BatchRetry
from app.sink import importing
from app.sink.importing import Act, RetryPlan, next_act

FIRST, SECOND = StagedFile("f1", 0, 0, b""), StagedFile("f2", 0, 0, b"")
CLOSING = BatchRecord("x", "b1", 1, "in.c-x.t", True, Phase.CLOSING, 0, "run", FIRST, slices=(Slice("s1", 3, 30, 10),))
BEGUN = importing.begun(CLOSING, 5)
STORAGE_ANSWERS = ("job", "refused", "lost", "late", "never")
ERRORS = ("csvImport.columnsNotMatch", None)
NEVER_MS = 10**9


class Import:
    """One batch's import in a Storage whose answers a test chooses, with an owner that may start again anywhere.

    A late POST arrives when the owner looks, at the latest; a deleted file is refused.
    """

    def __init__(self, choices: list[int], *, has_key: bool, expiry_ms: int) -> None:
        self.choices, self.has_key, self.expiry_ms = choices, has_key, expiry_ms
        self.record = CLOSING
        self.jobs: dict[str, tuple[str, str]] = {}
        """File and state of each job, by id."""
        self.late: list[str] = []
        self.deleted: set[str] = set()
        self.look_ups = 0
        self.files = 1
        self.acts = 0

    def choose(self, options: int) -> int:
        """The next choice; 0, where all is well, after the last."""
        return self.choices.pop() % options if self.choices else 0

    def run(self) -> None:
        while self.record.phase not in importing.TERMINAL:
            self.acts += 1
            assert self.acts < 400, "the import does not end"
            if self.choose(8) == 7:
                self.look_ups = 0
            self.deliver()
            self.act(next_act(self.record, self.acts, grace_over=self.look_ups > 1, expiry_ms=self.expiry_ms))

    def act(self, act: Act) -> None:
        record = self.record
        if act is Act.BEGIN:
            self.record = importing.begun(record, self.acts)
            self.begin_post()
        elif act is Act.LOOK_UP:
            self.look_ups += 1
            self.adopt()
        elif act is Act.COPY:
            self.files += 1
            self.record = importing.copied(record, StagedFile(f"f{self.files}", 0, 0, b""))
        elif act is Act.DELETE_FIRST:
            assert self.record.next_file is not None
            self.deleted.add(record.file.file_id)
            self.deliver()
            if not self.adopt():
                self.record = importing.moved(record, self.acts)
                self.begin_post()
        elif act is Act.POLL:
            self.poll()
        elif act is Act.EXPIRE:
            self.record = importing.expired(record, None, self.acts)
        else:
            assert act is Act.WAIT

    def begin_post(self) -> None:
        """The owner may start again between the record and its POST."""
        self.look_ups = 0
        if self.choose(6) != 5:
            self.post()

    def post(self) -> None:
        answer = STORAGE_ANSWERS[self.choose(len(STORAGE_ANSWERS))]
        file_id = self.record.file.file_id
        if answer == "late":
            self.late.append(file_id)
        elif answer == "refused" or (answer == "job" and file_id in self.deleted):
            self.record = importing.refused(self.record, "no", self.acts + 2)
        elif answer != "never":
            job_id = self.arrive(file_id)
            if answer == "job":
                self.record = importing.adopted(self.record, job_id)

    def arrive(self, file_id: str) -> str:
        assert not [job for job, (_, state) in self.jobs.items() if state in ("waiting", "loaded")], "posted twice"
        job_id = f"j{len(self.jobs)}"
        self.jobs[job_id] = (file_id, "waiting")
        return job_id

    def deliver(self) -> None:
        if self.late and (self.choose(2) or self.record.next_file is not None):
            file_id = self.late.pop()
            if file_id not in self.deleted:
                self.arrive(file_id)

    def adopt(self) -> bool:
        known, file_id = importing.known_jobs(self.record), self.record.attempts[-1].file_id
        found = [job for job, (file, _) in self.jobs.items() if file == file_id and job not in known]
        if found:
            self.record = importing.adopted(self.record, found[0])
        return bool(found)

    def poll(self) -> None:
        job_id = self.record.attempts[-1].job_id
        assert job_id is not None
        file_id, state = self.jobs[job_id]
        luck = self.choose(4)
        if state == "waiting" and file_id not in self.deleted and luck < 2:
            self.jobs[job_id] = (file_id, "loaded")
            self.record = importing.imported(self.record, self.acts)
        else:
            self.jobs[job_id] = (file_id, "failed")
            code = ERRORS[luck == 3]
            self.record = importing.job_failed(self.record, code, "no", has_key=self.has_key, retry_ms=self.acts + 2)


@settings(max_examples=400)
@given(
    choices=st.lists(st.integers(0, 119), max_size=60), has_key=st.booleans(), expiry_ms=st.sampled_from((10, NEVER_MS))
)
def test_every_import_ends_and_none_is_posted_while_another_is_unsettled(
    choices: list[int], has_key: bool, expiry_ms: int
) -> None:
    history = Import(choices, has_key=has_key, expiry_ms=expiry_ms)

    history.run()

    assert history.record.phase in importing.TERMINAL
    assert expiry_ms < NEVER_MS or history.record.phase is not Phase.EXPIRED
    loaded = [job for job, (_, state) in history.jobs.items() if state == "loaded"]
    assert len(loaded) == (history.record.phase is Phase.IMPORTED)
    assert all(attempt.settled for attempt in history.record.attempts)
    assert history.record.file.file_id not in history.deleted or history.record.phase is not Phase.FAILED


@pytest.mark.parametrize(
    ("record", "grace_over", "act"),
    [
        (replace(CLOSING, phase=Phase.OPEN), True, Act.NONE),
        (CLOSING, False, Act.BEGIN),
        (BEGUN, False, Act.LOOK_UP),
        (BEGUN, True, Act.COPY),
        (importing.copied(BEGUN, SECOND), False, Act.DELETE_FIRST),
        (importing.copied(BEGUN, SECOND), True, Act.DELETE_FIRST),
        (importing.moved(importing.copied(BEGUN, SECOND), 9), False, Act.LOOK_UP),
        (importing.adopted(BEGUN, "j1"), True, Act.POLL),
        (importing.adopted(importing.copied(BEGUN, SECOND), "j1"), True, Act.POLL),
        (importing.refused(BEGUN, "no", 100), True, Act.WAIT),
        (importing.refused(BEGUN, "no", 50), True, Act.BEGIN),
        (replace(CLOSING, phase=Phase.FAILED), False, Act.BEGIN),
        (importing.imported(importing.adopted(BEGUN, "j1"), 9), True, Act.NONE),
        (replace(CLOSING, phase=Phase.UNCLEAR), True, Act.NONE),
        (replace(CLOSING, phase=Phase.EXPIRED), True, Act.NONE),
    ],
)
def test_next_act_follows_from_the_record(record: BatchRecord, grace_over: bool, act: Act) -> None:
    assert next_act(record, 50, grace_over=grace_over, expiry_ms=NEVER_MS) is act


FAILED = importing.refused(replace(BEGUN, closed_ms=1), "no", 100)


@pytest.mark.parametrize(
    ("record", "now_ms", "tried", "act"),
    [
        (FAILED, 30, False, Act.WAIT),
        (FAILED, 31, False, Act.EXPIRE),
        (FAILED, 500, False, Act.BEGIN),
        (FAILED, 500, True, Act.EXPIRE),
        (replace(FAILED, retried_ms=20), 49, False, Act.WAIT),
        (replace(FAILED, retried_ms=20), 50, False, Act.EXPIRE),
        (replace(CLOSING, closed_ms=1), 500, False, Act.BEGIN),
        (replace(CLOSING, closed_ms=1), 500, True, Act.EXPIRE),
        (replace(CLOSING, closed_ms=1), 30, True, Act.BEGIN),
        (BEGUN, 500, True, Act.LOOK_UP),
        (importing.adopted(BEGUN, "j1"), 500, True, Act.POLL),
    ],
    ids=[
        "not yet",
        "failed for too long",
        "it was time to try again",
        "it could not be tried again",
        "counted from the retry by hand",
        "failed for too long since the retry by hand",
        "waited for its turn and is tried first",
        "could not be tried",
        "could not be tried but not for too long",
        "nobody knows whether it was begun",
        "its job goes on",
    ],
)
def test_batch_expires_when_it_has_failed_for_too_long(record: BatchRecord, now_ms: int, tried: bool, act: Act) -> None:
    assert next_act(record, now_ms, grace_over=False, expiry_ms=30, tried=tried) is act


def test_expired_batch_keeps_its_reason_and_when_it_expired_first() -> None:
    first = importing.expired(FAILED, "away", 40)
    second = importing.expired(replace(first, phase=Phase.FAILED), None, 90)

    assert (first.phase, first.error, first.retry_ms, first.expired_ms) == (Phase.EXPIRED, "no", None, 40)
    assert second.expired_ms == 40


def test_batch_that_could_not_even_begin_expires_with_the_trouble_as_its_reason() -> None:
    assert importing.expired(CLOSING, "S3 is away", 40).error == "S3 is away"


def test_batch_does_not_expire_while_an_attempt_is_unsettled() -> None:
    with pytest.raises(RuntimeError, match="b1: an attempt is not settled, the batch must not expire"):
        importing.expired(BEGUN, "no", 6)


RETRY = BatchRetry("b1", 5, "task-1")
UNCLEAR = importing.job_failed(
    importing.adopted(importing.copied(BEGUN, SECOND), "j1"), None, "no", has_key=False, retry_ms=0
)


@pytest.mark.parametrize("phase", [Phase.FAILED, Phase.UNCLEAR, Phase.EXPIRED])
def test_request_to_retry_is_taken_up_once(phase: Phase) -> None:
    record = replace(FAILED, phase=phase)

    again = importing.retried(record, RETRY, 60)

    assert importing.asked_for(record, [RETRY]) == RETRY
    assert importing.asked_for(again, [RETRY]) is None
    assert (again.phase, again.retry_id, again.retried_ms) == (Phase.FAILED, "task-1", 60)
    assert next_act(again, 60, grace_over=False, expiry_ms=30) is Act.BEGIN


@pytest.mark.parametrize(
    ("record", "retry"),
    [
        (FAILED, replace(RETRY, batch_id="b2")),
        (FAILED, replace(RETRY, attempt_ms=0)),
        (importing.refused(importing.begun(FAILED, 70), "no", 100), RETRY),
        (BEGUN, RETRY),
        (importing.imported(importing.adopted(BEGUN, "j1"), 9), RETRY),
        (replace(CLOSING, phase=Phase.OPEN), replace(RETRY, attempt_ms=0)),
    ],
    ids=["of another batch", "before its attempt", "of an earlier attempt", "under way", "imported", "open"],
)
def test_request_for_a_batch_as_it_is_not_is_left_alone(record: BatchRecord, retry: BatchRetry) -> None:
    assert importing.asked_for(record, [retry]) is None


def test_unclear_batch_is_tried_again_from_its_second_file() -> None:
    record = importing.retried(UNCLEAR, RETRY, 60)

    assert (UNCLEAR.phase, record.file, record.next_file) == (Phase.UNCLEAR, SECOND, None)


def test_record_keeps_all_jobs_and_the_last_refusals() -> None:
    record = importing.job_failed(importing.adopted(BEGUN, "j1"), "csvImport.x", "no", has_key=False, retry_ms=0)
    for number in range(100):
        record = importing.refused(importing.begun(record, number), "no" * 5000, 0)

    assert importing.known_jobs(record) == {"j1"}
    assert [attempt.started_ms for attempt in record.attempts] == [5, *range(79, 100)]
    assert len(record.attempts[-1].refusal or "") == 2000


def test_manifest_is_written_before_the_first_attempt_only() -> None:
    assert importing.needs_manifest(CLOSING)
    assert not importing.needs_manifest(FAILED)


def test_no_attempt_begins_while_one_is_unsettled() -> None:
    with pytest.raises(RuntimeError, match="b1: an attempt is not settled, the file must not be posted again"):
        importing.begun(BEGUN, 6)


def test_nothing_moves_to_a_second_file_that_is_not_recorded() -> None:
    with pytest.raises(RuntimeError, match="b1 has no second file"):
        importing.moved(BEGUN, 6)


def test_second_file_takes_the_place_of_the_first_with_an_attempt_of_its_own() -> None:
    record = importing.moved(importing.copied(BEGUN, SECOND), 9)

    assert (record.file, record.next_file) == (SECOND, None)
    assert record.attempts == (
        Attempt("f1", 5, refusal="no job was found and its file was deleted"),
        Attempt("f2", 9),
    )


def test_failed_import_is_tried_again_from_the_second_file() -> None:
    adopted = importing.adopted(importing.copied(BEGUN, SECOND), "j1")

    record = importing.job_failed(adopted, "csvImport.x", "no", has_key=False, retry_ms=90)

    assert (record.phase, record.file, record.next_file) == (Phase.FAILED, SECOND, None)
    assert (record.retry_ms, record.failures, record.error) == (90, 1, "no (csvImport.x)")


def test_imported_batch_forgets_its_errors_and_keeps_its_attempts() -> None:
    failed = importing.refused(BEGUN, "no", 6)
    again = importing.adopted(importing.begun(failed, 7), "j2")

    record = importing.imported(again, 8)

    assert (record.phase, record.error, record.finished_ms) == (Phase.IMPORTED, None, 8)
    assert importing.known_jobs(record) == {"j2"}
    assert [attempt.refusal for attempt in record.attempts] == ["no", None]


@pytest.mark.parametrize(
    ("code", "has_key", "incremental", "phase"),
    [
        ("csvImport.columnsNotMatch", False, True, Phase.FAILED),
        ("storage.tableNotFound", False, True, Phase.FAILED),
        ("invalidCsv", False, True, Phase.FAILED),
        ("internalError", False, True, Phase.UNCLEAR),
        (None, False, True, Phase.UNCLEAR),
        (None, True, True, Phase.FAILED),
        (None, False, False, Phase.FAILED),
    ],
)
def test_job_that_may_have_loaded_is_tried_again_only_where_that_does_no_harm(
    code: str | None, has_key: bool, incremental: bool, phase: Phase
) -> None:
    record = replace(importing.adopted(BEGUN, "j1"), incremental=incremental)

    assert importing.job_failed(record, code, "no", has_key=has_key, retry_ms=9).phase is phase


def test_batches_go_by_revision_then_by_age() -> None:
    batches = [replace(CLOSING, batch_id=name, revision=revision) for name, revision in (("3", 2), ("9", 1), ("1", 2))]

    assert [batch.batch_id for batch in importing.in_order(batches)] == ["9", "1", "3"]


@given(
    first_ms=st.integers(1, 10**6),
    factor=st.floats(1, 10),
    cap_ms=st.integers(1, 10**8),
    failures=st.integers(1, 60),
    jitter=st.floats(0, 1),
)
def test_pauses_grow_to_their_cap_less_up_to_a_fifth(
    first_ms: int, factor: float, cap_ms: int, failures: int, jitter: float
) -> None:
    plan = RetryPlan(first_ms, factor, cap_ms)
    whole = plan.pause_ms(failures, 0)

    assert whole <= cap_ms
    assert whole == cap_ms or whole == int(first_ms * factor ** (failures - 1))
    assert int(whole * 0.8) - 1 <= plan.pause_ms(failures, jitter) <= whole
    assert plan.pause_ms(failures + 1, 0) >= whole


def test_pause_after_very_many_failures_is_the_cap() -> None:
    assert RetryPlan(first_ms=1000, factor=4.0, cap_ms=2000).pause_ms(10_000, 0) == 2000


def test_file_that_takes_nothing_any_more_is_replaced_as_long_as_it_was_never_posted() -> None:
    acts = [
        next_act(record, 5, grace_over=False, expiry_ms=NEVER_MS, locked=True)
        for record in (CLOSING, BEGUN, importing.refused(BEGUN, "no", 0))
    ]

    assert acts == [Act.REFILE, Act.LOOK_UP, Act.BEGIN]


def test_file_that_was_posted_is_not_replaced_just_so() -> None:
    with pytest.raises(RuntimeError, match="was posted"):
        importing.refiled(BEGUN, SECOND)


@pytest.mark.parametrize(
    ("now_ms", "status", "locked"),
    [(100, 400, True), (100, 403, True), (100, 401, True), (100, 422, True), (99, 400, False), (100, 0, False)],
    ids=["S3", "Azure", "Google", "Google's, not renewed any more", "refused before the end", "not by the cloud"],
)
def test_credentials_have_ended_when_the_cloud_refuses_and_their_time_is_over(
    now_ms: int, status: int, locked: bool
) -> None:
    file = StagedFile("f", 0, 100, b"")

    assert importing.is_locked(file, now_ms, status) is locked
