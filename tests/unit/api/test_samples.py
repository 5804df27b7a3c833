"""Requests and descriptions as events."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from app.api import samples as samples_module
from app.api.reads import Reads
from app.api.samples import Samples
from app.kafka.recent import RecentRecord
from app.model.binding import SourceTopic
from app.model.errors import BadRequest, KafkaUnavailable, Overloaded, PayloadTooLarge
from app.settings import Settings


def samples(reads: int = 1, **settings: object) -> Samples:
    return Samples(Settings(_env_file=None, **settings), Reads(reads))  # type: ignore[arg-type, call-arg]  # what its fields take


def test_request_is_an_event_with_its_headers_but_those_that_say_who_calls() -> None:
    secret = [
        (b"x-storageapi-token", b"1"),
        (b"authorization", b"2"),
        (b"cookie", b"3"),
        (b"proxy-authorization", b"4"),
    ]
    headers = [*secret, (b"host", b"h"), (b"content-type", b"text/plain"), (b"x-a", b"1")]

    batch = samples().sent(b"[1]", [*headers, (b"streams.id", b"mine")], "::ffff:10.0.0.1", "1/clicks", split=True)

    assert (batch.bodies, batch.ips, batch.offsets) == ([b"[1]"], ["10.0.0.1"], [0])
    assert batch.headers == [[("Content-Type", b"text/plain"), ("X-A", b"1")]]


def test_array_is_split_unless_the_receiver_does_not() -> None:
    assert samples().sent(b"[1, 2]", [], "", "1/clicks", split=True).bodies == [b"1", b"2"]
    assert samples().sent(b"[1, 2]", [], "", "1/clicks", split=False).bodies == [b"[1, 2]"]


def test_trusted_proxy_says_who_sent_it() -> None:
    made = samples(trusted_proxies=["10.0.0.1"])

    assert made.sent(b"", [(b"x-forwarded-for", b"203.0.113.7")], "10.0.0.1", "1/clicks", split=True).ips == [
        "203.0.113.7"
    ]
    assert made.sent(b"", [(b"x-forwarded-for", b"203.0.113.7")], "10.0.0.2", "1/clicks", split=True).ips == [
        "10.0.0.2"
    ]


def test_broken_array_and_too_many_events_are_refused() -> None:
    made = samples(max_validation_events=2)

    with pytest.raises(BadRequest):
        made.sent(b"[1", [(b"content-type", b"application/json")], "", "1/clicks", split=True)
    with pytest.raises(PayloadTooLarge, match="maximum is 2"):
        made.sent(b"[1, 2, 3]", [], "", "1/clicks", split=True)
    with pytest.raises(PayloadTooLarge, match="maximum is 2"):
        made.described([(b"", [], "")] * 3)


async def test_real_events_are_not_read_while_kafka_is_read_for_enough_others() -> None:
    made = samples(reads=0)
    receiver = SimpleNamespace(topic="topic", topic_id="id", starts=())

    with pytest.raises(Overloaded):
        await made.recent(receiver, 1, ())  # type: ignore[arg-type]  # what it looks at


async def test_newest_events_are_those_of_the_topics_that_can_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def read_recent(_settings: Settings, topic: str, *_: object, **__: object) -> list[RecentRecord]:
        if topic == "shop.gone":
            raise KafkaUnavailable("is not there")
        return [RecentRecord(0, 5, 1, None, topic.encode(), (), topic)]

    monkeypatch.setattr(samples_module, "read_recent", read_recent)
    topics = [SourceTopic(f"shop.{name}", f"id-{name}", 1) for name in ("gone", "orders")]
    receiver = SimpleNamespace(topic="", topic_id="", starts=())

    batch, _ = await samples().recent(receiver, 1, topics)  # type: ignore[arg-type]  # what it looks at

    assert batch.bodies == [b"shop.orders"]
