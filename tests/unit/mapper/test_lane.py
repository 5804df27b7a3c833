"""A lane keeps the order of envelopes, whatever Kafka does."""

from __future__ import annotations

import asyncio
import gc
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import pytest

from app.kafka.faust import Chunk
from app.kafka.producer import ProducerBroken
from app.mapper.lane import Lane, Mapped, Outgoing
from app.model.errors import KafkaUnavailable


@dataclass
class ScriptedProducer:
    """Fails a given number of times for each envelope, and holds answers back while `held` is set."""

    failures: dict[bytes, int] = field(default_factory=dict)
    broken: bool = False
    sent: list[tuple[str, bytes, int]] = field(default_factory=list)
    in_flight: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    most_in_flight: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    release: asyncio.Event = field(default_factory=asyncio.Event)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    async def has_sent(self, count: int) -> None:
        async with asyncio.timeout(60):
            while len(self.sent) < count:
                self.news.clear()
                await self.news.wait()

    def send(self, topic: str, value: bytes, key: str, *, partition: int) -> asyncio.Future[int]:
        self.sent.append((key, value, partition))
        self.news.set()
        self.in_flight[key] += 1
        self.most_in_flight[key] = max(self.most_in_flight[key], self.in_flight[key])
        return asyncio.ensure_future(self._answer(key, value))

    async def _answer(self, key: str, value: bytes) -> int:
        await self.release.wait()
        self.in_flight[key] -= 1
        if self.broken:
            raise ProducerBroken("never again")
        if self.failures.get(value, 0):
            self.failures[value] -= 1
            raise KafkaUnavailable("not now")
        return 0


@dataclass
class Following:
    sent_uids: list[str] = field(default_factory=list)
    delivered_bases: list[int] = field(default_factory=list)
    released_bases: list[int] = field(default_factory=list)
    stale_bases: list[int] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def sent(self, outgoing: Outgoing) -> None:
        self.sent_uids.append(outgoing.export_uid)
        self.news.set()

    def delivered(self, chunk: Chunk, topic_id: str) -> None:
        self.delivered_bases.append(chunk.base)
        self.news.set()

    def released(self, chunk: Chunk) -> None:
        self.released_bases.append(chunk.base)
        self.news.set()

    def stale(self, chunk: Chunk) -> None:
        self.stale_bases.append(chunk.base)
        self.news.set()

    async def until(self, condition: Any) -> None:
        async with asyncio.timeout(60):
            while not condition():
                self.news.clear()
                await self.news.wait()


def chunk(base: int) -> Chunk:
    return Chunk("t", 0, base, base + 10, [], 1, 0)


Mapping = asyncio.Future[Mapped | None]


def mapped(*envelopes: bytes, uids: tuple[str, ...] = ("e",), slow: dict[str, asyncio.Event] | None = None) -> Mapping:
    """A chunk of exports with these envelopes; those of an export that is slow are there when its event is set."""
    answer: Mapping = asyncio.get_running_loop().create_future()
    answer.set_result(Mapped("id", {uid: outgoing(uid, envelopes, (slow or {}).get(uid)) for uid in uids}))
    return answer


def outgoing(uid: str, envelopes: tuple[bytes, ...], ready: asyncio.Event | None) -> asyncio.Task[Outgoing]:
    async def get_ready() -> Outgoing:
        if ready is not None:
            await ready.wait()
        return Outgoing(uid, 3, [uid.encode() + envelope for envelope in envelopes])

    return asyncio.ensure_future(get_ready())


def make_lane(producer: ScriptedProducer, following: Following) -> Any:
    lane: Any = Lane
    return lane(producer, "rows", following)


async def test_failed_envelope_is_sent_again_before_the_next_one() -> None:
    producer, following = ScriptedProducer({b"e1": 2}), Following()
    producer.release.set()
    lane = make_lane(producer, following)
    lane.take(chunk(0), mapped(b"1", b"2"))
    lane.take(chunk(10), mapped(b"3"))

    running = asyncio.create_task(lane.run())
    await following.until(lambda: len(following.released_bases) == 2)
    running.cancel()

    assert [value for _, value, _ in producer.sent] == [b"e1", b"e1", b"e1", b"e2", b"e3"]
    assert {partition for _, _, partition in producer.sent} == {3}
    assert following.delivered_bases == following.released_bases == [0, 10]


async def test_one_envelope_of_each_export_is_in_flight() -> None:
    producer, following = ScriptedProducer(), Following()
    lane = make_lane(producer, following)
    lane.take(chunk(0), mapped(b"1", b"2", uids=("a", "b")))
    running = asyncio.create_task(lane.run())
    await producer.has_sent(2)
    first = sorted(value for _, value, _ in producer.sent)
    producer.release.set()

    await following.until(lambda: following.delivered_bases)
    running.cancel()

    assert first == [b"a1", b"b1"]
    assert producer.most_in_flight == {"a": 1, "b": 1}


async def test_chunks_mapped_out_of_order_are_delivered_in_order() -> None:
    producer, following = ScriptedProducer(), Following()
    producer.release.set()
    lane = make_lane(producer, following)
    slow: asyncio.Future[Mapped | None] = asyncio.get_running_loop().create_future()
    lane.take(chunk(0), slow)
    lane.take(chunk(10), mapped(b"2"))
    running = asyncio.create_task(lane.run())
    await asyncio.sleep(0)
    early = list(producer.sent)

    slow.set_result(mapped(b"1").result())
    await following.until(lambda: len(following.delivered_bases) == 2)
    running.cancel()

    assert early == []
    assert [value for _, value, _ in producer.sent] == [b"e1", b"e2"]


