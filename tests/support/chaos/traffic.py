"""Load: HTTP senders that repeat what was not acknowledged, a Kafka producer, and a person who changes a mapping.

Each request has event ids of its own, also one that repeats another, so that whatever is stored can be judged alone.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import httpx
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from chaos.exports import CHANGING, event_body, label

CALM = "rolling restart"
"""The phase in which no gateway may refuse, as far as it said that it was ready."""
REQUEST_SECONDS = 30.0
_REPEAT_SECONDS = 0.3
_MANY = 12
"""Most events of one request."""
_MESSAGE_MS = 0
"""No time-out: librdkafka would take an event that has waited for too long out of a batch under way and send the others
of it anew, as others, and an idempotent producer would write them twice."""


@dataclass(slots=True)
class Sent:
    """One event of one request: what it was and whether it was acknowledged. Times are monotonic."""

    receiver: str
    number: int
    began: float
    acknowledged: bool = False


@dataclass
class Book:
    """All that was ever sent, by event id; how requests were answered, by phase of the run."""

    events: dict[str, Sent] = field(default_factory=dict)
    answers: Counter[tuple[str, str]] = field(default_factory=Counter)
    phase: str = "chaos"
    labels: list[tuple[int, float]] = field(default_factory=list)
    """Mappings of the export that changes, each with when its task was known to have succeeded."""

    @property
    def acknowledged(self) -> int:
        return sum(sent.acknowledged for sent in self.events.values())

    def answered(self, how: str) -> None:
        self.answers[self.phase, how] += 1


class Senders:
    """HTTP senders; each prefers a gateway and goes on with the other when that one does not take it. In calm they send
    as through a load balancer: to no gateway that says it is not ready (one that starts listens before it is).
    """

    def __init__(self, book: Book, urls: dict[str, list[str]], seed: int) -> None:
        """`urls`: of each receiver, one for each gateway."""
        self._book, self._urls, self._seed = book, urls, seed
        self._numbers = itertools.count()
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """No new events; what was not acknowledged is still repeated."""
        self._stopping.set()

    async def run(self, senders: int, events_per_second: float) -> None:
        """Send until `stop`; ends when all events are acknowledged."""
        async with asyncio.TaskGroup() as group:
            for number in range(senders):
                group.create_task(self._send_all(number, events_per_second / senders), name=f"sender {number}")

    async def _send_all(self, sender: int, events_per_second: float) -> None:
        rng = random.Random(f"{self._seed} sender {sender}")
        gateways = itertools.cycle(_rotated(2, sender))
        gateway = next(gateways)
        limits = httpx.Limits(max_connections=4)
        async with httpx.AsyncClient(timeout=REQUEST_SECONDS, limits=limits, trust_env=False) as client:
            for request in itertools.count():
                if self._stopping.is_set():
                    return
                receiver = rng.choice(list(self._urls))
                count = rng.choice((1, 1, 1, rng.randint(2, _MANY)))
                began = time.monotonic()
                numbers = list(itertools.islice(self._numbers, count))
                for attempt in itertools.count():
                    prefix = f"h{sender}-{request}-{attempt}"
                    if self._book.phase == CALM and not await _is_ready(client, self._urls[receiver][gateway]):
                        gateway = next(gateways)
                    if await self._send(client, self._urls[receiver][gateway], receiver, prefix, numbers):
                        break
                    gateway = next(gateways)
                    await asyncio.sleep(_REPEAT_SECONDS)
                pause = count / events_per_second - (time.monotonic() - began)
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), max(pause, 0.001))

    async def _send(
        self, client: httpx.AsyncClient, url: str, receiver: str, prefix: str, numbers: Sequence[int]
    ) -> bool:
        """One request; whether it was acknowledged."""
        ids = [f"{prefix}-{index}" for index in range(len(numbers))]
        bodies = [event_body(*event) for event in zip(ids, numbers, strict=True)]
        body = bodies[0] if len(bodies) == 1 else b"[" + b",".join(bodies) + b"]"
        sent = [Sent(receiver, number, time.monotonic()) for number in numbers]
        self._book.events.update(zip(ids, sent, strict=True))
        try:
            answer = await client.post(url, content=body)
        except httpx.TransportError as error:
            self._book.answered(type(error).__name__)
            return False
        self._book.answered(str(answer.status_code))
        for event in sent:
            event.acknowledged = answer.status_code == 200
        return answer.status_code == 200


async def _is_ready(client: httpx.AsyncClient, url: str) -> bool:
    """What the gateway of this import URL says of itself."""
    try:
        answer = await client.get(httpx.URL(url).join("/ready"))
    except httpx.TransportError:
        return False
    return answer.status_code == 200


class KafkaSender:
    """A producer of its own that writes to the receivers' topics; what it does not get through it does not repeat."""

    def __init__(self, book: Book, kafka: str, topics: dict[str, str], seed: int) -> None:
        self._book, self._topics = book, topics
        self._rng = random.Random(f"{seed} kafka")
        self._stopping = asyncio.Event()
        self._producer = Producer(
            {
                "bootstrap.servers": kafka,
                "client.id": "chaos-sender",
                "acks": "all",
                "enable.idempotence": True,
                "linger.ms": 20,
                "message.timeout.ms": _MESSAGE_MS,
                "log_level": 0,
                "reconnect.backoff.max.ms": 1000,
            }
        )

    def stop(self) -> None:
        self._stopping.set()

    async def run(self, events_per_second: float) -> None:
        """Send until `stop`, then wait for the last report."""
        for number in itertools.count():
            if self._stopping.is_set():
                break
            self._send(f"k-{number}", number)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), self._rng.uniform(0, 2) / events_per_second)
        while len(self._producer):
            self._producer.poll(0)
            await asyncio.sleep(0.05)

    def _send(self, event_id: str, number: int) -> None:
        receiver = self._rng.choice(list(self._topics))
        key = self._rng.choice((None, f"key-{number % 5}"))
        sent = Sent(receiver, number, time.monotonic())

        def report(error: KafkaError | None, _message: Message) -> None:
            sent.acknowledged = error is None
            self._book.answered("Kafka: acknowledged" if error is None else f"Kafka: {error.name()}")

        self._book.events[event_id] = sent
        try:
            self._producer.produce(self._topics[receiver], event_body(event_id, number), key, on_delivery=report)
        except BufferError:
            self._book.answered("Kafka: queue full")
        with suppress(KafkaException):
            self._producer.poll(0)


