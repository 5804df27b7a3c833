"""Who may be created or deleted, given what there is and what is under way."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from app.api.drafts import ExportChange, ExportDraft, ReceiverDraft, SourceDraft
from app.api.limits import Limits
from app.api.replay_rules import check_export_resume, check_replay_cancel
from app.api.rules import (
    MAX_SUSPENSIONS,
    check_deletion,
    check_export_change,
    check_export_create,
    check_export_pause,
    check_export_update,
    check_receiver_change,
    check_receiver_create,
)
from app.control.records import SealedToken, TopicFacts, make_export, make_receiver
from app.model.binding import Binding
from app.model.catalog import Catalog
from app.model.conditions import Conditions
from app.model.errors import BadRequest, Conflict, NotFound
from app.model.receiver import Column, ColumnType, Draining, Export, Mapping, Receiver, Revision, Suspension
from app.model.replay import Replay, ReplayKind
from app.model.task import Task, TaskStatus, TaskType

LIMITS = Limits(max_receivers=2, max_exports=2)
TOPIC = TopicFacts("t", "id", (0,))


def export_draft(export_id: str = "new", table: str = "in.c-b.t", *, incremental: bool = True) -> ExportDraft:
    mapping = Mapping(table, (Column("id", ColumnType.ID),), incremental)
    return ExportDraft(export_id, export_id, mapping, Conditions())


def receiver_draft(receiver_id: str, *exports: ExportDraft) -> ReceiverDraft:
    return ReceiverDraft(receiver_id, receiver_id, "", exports)


def catalog_of(**receivers: tuple[ExportDraft, ...]) -> Catalog:
    """Receivers of project "1" by id, each with its exports."""
    catalog = Catalog()
    for receiver_id, exports in receivers.items():
        receiver = make_receiver("1", receiver_draft(receiver_id), TOPIC, uid=receiver_id, secret=b"", now_ms=1)
        catalog.put_receiver(receiver)
        for draft in exports:
            uid = f"{receiver_id}/{draft.export_id}"
            catalog.put_export(
                make_export(receiver, draft, TOPIC, SealedToken("t", b""), uid=uid, rows_partition=0, now_ms=1)
            )
    return catalog


def running(kind: TaskType, receiver_id: str, export_id: str | None = None, project_id: str = "1") -> Task:
    return Task(project_id, f"{receiver_id}/{export_id}/x", kind, TaskStatus.PROCESSING, 1, receiver_id, export_id)


@pytest.mark.parametrize(
    ("task", "busy"),
    [
        (running(TaskType.RECEIVER_DELETE, "r"), True),
        (running(TaskType.EXPORT_CREATE, "r", "new"), True),
        (running(TaskType.EXPORT_CREATE, "r", "other"), False),
        (running(TaskType.RECEIVER_DELETE, "s"), False),
        (running(TaskType.RECEIVER_DELETE, "r", project_id="2"), False),
    ],
)
def test_export_is_busy_with_its_own_tasks_and_its_receivers(task: Task, busy: bool) -> None:
    catalog = catalog_of(r=())

    if busy:
        with pytest.raises(Conflict) as refusal:
            check_export_create(catalog, [task], LIMITS, "1", "r", export_draft())
        assert refusal.value.name == "buffer.taskAlreadyRunning"
    else:
        check_export_create(catalog, [task], LIMITS, "1", "r", export_draft())


def test_receiver_is_busy_with_the_tasks_of_its_exports() -> None:
    with pytest.raises(Conflict, match=r'Task "export.create" is already running on the export "e"'):
        check_receiver_change(catalog_of(r=()), [running(TaskType.EXPORT_CREATE, "r", "e")], "1", "r")


def test_receivers_on_their_way_count_for_the_limit() -> None:
    on_the_way = [running(TaskType.RECEIVER_CREATE, "s")]

    check_receiver_create(catalog_of(), on_the_way, LIMITS, "1", receiver_draft("new"))
    with pytest.raises(Conflict) as refusal:
        check_receiver_create(catalog_of(r=()), on_the_way, LIMITS, "1", receiver_draft("new"))

    assert refusal.value.name == "buffer.receiverCountLimitReached"


def test_receivers_of_other_projects_do_not_count() -> None:
    check_receiver_create(catalog_of(r=(), s=()), [], LIMITS, "2", receiver_draft("r"))


def test_exports_on_their_way_count_for_the_limit() -> None:
    catalog, on_the_way = catalog_of(r=(export_draft("a"),)), [running(TaskType.EXPORT_CREATE, "r", "b")]

    check_export_create(catalog, [], LIMITS, "1", "r", export_draft())
    with pytest.raises(Conflict) as refusal:
        check_export_create(catalog, on_the_way, LIMITS, "1", "r", export_draft())

    assert refusal.value.name == "buffer.exportCountLimitReached"


@pytest.mark.parametrize(
    ("there", "asked", "allowed"),
    [(True, True, True), (True, False, False), (False, True, False), (False, False, False)],
)
def test_exports_share_a_table_only_when_all_are_incremental(there: bool, asked: bool, allowed: bool) -> None:
    catalog = catalog_of(r=(export_draft("a", incremental=there),), s=())

    if allowed:
        check_export_create(catalog, [], LIMITS, "1", "s", export_draft(incremental=asked))
    else:
        with pytest.raises(Conflict, match=r'Table "in\.c-b\.t" is the target of the export "r/a"'):
            check_export_create(catalog, [], LIMITS, "1", "s", export_draft(incremental=asked))


def test_exports_of_one_new_receiver_share_a_table_by_the_same_rule() -> None:
    drafts = (export_draft("a"), export_draft("b", incremental=False))

    with pytest.raises(Conflict, match='the target of the export "a"'):
        check_receiver_create(catalog_of(), [], LIMITS, "1", receiver_draft("r", *drafts))


def test_unknown_entities_are_named() -> None:
    catalog = catalog_of(r=())

    with pytest.raises(NotFound, match='Receiver "x" not found in the project'):
        check_export_create(catalog, [], LIMITS, "1", "x", export_draft())
    with pytest.raises(NotFound, match='Export "x" not found in the receiver'):
        check_export_change(catalog, [], "1", "r", "x")


NOW_MS = time.time_ns() // 1_000_000
OVER = Suspension(NOW_MS, first=(), end=())


def suspended(*suspensions: Suspension, incremental: bool = True) -> Catalog:
    """With the export "r/e", which was suspended so often."""
    catalog = catalog_of(r=(export_draft("e", incremental=incremental),))
    catalog.put_export(replace(catalog.exports["1/r/e"], suspensions=suspensions))
    return catalog


def test_suspended_export_is_not_suspended_again() -> None:
    with pytest.raises(Conflict) as refused:
        check_export_pause(suspended(Suspension(NOW_MS, first=())), (), LIMITS, "1", "r", "e")

    assert refused.value.name == "buffer.exportSuspended"


def test_export_that_loads_its_table_as_a_whole_is_not_suspended() -> None:
    with pytest.raises(BadRequest, match="cannot be suspended"):
        check_export_pause(suspended(incremental=False), (), LIMITS, "1", "r", "e")


@pytest.mark.parametrize(("age_ms", "allowed"), [(0, False), (LIMITS.suspensions_kept_ms + 60_000, True)])
def test_suspensions_count_for_as_long_as_kafka_may_have_their_events(age_ms: int, allowed: bool) -> None:
    catalog = suspended(*[replace(OVER, since_ms=NOW_MS - age_ms)] * (MAX_SUSPENSIONS + 1))

    if allowed:
        check_export_pause(catalog, (), LIMITS, "1", "r", "e")
    else:
        with pytest.raises(Conflict, match="100 times"):
            check_export_pause(catalog, (), LIMITS, "1", "r", "e")


def test_only_a_suspended_export_is_resumed() -> None:
    check_export_resume(suspended(OVER, Suspension(NOW_MS, first=())), (), LIMITS, "1", "r", "e")

    with pytest.raises(Conflict) as refused:
        check_export_resume(suspended(OVER), (), LIMITS, "1", "r", "e")
    assert refused.value.name == "buffer.exportNotSuspended"


@pytest.mark.parametrize("export_id", ["e", None])
def test_events_that_wait_are_dropped_only_when_that_is_said(export_id: str | None) -> None:
    catalog = suspended(Suspension(NOW_MS, first=()))

    check_deletion(catalog, (), "1", "r", export_id, discard=True)
    with pytest.raises(Conflict, match="Resume it first"):
        check_deletion(catalog, (), "1", "r", export_id, discard=False)


def test_suspended_export_is_not_changed_to_load_its_table_as_a_whole() -> None:
    change = ExportChange(mapping=export_draft(incremental=False).mapping)

    with pytest.raises(Conflict, match="once it is resumed"):
        check_export_update(suspended(Suspension(NOW_MS, first=())), (), LIMITS, "1", "r", "e", change)


@pytest.mark.parametrize(("finished_ms", "allowed"), [(None, False), (1, True)])
def test_only_replays_that_are_not_finished_count_for_the_limit(finished_ms: int | None, allowed: bool) -> None:
    catalog = suspended(Suspension(NOW_MS, first=()))
    export = catalog.exports["1/r/e"]
    names = (ReplayKind.REPLAY, "1", "r", "e", export.uid)
    for number in range(LIMITS.max_replays):
        replay = Replay(f"lane-{number}", *names, export.revision, "t", "t", "id", (), 0, b"", finished_ms=finished_ms)
        catalog.put_replay(replay)

    if allowed:
        check_export_resume(catalog, (), LIMITS, "1", "r", "e")
    else:
        with pytest.raises(Conflict) as refused:
            check_export_resume(catalog, (), LIMITS, "1", "r", "e")
        assert refused.value.name == "buffer.replayCountLimitReached"


def with_replay(kind: ReplayKind = ReplayKind.REPLAY, finished_ms: int | None = None) -> Catalog:
    """With the export "r/e" and its replay "lane"."""
    catalog = catalog_of(r=(export_draft("e"),))
    export = catalog.exports["1/r/e"]
    names = (kind, "1", "r", "e", export.uid)
    catalog.put_replay(Replay("lane", *names, export.revision, "t", "t", "id", (), 0, b"", finished_ms=finished_ms))
    return catalog


def test_replay_that_is_under_way_may_be_cancelled() -> None:
    check_replay_cancel(with_replay(), (), "1", "r", "e", "lane")


@pytest.mark.parametrize("kind", [ReplayKind.RESUME, ReplayKind.REQUEUE])
def test_replay_whose_events_would_be_lost_is_not_cancelled(kind: ReplayKind) -> None:
    with pytest.raises(Conflict, match="would be lost") as refused:
        check_replay_cancel(with_replay(kind), (), "1", "r", "e", "lane")

    assert refused.value.name == "buffer.replayNotCancellable"


def test_replay_that_is_finished_is_not_cancelled() -> None:
    with pytest.raises(Conflict, match="is finished"):
        check_replay_cancel(with_replay(finished_ms=1), (), "1", "r", "e", "lane")


def test_replay_that_is_not_there_is_not_cancelled() -> None:
    with pytest.raises(NotFound, match='Replay "x" not found'):
        check_replay_cancel(with_replay(), (), "1", "r", "e", "x")


def source_topics(*patterns: str) -> Limits:
    return Limits(topic_prefix="streams", source_topics=patterns)


def bound(receiver_id: str, topic: str) -> ReceiverDraft:
    return ReceiverDraft(receiver_id, receiver_id, "", source=SourceDraft(topic))


@pytest.mark.parametrize("patterns", [("1:orders",), ("*:ord*",), ("2:x", "1:*")])
def test_receiver_may_be_bound_to_topics_that_the_operator_names(patterns: tuple[str, ...]) -> None:
    check_receiver_create(Catalog(), (), source_topics(*patterns), "1", bound("a", "orders"))


@pytest.mark.parametrize(
    ("topic", "patterns"),
    [
        ("orders", ()),
        ("orders", ("2:orders",)),
        ("orders", ("1:order",)),
        ("streams.control", ("1:*",)),
        ("other.events.1.a", ("1:*",)),
    ],
)
def test_receiver_is_bound_to_no_other_topic_and_to_none_of_ours(topic: str, patterns: tuple[str, ...]) -> None:
    with pytest.raises(BadRequest, match="STREAMS_SOURCE_TOPICS"):
        check_receiver_create(Catalog(), (), source_topics(*patterns), "1", bound("a", topic))


@pytest.mark.parametrize("project_id", ["1", "2"])
def test_topic_is_read_by_one_receiver(project_id: str) -> None:
    catalog = Catalog()
    catalog.put_receiver(Receiver("r", project_id, "b", "b", "", b"", "orders", "id", 1, 0))

    with pytest.raises(Conflict, match="already") as caught:
        check_receiver_create(catalog, (), source_topics("*:*"), "1", bound("a", "orders"))

    assert caught.value.name == "buffer.topicInUse"


def test_topic_from_which_a_deleted_receiver_is_drained_is_not_free() -> None:
    catalog = Catalog()
    mapping = Mapping("in.c-b.t", ())
    export = Export("e", "r", "1", "b", "e", "e", Conditions(), 0, (), (Revision(1, mapping, "1", b"", 0),), 0)
    catalog.put_draining(Draining(export, "orders", "id", 1, False, 0))

    with pytest.raises(Conflict, match="still on its way"):
        check_receiver_create(catalog, (), source_topics("*:*"), "1", bound("a", "orders"))


def pattern(receiver_id: str, topics: str) -> ReceiverDraft:
    return ReceiverDraft(receiver_id, receiver_id, "", source=SourceDraft("", pattern=topics))


@pytest.mark.parametrize("allowed", [("1:shop.*",), ("*:shop*",), ("2:shop.*", "1:*")])
def test_receiver_may_be_bound_to_a_pattern_within_what_the_operator_names(allowed: tuple[str, ...]) -> None:
    check_receiver_create(Catalog(), (), source_topics(*allowed), "1", pattern("a", "shop.*"))


@pytest.mark.parametrize("allowed", [(), ("2:shop.*",), ("1:shop.orders", "1:shop.eu.*")])
def test_receiver_is_bound_to_no_pattern_beyond_that(allowed: tuple[str, ...]) -> None:
    with pytest.raises(BadRequest, match="STREAMS_SOURCE_TOPICS"):
        check_receiver_create(Catalog(), (), source_topics(*allowed), "1", pattern("a", "shop.*"))


@pytest.mark.parametrize(
    ("first", "second"), [("shop.*", "*.orders"), ("shop.*", "shop.orders"), ("shop.orders", "s*")]
)
def test_what_may_be_read_by_two_receivers_is_refused(first: str, second: str) -> None:
    """Of topics that are not there yet nobody could say later who was first."""
    drafts = [pattern("b", one) if "*" in one else bound("b", one) for one in (first, second)]
    catalog = Catalog()
    there = make_receiver("2", drafts[0], TOPIC, uid="r", secret=b"", now_ms=0)
    catalog.put_receiver(replace(there, topic="" if "*" in first else first))

    with pytest.raises(Conflict, match="another project") as caught:
        check_receiver_create(catalog, (), source_topics("*:*"), "1", drafts[1])

    assert caught.value.name == "buffer.topicInUse"


def test_pattern_waits_until_what_it_means_is_in_the_tables_of_a_deleted_receiver() -> None:
    catalog = Catalog()
    mapping = Mapping("in.c-b.t", ())
    export = Export("e", "r", "2", "b", "e", "e", Conditions(), 0, (), (Revision(1, mapping, "1", b"", 0),), 0)
    catalog.put_draining(Draining(export, "", "", 0, False, 0))
    catalog.put_binding(Binding("r", "2", "b", "shop.orders", "id", 1, 0))

    with pytest.raises(Conflict, match=r'"shop\.orders" for a deleted receiver'):
        check_receiver_create(catalog, (), source_topics("*:*"), "1", pattern("a", "shop.*"))
