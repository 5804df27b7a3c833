"""Sending envelopes one after the other, each until Kafka has it (delivery protocol, rule 1)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from app.kafka.producer import AsyncProducer, ProducerBroken
from app.mapper import metrics
from app.model.errors import KafkaUnavailable

_log = logging.getLogger(__name__)
_FIRST_RETRY_SECONDS = 0.1
_LAST_RETRY_SECONDS = 5.0


async def deliver(
    producer: AsyncProducer, topic: str, export_uid: str, partition: int, envelopes: Sequence[bytes]
) -> None:
    """Return when all are delivered. One that Kafka does not take is sent again, unchanged. Raises ProducerBroken."""
    for envelope in envelopes:
        retry_seconds = _FIRST_RETRY_SECONDS
        while True:
            try:
                await producer.send(topic, envelope, export_uid, partition=partition)
                break
            except ProducerBroken:
                raise
            except KafkaUnavailable as error:
                _log.warning("an envelope of export %s is sent again: %s", export_uid, error)
                metrics.RETRIES.inc()
                await asyncio.sleep(retry_seconds)
                retry_seconds = min(2 * retry_seconds, _LAST_RETRY_SECONDS)
        metrics.ENVELOPES.inc()
