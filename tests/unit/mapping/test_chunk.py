"""What follows when children are lost, driven by a child made of rules."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.mapping.chunk import CHILD_LOST_SECONDS, Chunk, Job, Loss
from app.model.event import EventBatch, Reason, Segment

HANG = Loss(Reason.TEMPLATE_TIMEOUT, "stuck", "cell")
DIE = Loss(Reason.TEMPLATE_MEMORY, "died", "cell")
BUG = Loss(Reason.TEMPLATE_ERROR, "bug")


def mapped(job: Job) -> list[Segment]:
    """What a child makes of a job: a row for each event."""
    events = range(job.start, job.stop)
    return [Segment(job.stop, b"".join(b'"%d"\n' % event for event in events), list(events), [])]


def run(chunk: Chunk, guilty: dict[tuple[int, int], Loss], told: bool) -> int:
    """Work the chunk off like the pool; a child is lost at each guilty (export, event). Gives how many were lost."""
    lost = 0
    while chunk.pending:
        for job in list(chunk.pending):
            at = next((event for event in range(job.start, job.stop) if (job.export, event) in guilty), None)
            if at is None:
                chunk.finished(job, mapped(job), 0.001)
                continue
            loss = guilty[job.export, at]
            chunk.lost(
                job, Loss(loss.reason, loss.message, loss.column, at if told else None, told and loss is HANG), 0.1
            )
            lost += 1
            break
    return lost


def blamed(segments: Sequence[Segment]) -> dict[int, Reason]:
    return {failed.offset: failed.reason for segment in segments for failed in segment.failures}


@given(
    count=st.integers(1, 60),
    guilty=st.dictionaries(
        st.tuples(st.integers(0, 2), st.integers(0, 59)), st.sampled_from([HANG, DIE, BUG]), max_size=6
    ),
    told=st.booleans(),
)
def test_exactly_the_guilty_events_are_blamed(
    count: int,
    guilty: dict[tuple[int, int], Loss],
    told: bool,
    make_batch: Callable[..., EventBatch],
    outcome: Callable[[Sequence[Segment]], Any],
) -> None:
    chunk = Chunk(make_batch(*[b"{}"] * count), 3, budget_seconds=1000)

    run(chunk, guilty, told)

    for export, segments in enumerate(chunk.segments):
        expected = {event: loss.reason for (of, event), loss in guilty.items() if of == export and event < count}
        rows, _ = outcome(segments)
        assert blamed(segments) == expected
        assert rows == {event: b'"%d"\n' % event for event in range(count) if event not in expected}
        assert [segment.end for segment in segments] == sorted(segment.end for segment in segments)
        assert segments[-1].end == count


def test_used_up_budget_fails_what_is_left_of_that_export_alone(make_batch: Callable[..., EventBatch]) -> None:
    count = 1000
    chunk = Chunk(make_batch(*[b"{}"] * count), 2, budget_seconds=3)

    lost = run(chunk, {(0, event): DIE for event in range(0, count, 2)}, told=True)

    poisoned, sibling = chunk.segments
    assert blamed(sibling) == {}
    assert Reason.TEMPLATE_TIMEOUT in blamed(poisoned).values()
    assert len(blamed(poisoned)) + sum(len(segment.offsets) for segment in poisoned) == count
    assert lost <= 3 / CHILD_LOST_SECONDS + 1


def test_a_child_lost_once_by_chance_blames_nobody(make_batch: Callable[..., EventBatch]) -> None:
    chunk = Chunk(make_batch(b"{}"), 1, budget_seconds=5)
    (job,) = chunk.pending

    chunk.lost(job, DIE, 0)
    run(chunk, {}, told=True)

    assert blamed(chunk.segments[0]) == {}
    assert chunk.segments[0][0].offsets == [0]


def test_a_child_lost_before_it_began_leaves_the_job_as_it_is(make_batch: Callable[..., EventBatch]) -> None:
    chunk = Chunk(make_batch(b"{}", b"{}"), 1, budget_seconds=1)
    (job,) = chunk.pending
    unbegun = Loss(Reason.TEMPLATE_MEMORY, "died", begun=False)

    chunk.lost(job, unbegun, 0)
    assert list(chunk.pending) == [job]

    for _ in range(3):
        chunk.lost(job, unbegun, 0)
    assert blamed(chunk.segments[0]) == dict.fromkeys([0, 1], Reason.TEMPLATE_TIMEOUT)


def test_siblings_go_before_what_is_suspected(make_batch: Callable[..., EventBatch]) -> None:
    chunk = Chunk(make_batch(*[b"{}"] * 4), 2, budget_seconds=5)

    chunk.lost(chunk.pending[0], DIE, 0)

    assert [(job.export, job.start, job.stop) for job in chunk.pending] == [(1, 0, 4), (0, 0, 2), (0, 2, 4)]


def test_answers_for_jobs_that_failed_meanwhile_are_not_taken(make_batch: Callable[..., EventBatch]) -> None:
    chunk = Chunk(make_batch(*[b"{}"] * 4), 1, budget_seconds=1)
    chunk.lost(chunk.pending[0], DIE, 0.1)
    first, second = chunk.pending

    chunk.finished(first, mapped(first), 2)
    chunk.finished(second, mapped(second), 0.1)
    chunk.lost(second, DIE, 0.1)

    assert not chunk.pending
    assert blamed(chunk.segments[0]) == dict.fromkeys([2, 3], Reason.TEMPLATE_TIMEOUT)


@pytest.mark.parametrize("exports", [0, 2])
def test_nothing_to_map(exports: int, make_batch: Callable[..., EventBatch]) -> None:
    chunk = Chunk(make_batch(), exports, budget_seconds=5)

    assert not chunk.pending
    assert chunk.segments == [[] for _ in range(exports)]
