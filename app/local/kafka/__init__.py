"""A real single-node Kafka broker (KRaft) for one machine: its jars, its settings and its process."""

from app.local.kafka.broker import LocalBroker

__all__ = ["LocalBroker"]
