"""What follows when children are lost, driven by a child made of rules."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.mapping.chunk import CHEAP_SECONDS, CHILD_LOST_SECONDS, Chunk, Job, Loss, Spent
from app.mapping.faults import USED_UP
from app.model.event import EventBatch, Failure, Reason, Segment

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
                chunk.finished(job, mapped(job), Spent(0.001))
                continue
            loss = guilty[job.export, at]
            chunk.lost(
                job, Loss(loss.reason, loss.message, loss.column, at if told else None, told and loss is HANG), 0.1
            )
            lost += 1
            break
    return lost


def segments_of(chunk: Chunk) -> list[list[Segment]]:
    """For each export, what became of the batch; nothing is pending."""
    return [chunk.segments(export) or [] for export in range(chunk.exports)]


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

    for export, segments in enumerate(segments_of(chunk)):
        expected = {event: loss.reason for (of, event), loss in guilty.items() if of == export and event < count}
        rows, _ = outcome(segments)
        assert blamed(segments) == expected
        assert rows == {event: b'"%d"\n' % event for event in range(count) if event not in expected}
        assert [segment.end for segment in segments] == sorted(segment.end for segment in segments)
        assert segments[-1].end == count


@pytest.mark.parametrize(("events", "failing", "vain"), [(100, 100, 4), (100, 99, 0.99), (99, 99, 1)])
def test_time_that_made_no_row_of_many_events_counts_more_often(
    events: int, failing: int, vain: float, make_batch: Callable[..., EventBatch]
) -> None:
    chunk = Chunk(make_batch(*[b"{}"] * events), 1, budget_seconds=5)
    (job,) = chunk.pending
    seconds = 1 + CHEAP_SECONDS * events / (failing / events)

    charged = chunk.finished(job, stopped(job, events, range(failing)), Spent(seconds))

    assert charged == pytest.approx(vain, rel=0.02)


def test_used_up_budget_fails_what_is_left_of_that_export_alone(make_batch: Callable[..., EventBatch]) -> None:
    count = 1000
    chunk = Chunk(make_batch(*[b"{}"] * count), 2, budget_seconds=3)

    lost = run(chunk, {(0, event): DIE for event in range(0, count, 2)}, told=True)

    poisoned, sibling = segments_of(chunk)
    assert blamed(sibling) == {}
    assert Reason.TEMPLATE_TIMEOUT in blamed(poisoned).values()
    assert len(blamed(poisoned)) + sum(len(segment.offsets) for segment in poisoned) == count
    assert lost <= 3 / CHILD_LOST_SECONDS + 1


def test_a_child_lost_once_by_chance_blames_nobody(make_batch: Callable[..., EventBatch]) -> None:
    chunk = Chunk(make_batch(b"{}"), 1, budget_seconds=5)
    (job,) = chunk.pending

    chunk.lost(job, DIE, 0)
    run(chunk, {}, told=True)

    assert blamed(segments_of(chunk)[0]) == {}
    assert segments_of(chunk)[0][0].offsets == [0]


def test_a_child_lost_before_it_began_leaves_the_job_as_it_is(make_batch: Callable[..., EventBatch]) -> None:
    chunk = Chunk(make_batch(b"{}", b"{}"), 1, budget_seconds=1)
    (job,) = chunk.pending
    unbegun = Loss(Reason.TEMPLATE_MEMORY, "died", begun=False)

    chunk.lost(job, unbegun, 0)
    assert list(chunk.pending) == [job]

    for _ in range(3):
        chunk.lost(job, unbegun, 0)
    assert blamed(segments_of(chunk)[0]) == dict.fromkeys([0, 1], Reason.TEMPLATE_TIMEOUT)


def test_siblings_go_before_what_is_suspected(make_batch: Callable[..., EventBatch]) -> None:
    chunk = Chunk(make_batch(*[b"{}"] * 4), 2, budget_seconds=5)

    chunk.lost(chunk.pending[0], DIE, 0)

    assert [(job.export, job.start, job.stop) for job in chunk.pending] == [(1, 0, 4), (0, 0, 2), (0, 2, 4)]


def test_answers_for_jobs_that_failed_meanwhile_are_not_taken(make_batch: Callable[..., EventBatch]) -> None:
    chunk = Chunk(make_batch(*[b"{}"] * 4), 1, budget_seconds=1)
    chunk.lost(chunk.pending[0], DIE, 0.1)
    first, second = chunk.pending

    chunk.finished(first, mapped(first), Spent(2))
    chunk.finished(second, mapped(second), Spent(0.1))
    chunk.lost(second, DIE, 0.1)

    assert not chunk.pending
    assert blamed(segments_of(chunk)[0]) == dict.fromkeys([2, 3], Reason.TEMPLATE_TIMEOUT)


@pytest.mark.parametrize("exports", [0, 2])
def test_nothing_to_map(exports: int, make_batch: Callable[..., EventBatch]) -> None:
    chunk = Chunk(make_batch(), exports, budget_seconds=5)

    assert not chunk.pending
    assert segments_of(chunk) == [[] for _ in range(exports)]


def stopped(job: Job, stop: int, failing: Sequence[int] = ()) -> list[Segment]:
    """What a child makes of a job that it was told to end before this event; some events before it fail."""
    events = [event for event in range(job.start, stop) if event not in failing]
    failures = [Failure(event, Reason.TEMPLATE_ERROR, "cell", "wrong") for event in failing]
    failures += [Failure(event, Reason.TEMPLATE_TIMEOUT, "cell", USED_UP) for event in range(stop, job.stop)]
    return [Segment(job.stop, b"".join(b'"%d"\n' % event for event in events), events, failures)]


@given(count=st.integers(1, 100), slices=st.lists(st.integers(1, 10), min_size=100, max_size=100))
def test_job_done_in_slices_is_done_whole(
    count: int,
    slices: list[int],
    make_batch: Callable[..., EventBatch],
    outcome: Callable[[Sequence[Segment]], Any],
) -> None:
    chunk = Chunk(make_batch(*[b"{}"] * count), 2, budget_seconds=1000)

    for events in slices:
        for job in chunk.work(lambda export: True):
            chunk.finished(job, stopped(job, min(job.start + events, job.stop)), Spent(1))

    assert not chunk.pending
    for segments in segments_of(chunk):
        assert outcome(segments) == ({event: b'"%d"\n' % event for event in range(count)}, {})
        assert segments[-1].end == count


def test_slices_use_up_the_budget_together(make_batch: Callable[..., EventBatch]) -> None:
    chunk = Chunk(make_batch(*[b"{}"] * 10), 1, budget_seconds=2.5)

    vain = []
    while chunk.pending:
        (job,) = chunk.work(lambda export: True)
        vain.append(chunk.finished(job, stopped(job, job.start + 2), Spent(1)))

    assert vain == [0, 0, 3]
    assert blamed(segments_of(chunk)[0]) == dict.fromkeys(range(6, 10), Reason.TEMPLATE_TIMEOUT)


def test_what_is_left_behind_does_not_hold_the_siblings(make_batch: Callable[..., EventBatch]) -> None:
    chunk = Chunk(make_batch(*[b"{}"] * 4), 2, budget_seconds=5)
    slow = chunk.pending[0]

    chunk.finished(slow, stopped(slow, 1), Spent(1))

    assert [(job.export, job.start, job.stop) for job in chunk.pending] == [(1, 0, 4), (0, 1, 4)]


@pytest.mark.parametrize(
    ("failing", "spent", "vain"),
    [
        ((), Spent(3), 0),
        (range(10), Spent(3), 3),
        (range(5), Spent(3), 1.5),
        (range(10), Spent(0.0004), 0),
        ((7,), Spent(3, looks=[1, 7, 7, 7]), 2.25),
        ((7,), Spent(3, looks=[0, 1, 2, 3, 4]), 0),
    ],
    ids=["rows", "all fail", "half fail", "cheap failures", "one dear failure", "cheap among dear rows"],
)
def test_time_that_failures_took_was_spent_in_vain(
    failing: Sequence[int], spent: Spent, vain: float, make_batch: Callable[..., EventBatch]
) -> None:
    chunk = Chunk(make_batch(*[b"{}"] * 10), 1, budget_seconds=5)
    (job,) = chunk.pending

    assert chunk.finished(job, stopped(job, 10, failing), spent) == pytest.approx(vain, abs=20 * CHEAP_SECONDS)


def test_lost_child_was_in_vain(make_batch: Callable[..., EventBatch]) -> None:
    chunk = Chunk(make_batch(*[b"{}"] * 10), 1, budget_seconds=5)

    assert chunk.lost(chunk.pending[0], DIE, 1) == 1 + CHILD_LOST_SECONDS


def test_watched_export_is_mapped_in_small_jobs(make_batch: Callable[..., EventBatch]) -> None:
    chunk = Chunk(make_batch(*[b"{}"] * 10), 2, budget_seconds=5)

    chunk.cut(0, 4)

    assert [(job.export, job.start, job.stop) for job in chunk.pending] == [
        (1, 0, 10),
        (0, 0, 4),
        (0, 4, 8),
        (0, 8, 10),
    ]


def test_refused_export_fails_alone(make_batch: Callable[..., EventBatch]) -> None:
    chunk = Chunk(make_batch(*[b"{}"] * 4), 2, budget_seconds=5)

    chunk.refuse(0, "rests")
    run(chunk, {}, told=True)

    refused, sibling = segments_of(chunk)
    assert blamed(refused) == dict.fromkeys(range(4), Reason.EXPORT_RESTING)
    assert (blamed(sibling), [offset for segment in sibling for offset in segment.offsets]) == ({}, [0, 1, 2, 3])


def test_slow_export_is_given_about_as_much_as_it_can_do_and_comes_last(make_batch: Callable[..., EventBatch]) -> None:
    chunk = Chunk(make_batch(*[b"{}"] * 100), 3, budget_seconds=5)
    chunk.finished(chunk.pending[0], stopped(chunk.pending[0], 10), Spent(1))

    jobs = chunk.work(lambda export: export != 2)

    assert [(job.export, job.start, job.stop) for job in jobs] == [(1, 0, 100), (0, 10, 31)]
    assert sum(job.stop - job.start for job in chunk.pending) == 290


def test_export_that_was_slow_by_chance_is_soon_given_much_again(make_batch: Callable[..., EventBatch]) -> None:
    """Each job has a cost of its own: one of these thousands for each event would use up the budget."""
    chunk = Chunk(make_batch(*[b"{}"] * 4000), 1, budget_seconds=5)
    (whole,) = chunk.pending
    chunk.finished(whole, stopped(whole, 0), Spent(0.25))  # stopped between two columns: nothing was finished

    sizes = []
    while chunk.pending:
        (job,) = chunk.work(lambda export: True)
        sizes.append(job.stop - job.start)
        chunk.finished(job, mapped(job), Spent(0.005 + 0.00008 * sizes[-1]))

    assert (sum(sizes), sizes[:4]) == (4000, [1, 2, 4, 8])
    assert blamed(segments_of(chunk)[0]) == {}


def test_what_is_refused_is_cut_as_little_as_can_be(make_batch: Callable[..., EventBatch]) -> None:
    chunk = Chunk(make_batch(*[b"{}"] * 10), 1, budget_seconds=5)
    chunk.cut(0, 3)

    chunk.refuse(0, "rests")

    (segments,) = segments_of(chunk)
    assert [segment.end for segment in segments] == [10]


def test_where_many_wait_a_slow_export_has_its_budget_for_each_thousand(make_batch: Callable[..., EventBatch]) -> None:
    chunk = Chunk(make_batch(*[b"{}"] * 5000), 1, budget_seconds=5)
    (job,) = chunk.pending

    chunk.finished(job, stopped(job, 4500, ()), Spent(24.9))

    assert chunk.left(0) == [Job(0, 4500, 5000)]
