"""How far the mapper has come with a replay, as Kafka keeps it under the replay's group. Blocking."""

from __future__ import annotations

from confluent_kafka import Consumer, KafkaException, TopicPartition

from app.kafka.client import NOT_ALLOWED, consumer_config, in_words
from app.kafka.names import Names
from app.model.errors import KafkaUnavailable
from app.model.replay import Replay
from app.settings import Settings

_SECONDS = 10.0


def replay_progress(settings: Settings, replay: Replay) -> dict[tuple[str, int], int]:
    """By topic and partition, the offset before which all is mapped; a partition without one has not begun.

    Raises KafkaUnavailable.
    """
    group = Names(settings.topic_prefix).replay_group(replay.lane)
    consumer = Consumer(consumer_config(settings) | {"group.id": group})
    try:
        places = [TopicPartition(replay.topic_of(part)[0], part.partition) for part in replay.ranges]
        found = consumer.committed(places, _SECONDS)
        for place in found:
            if place.error is not None and place.error.code() in NOT_ALLOWED:
                raise KafkaUnavailable(f"Kafka does not say how far a replay is: {in_words(place.error)}")
        return {(p.topic, p.partition): int(p.offset) for p in found if p.error is None and p.offset >= 0}
    except KafkaException as error:
        raise KafkaUnavailable(f"Kafka does not say how far a replay is: {error.args[0].str()}") from error
    finally:
        consumer.close()
