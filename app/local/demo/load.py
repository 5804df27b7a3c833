"""Both ways in: JSON arrays over HTTP, and records of a plain Kafka producer. Only what Kafka acknowledged counts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import httpx
from confluent_kafka import KafkaError, Message, Producer

from app.kafka.client import producer_config
from app.kafka.reader import read_to_end
from app.local.demo.flights import Flight
from app.model.errors import KafkaUnavailable, StreamsError
from app.settings import Settings

EVENTS_PER_REQUEST: Final = 250
_REQUESTS_AT_ONCE: Final = 8
Progress = Callable[[int], None]


class NotAccepted(StreamsError):
    """The gateway refused the demo's events, or did not answer."""


async def send_http(url: str, flights: Sequence[Flight], progress: Progress) -> None:
    """POST the flights as JSON arrays; each request is repeated while the gateway answers 503."""
    batches = iter([flights[i : i + EVENTS_PER_REQUEST] for i in range(0, len(flights), EVENTS_PER_REQUEST)])
    async with httpx.AsyncClient(timeout=30, headers={"Content-Type": "application/json"}) as client:

        async def sender() -> None:
            for batch in batches:
                await _post(client, url, b"[" + b",".join(flight.body for flight in batch) + b"]")
                progress(len(batch))

        async with asyncio.TaskGroup() as group:
            for _ in range(_REQUESTS_AT_ONCE):
                group.create_task(sender())


async def _post(client: httpx.AsyncClient, url: str, body: bytes) -> None:
    for _ in range(30):
        try:
            response = await client.post(url, content=body)
        except httpx.TransportError as error:  # not repeated: the events may be in Kafka, and would be there twice
            raise NotAccepted(
                f"The gateway did not answer ({type(error).__name__}). See `streams local status`; "
                "`streams local demo` goes on where it was."
            ) from error
        if response.status_code == 200:
            return
        if response.status_code != 503:
            raise NotAccepted(f"The gateway answered {response.status_code}: {response.text[:200]}")
        await asyncio.sleep(float(response.headers.get("Retry-After", "1")))
    raise NotAccepted("The gateway answered 503 for a minute. Is Kafka running? See `streams local status`.")


def send_kafka(settings: Settings, topic: str, flights: Iterable[Flight], progress: Progress) -> None:
    """Write the flights straight into the topic, as any producer would. Blocking."""
    failed: list[str] = []

    def report(error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            failed.append(error.str())
        else:
            progress(1)

    producer = Producer(producer_config(settings, linger_ms=20))
    headers: list[tuple[str, str | bytes | None]] = [("Content-Type", "application/json"), ("Source", "producer")]
    for flight in flights:
        while True:
            try:
                producer.produce(topic, flight.body, on_delivery=report, headers=list(headers))
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)
    waiting = producer.flush(60)
    if failed or waiting:
        reason = failed[0] if failed else "no answer within 60 s"
        raise KafkaUnavailable(f"Kafka did not take {len(failed) + waiting} events: {reason}")


def records_in(settings: Settings, topic: str, partitions: int) -> set[int]:
    """Numbers of the flights that the topic holds already, so that a second run sends only the others."""
    return {
        int(value[value.index(b'"record":') + 9 : value.index(b",")])
        for partition in range(partitions)
        for message in read_to_end(settings, topic, partition)
        if (value := message.value())
    }
