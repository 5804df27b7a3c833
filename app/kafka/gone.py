"""Whether a topic is gone for good, or only not known to the broker that was asked.

A broker that has just started answers "unknown topic" for topics that are there, and one that is behind shows a topic
of an earlier life. Who believes that loses events or has them twice, so it is believed only when several looks over
some seconds do not show the topic and, where the last one shows none, the controller, which knows all topics, has none
of the name either. Where it shows another one the looks alone count: the controller cannot be asked for ids.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # the package re-exports one without saying so
    AdminClient,
    NewTopic,
)

from app.model.errors import KafkaUnavailable

LOOKS = 6
PAUSE_SECONDS = 1.0
"""Between two looks."""
_REQUEST_SECONDS = 10.0
_NOT_THERE = frozenset(
    {
        KafkaError.TOPIC_EXCEPTION,
        KafkaError.POLICY_VIOLATION,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    }
)
"""Answers that say that the topic would be new, or that this is not for us to know: then the looks alone count."""
Look = Callable[[], Awaitable[str | None]]


async def is_surely_gone(admin: AdminClient, name: str, topic_id: str, look: Look) -> bool:
    """Whether the topic with this id is gone. Answers at once while it is there, else after some seconds.

    `look` gives the id that the name has now (None: no such topic). Raises KafkaUnavailable while that is not clear.
    """
    found: str | None = None
    for number in range(LOOKS):
        if number:
            await asyncio.sleep(PAUSE_SECONDS)
        found = await look()
        if found == topic_id:
            return False
    if found is None and await asyncio.to_thread(_is_at_controller, admin, name):
        raise KafkaUnavailable(f"Kafka has topic {name}, but the broker that was asked does not know it.")
    return True


def _is_at_controller(admin: AdminClient, name: str) -> bool:
    """Asked by a creation that is only checked: brokers hand it to the controller, and nothing is made."""
    wanted = [NewTopic(name, 1, 1)]
    (answer,) = admin.create_topics(wanted, validate_only=True, request_timeout=_REQUEST_SECONDS).values()
    try:
        answer.result(_REQUEST_SECONDS + 1)
    except TimeoutError as error:
        raise KafkaUnavailable(
            f"Kafka does not say within {_REQUEST_SECONDS:g} s whether it has topic {name}."
        ) from error
    except KafkaException as error:
        reason = error.args[0]
        if reason.code() == KafkaError.TOPIC_ALREADY_EXISTS:
            return True
        if reason.code() not in _NOT_THERE:
            raise KafkaUnavailable(f"Kafka does not say whether it has topic {name}: {reason.str()}") from error
    return False