async def test_export_that_is_mapped_slowly_holds_up_no_other() -> None:
    producer, following = ScriptedProducer(), Following()
    producer.release.set()
    lane = make_lane(producer, following)
    ready = asyncio.Event()
    lane.take(chunk(0), mapped(b"1", uids=("a", "b"), slow={"a": ready}))
    lane.take(chunk(10), mapped(b"2", uids=("a", "b")))
    running = asyncio.create_task(lane.run())
    await following.until(lambda: following.sent_uids == ["b", "b"])
    early = [value for _, value, _ in producer.sent]
    done_early = list(following.delivered_bases)

    ready.set()
    await following.until(lambda: following.delivered_bases == [0, 10])
    running.cancel()

    assert (early, done_early) == ([b"b1", b"b2"], [])
    assert [value for _, value, _ in producer.sent] == [b"b1", b"b2", b"a1", b"a2"]


async def test_closing_drops_what_an_export_has_not_mapped_and_delivers_what_others_have() -> None:
    producer, following = ScriptedProducer(), Following()
    lane = make_lane(producer, following)
    lane.take(chunk(0), mapped(b"1", uids=("a", "b"), slow={"a": asyncio.Event()}))
    lane.take(chunk(10), mapped(b"2", uids=("a", "b")))
    running = asyncio.create_task(lane.run())
    await producer.has_sent(1)

    closing = asyncio.create_task(lane.close(10))
    await asyncio.sleep(0)
    producer.release.set()
    await closing
    await running

    assert following.delivered_bases == []
    assert following.released_bases == [0, 10]
    assert {value for _, value, _ in producer.sent} <= {b"b1", b"b2"}


async def test_closing_waits_for_what_is_in_flight_and_drops_the_rest() -> None:
    producer, following = ScriptedProducer(), Following()
    lane = make_lane(producer, following)
    waiting: asyncio.Future[Mapped | None] = asyncio.get_running_loop().create_future()
    lane.take(chunk(0), mapped(b"1"))
    lane.take(chunk(10), waiting)
    running = asyncio.create_task(lane.run())
    await producer.has_sent(1)

    closing = asyncio.create_task(lane.close(10))
    await asyncio.sleep(0)
    producer.release.set()
    await closing
    running.cancel()

    assert waiting.cancelled()
    assert following.delivered_bases == [0]
    assert sorted(following.released_bases) == [0, 10]


async def test_chunk_in_flight_too_long_is_given_up_at_closing() -> None:
    producer, following = ScriptedProducer(), Following()
    lane = make_lane(producer, following)
    lane.take(chunk(0), mapped(b"1"))
    running = asyncio.create_task(lane.run())
    await producer.has_sent(1)

    await lane.close(0.01)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)

    assert following.delivered_bases == []
    assert following.released_bases == [0]


async def test_stale_chunk_ends_the_lane_after_those_before_it() -> None:
    producer, following = ScriptedProducer(), Following()
    producer.release.set()
    lane = make_lane(producer, following)
    stale: asyncio.Future[Mapped | None] = asyncio.get_running_loop().create_future()
    stale.set_result(None)
    lane.take(chunk(0), mapped(b"1"))
    lane.take(chunk(10), stale)
    lane.take(chunk(20), mapped(b"3"))

    await lane.run()

    assert following.delivered_bases == [0]
    assert following.stale_bases == [10]
    assert [value for _, value, _ in producer.sent] == [b"e1"]


async def test_broken_producer_ends_the_lane_instead_of_being_asked_again() -> None:
    producer, following = ScriptedProducer(broken=True), Following()
    producer.release.set()
    lane = make_lane(producer, following)
    lane.take(chunk(0), mapped(b"1"))

    async with asyncio.timeout(60):
        with pytest.raises(ProducerBroken):
            await lane.run()

    assert [value for _, value, _ in producer.sent] == [b"e1"]
    assert (following.delivered_bases, following.released_bases) == ([], [0])


async def test_chunk_that_is_delivered_is_no_longer_held() -> None:
    producer, following = ScriptedProducer(), Following()
    producer.release.set()
    lane = make_lane(producer, following)
    one = chunk(0)
    lane.take(one, mapped(b"1"))

    running = asyncio.create_task(lane.run())
    await following.until(lambda: following.released_bases)
    held = [holder for holder in gc.get_referrers(one) if type(holder).__name__ == "_Work"]
    running.cancel()

    assert held == []


async def test_envelopes_that_are_delivered_are_not_held_for_an_export_that_is_slow() -> None:
    producer, following = ScriptedProducer(), Following()
    producer.release.set()
    lane = make_lane(producer, following)
    lane.take(chunk(0), mapped(b"1", uids=("slow", "quick"), slow={"slow": asyncio.Event()}))

    running = asyncio.create_task(lane.run())
    await following.until(lambda: following.sent_uids == ["quick"])
    await asyncio.sleep(0)
    held = [one for one in gc.get_objects() if type(one) is Outgoing and one.export_uid == "quick"]
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)

    assert held == []


async def test_chunk_that_is_mapped_just_when_the_lane_ends_is_not_sent() -> None:
    producer, following = ScriptedProducer(), Following()
    producer.release.set()
    lane = make_lane(producer, following)
    mapping: asyncio.Future[Mapped | None] = asyncio.get_running_loop().create_future()
    lane.take(chunk(0), mapping)
    running = asyncio.create_task(lane.run())
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    running.cancel()
    mapping.set_result(mapped(b"1").result())
    await asyncio.gather(running, return_exceptions=True)
    for _ in range(10):
        await asyncio.sleep(0)

    assert producer.sent == []
