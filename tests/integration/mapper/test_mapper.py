"""The real mapper process between a receiver's topic and the rows topic."""

from __future__ import annotations

import re
import time
import urllib.request
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from trace_receiver import facts, receiving

from app.model.event import Reason
from app.model.ids import derived_event_id
from app.model.receiver import Column, ColumnType, SourceOffset
from app.model.rows import Source

Installation = Any  # of conftest.py, as is MapperProcess
Start = Callable[[], Any]
DEADLINE_SECONDS = 90.0


def sources(topic_id: str) -> tuple[Source, Source]:
    return Source(topic_id, 0, "live"), Source(topic_id, 1, "live")


def wait_until(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_receiver_created_while_the_mapper_runs_is_mapped(installation: Installation, start: Start) -> None:
    other = installation.receiver("other", installation.create_topic("other"))
    watched = installation.export(other, "watched")
    installation.announce(other, watched)
    start()
    installation.produce(other, [b"1"])
    installation.wait_for_count(watched, 1)

    topic_id = installation.create_topic("new")
    receiver = installation.receiver("new", topic_id)
    columns = (
        Column("id", ColumnType.ID),
        Column("ip", ColumnType.IP),
        Column("body", ColumnType.BODY),
        Column("headers", ColumnType.HEADERS),
    )
    export = installation.export(receiver, "all", columns)
    installation.announce(receiver, export)
    headers = [("streams.id", b"given"), ("streams.ip", b"10.1.1.1"), ("Accept", b"text/csv")]
    installation.produce(receiver, [b'{"a":1}'], headers=headers)
    installation.produce(receiver, [b"plain"])
    folded = installation.wait_for_count(export, 2)

    first, second = folded.rows[sources(topic_id)[0]].values()
    assert first == '"given","10.1.1.1","{""a"":1}","{""Accept"":""text/csv""}"'
    assert second == f'"{derived_event_id(topic_id, 0, 1)}","","plain","{{}}"'


def test_killed_mapper_leaves_a_prefix_and_no_offset_is_lost(installation: Installation, start: Start) -> None:
    topic_id = installation.create_topic("a")
    receiver = installation.receiver("a", topic_id)
    exports = [installation.export(receiver, "e"), installation.export(receiver, "ee")]
    installation.announce(receiver, *exports)
    installation.produce(receiver, [b"%d" % number for number in range(20_000)])

    for entries in (1, 5000, 10_000):
        mapper = start()
        installation.wait_for_count(exports[0], entries)
        mapper.kill()
    start()

    for export in exports:
        folded = installation.wait_for_count(export, 20_000)
        for partition, source in enumerate(sources(topic_id)):
            expected = {offset: f'"{2 * offset + partition}"' for offset in range(10_000)}
            assert folded.rows[source] == expected
            assert folded.marks[source] == 10_000


def test_stopped_mapper_has_committed_what_it_delivered(installation: Installation, start: Start) -> None:
    receiver = installation.receiver("a", installation.create_topic("a"))
    export = installation.export(receiver, "e")
    installation.announce(receiver, export)
    installation.produce(receiver, [b"x"] * 10)
    mapper = start()
    installation.wait_for_count(export, 10)

    assert mapper.terminate() == 0

    assert installation.committed(receiver) == [5, 5]


def test_two_mappers_share_partitions_and_take_over_from_each_other(installation: Installation, start: Start) -> None:
    topic_id = installation.create_topic("a")
    receiver = installation.receiver("a", topic_id)
    export = installation.export(receiver, "e")
    installation.announce(receiver, export)
    first = start()
    installation.produce(receiver, [b"x"] * 4000)
    installation.wait_for_count(export, 1)

    start()
    installation.produce(receiver, [b"y"] * 4000)
    installation.wait_for_count(export, 6000)
    assert first.terminate() == 0
    installation.produce(receiver, [b"z"] * 4000)
    folded = installation.wait_for_count(export, 12_000)

    for source in sources(topic_id):
        assert list(folded.rows[source]) == list(range(6000))
        assert [folded.rows[source][offset] for offset in (0, 2000, 4000)] == ['"x"', '"y"', '"z"']


def test_topic_made_again_under_the_same_name_is_another_source(installation: Installation, start: Start) -> None:
    old_id = installation.create_topic("a")
    old = installation.receiver("a", old_id)
    export = installation.export(old, "e")
    installation.announce(old, export)
    start()
    installation.produce(old, [b"old"] * 100)
    installation.wait_for_count(export, 100)
    wait_until(lambda: installation.committed(old) == [50, 50])

    installation.delete_topic("a")
    new_id = installation.create_topic("a")
    new = installation.receiver("a", new_id)
    heir = installation.export(new, "h")
    installation.produce(new, [b"new"] * 200)
    installation.announce(new, heir)
    folded = installation.wait_for_count(heir, 200)

    assert old_id != new_id
    assert folded.rows.keys() == set(sources(new_id))
    assert all(rows == dict.fromkeys(range(100), '"new"') for rows in folded.rows.values())


def test_finished_change_is_in_force_for_the_next_event(installation: Installation, start: Start) -> None:
    topic_id = installation.create_topic("a")
    receiver = installation.receiver("a", topic_id)
    export = installation.export(receiver, "e")
    installation.announce(receiver, export)
    start()
    installation.produce(receiver, [b"1"])
    installation.wait_for_count(export, 1)

    for number in range(2, 12):
        newest = replace(export.revision, number=number)
        installation.announce(replace(export, revisions=(export.revision, newest)))
        installation.produce(receiver, [b"%d" % number], partitions=1)
    folded = installation.wait_for_count(export, 11)

    source, _ = sources(topic_id)
    mapped_by = folded.revisions[source]
    assert all(mapped_by[offset] >= int(row.strip('"')) for offset, row in folded.rows[source].items())


def test_export_takes_events_from_its_start_and_its_mark_moves_before(installation: Installation, start: Start) -> None:
    topic_id = installation.create_topic("a")
    receiver = installation.receiver("a", topic_id)
    early = installation.export(receiver, "e")
    starts = (SourceOffset(topic_id, 0, 30), SourceOffset(topic_id, 1, 200))
    late = installation.export(receiver, "late", starts=starts)
    installation.announce(receiver, early, late)
    installation.produce(receiver, [b"x"] * 100)

    start()
    installation.wait_for_count(early, 100)
    folded = installation.wait_for_count(late, 20)

    first, second = sources(topic_id)
    assert list(folded.rows[first]) == list(range(30, 50))
    wait_until(lambda: installation.folded(late).marks == {first: 50, second: 50})
    assert not folded.rows[second]


def test_failures_carry_the_raw_event_and_tombstones_are_skipped(installation: Installation, start: Start) -> None:
    topic_id = installation.create_topic("a")
    receiver = installation.receiver("a", topic_id)
    template = (Column("x", ColumnType.TEMPLATE, template='Body("x")'),)
    export = installation.export(receiver, "e", template)
    sibling = installation.export(receiver, "sibling")
    installation.announce(receiver, export, sibling)
    bodies = [b'{"x":1}', b'{"y":2}', None, b'{"x":3}']
    installation.produce(receiver, bodies, partitions=1, headers=[("Accept", b"any"), ("streams.ip", b"::1")])

    start()
    folded = installation.wait_for_count(export, 3)
    untouched = installation.wait_for_count(sibling, 3)

    source, _ = sources(topic_id)
    assert folded.rows[source] == {0: '"1"', 3: '"3"'}
    assert folded.marks[source] == 4
    (failed,) = folded.failures[source].values()
    assert (failed.offset, failed.reason, failed.column, failed.body) == (1, Reason.TEMPLATE_ERROR, "x", b'{"y":2}')
    assert (failed.ip, failed.event_id) == ("::1", derived_event_id(topic_id, 0, 1))
    assert list(failed.headers) == [("Accept", b"any")]
    assert list(untouched.rows[source]) == [0, 1, 3]


def test_filtered_events_are_counted_and_numbers_keep_their_text(installation: Installation, start: Start) -> None:
    topic_id = installation.create_topic("a")
    receiver = installation.receiver("a", topic_id)
    columns = (
        Column("x", ColumnType.PATH, path="x"),
        Column("s", ColumnType.PATH, path="s", default="", raw_string=True),
    )
    export = installation.export(receiver, "e", columns)
    mapping = replace(export.revision.mapping, filter='Body("keep")')
    export = replace(export, revisions=(replace(export.revision, mapping=mapping),))
    installation.announce(receiver, export)
    bodies = [b'{"keep":false}'] * 20
    bodies[3], bodies[7] = b'{"keep":true,"x":[1.10,123456789012345678901],"s":"raw"}', b'{"keep":true,"x":-0}'
    installation.produce(receiver, bodies, partitions=1)

    mapper = start()
    source, _ = sources(topic_id)
    wait_until(lambda: installation.folded(export).marks.get(source) == 20)
    folded = installation.folded(export)

    assert folded.rows[source] == {3: '"[1.10,123456789012345678901]","raw"', 7: '"-0",""'}
    assert not folded.failures[source]
    metrics = f"http://127.0.0.1:{mapper.port}/metrics"
    wait_until(lambda: b"streams_mapper_filtered_total 18.0" in urllib.request.urlopen(metrics).read())


def test_receiver_without_exports_is_done_at_once(installation: Installation, start: Start) -> None:
    receiver = installation.receiver("a", installation.create_topic("a"))
    installation.announce(receiver)
    installation.produce(receiver, [b"x"] * 10)

    mapper = start()

    wait_until(lambda: installation.committed(receiver) == [5, 5])
    metrics = urllib.request.urlopen(f"http://127.0.0.1:{mapper.port}/metrics").read().decode()
    assert "streams_mapper_events_without_export_total 10.0" in metrics
    assert urllib.request.urlopen(f"http://127.0.0.1:{mapper.port}/health-check").read() == b"OK"


def test_chunk_is_traced_with_a_link_to_the_trace_that_an_event_came_with(
    installation: Installation, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver = installation.receiver("a", installation.create_topic("a"))
    export = installation.export(receiver, "e")
    installation.announce(receiver, export)
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    headers = [("Traceparent", f"00-{trace}-00f067aa0ba902b7-01".encode())]
    installation.produce(receiver, [b"x"] * 10, partitions=1, headers=headers)

    with receiving() as traces:
        for name, value in traces.environment.items():
            monkeypatch.setenv(name, value)
        mapper = start()
        wait_until(lambda: traces.spans("mapper.chunk"))
        wait_until(lambda: installation.folded(export).count == 10)
        wait_until(lambda: installation.committed(receiver)[0] == 10)  # so all of it is counted
        metrics = urllib.request.urlopen(f"http://127.0.0.1:{mapper.port}/metrics").read().decode()
        code = mapper.terminate()

    span = traces.spans("mapper.chunk")[0]
    assert {link.trace_id.hex() for link in span.links} == {trace}
    assert facts(span)["messaging.destination.name"] == receiver.topic
    assert facts(span)["streams.export"] == "e"
    assert code == 0
    assert "streams_mapper_event_bytes_total 10.0" in metrics
    assert "streams_mapper_row_bytes_total 40.0" in metrics
    assert "streams_mapper_children 1.0" in metrics
    (resident,) = re.findall(r"^streams_mapper_children_resident_bytes (\S+)", metrics, re.MULTILINE)
    assert float(resident) > 10 << 20