class Changer:
    """A person who gives one export a new mapping every now and then. Its tasks may fail while Storage does."""

    def __init__(self, book: Book, gateways: Sequence[str], token: str, seed: int) -> None:
        self._book, self._gateways, self._token = book, gateways, token
        self._rng = random.Random(f"{seed} changes")
        self._stopping = asyncio.Event()
        self.outcomes: Counter[str] = Counter()

    def stop(self) -> None:
        self._stopping.set()

    async def run(self, pause_seconds: float) -> None:
        """Change it until `stop`."""
        headers = {"X-StorageApi-Token": self._token}
        async with httpx.AsyncClient(timeout=REQUEST_SECONDS, headers=headers, trust_env=False) as client:
            for number in itertools.count(2):
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), self._rng.uniform(0.5, 1.5) * pause_seconds)
                if self._stopping.is_set():
                    return
                if await self._change(client, number):
                    self._book.labels.append((number, time.monotonic()))

    async def _change(self, client: httpx.AsyncClient, number: int) -> bool:
        """Whether the change is known to have succeeded. One whose task stays unknown may have, too."""
        url = self._rng.choice(self._gateways)
        path = f"/v1/receivers/{CHANGING.receiver}/exports/{CHANGING.name}"
        try:
            answer = await client.patch(url + path, json={"mapping": CHANGING.payload(label(number))["mapping"]})
            task: dict[str, Any] = answer.json()
            if answer.status_code not in (200, 202):
                self.outcomes[f"refused with {answer.status_code}"] += 1
                return False
        except (httpx.TransportError, ValueError) as error:
            self.outcomes[type(error).__name__] += 1
            return False
        path = "/" + task["url"].split("/", 3)[3]
        for gateway in itertools.cycle(self._gateways):
            with suppress(httpx.TransportError):
                answer = await client.get(gateway + path)
                if answer.status_code == 200 and answer.json()["isFinished"]:
                    status = answer.json()["status"]
                    self.outcomes[status] += 1
                    return bool(status == "success")
            if self._stopping.is_set():
                return False
            await asyncio.sleep(0.5)
        raise AssertionError("unreachable")


def _rotated(count: int, by: int) -> Iterator[int]:
    return iter([(number + by) % count for number in range(count)])
