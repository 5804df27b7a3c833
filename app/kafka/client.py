"""Configuration of librdkafka clients: one place for addresses, security and sizes."""

from __future__ import annotations

import logging
import time
import zlib
from contextlib import suppress
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from app.model.errors import ConfigurationError, KafkaUnavailable
from app.settings import Settings

READER = "reader"
"""The end of the name of the group that consumers without a group name: they join none, and commit nothing. librdkafka
looks for its coordinator all the same.
"""
PARTITIONER = "consistent_random"
"""Of producers whose readers must know where a key is: the rule of `partition_of_key`, whatever the settings say."""
_PROBE_SECONDS, _PROBE_STEP_SECONDS = 3.0, 0.5
NOT_ALLOWED = frozenset(
    {
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    }
)
"""What Kafka answers when ACLs are missing."""
_log = logging.getLogger("app.kafka")


def client_config(settings: Settings, **properties: str | float | bool | None) -> dict[str, Any]:
    """Properties of any client; keyword names use underscores for dots (`enable_idempotence=True`)."""
    config: dict[str, Any] = {
        "bootstrap.servers": settings.kafka_bootstrap_servers,
        "client.id": settings.topic_prefix,
        "logger": _log,
        "reconnect.backoff.max.ms": 1000,
        **settings.kafka_properties,
    }
    config.update({name.replace("_", "."): value for name, value in properties.items()})
    return config


def consumer_config(settings: Settings, **properties: str | float | bool | None) -> dict[str, Any]:
    """Properties of a consumer that reads committed records only and never commits an offset of its own."""
    return client_config(
        settings,
        group_id=f"{settings.topic_prefix}-{READER}",
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        allow_auto_create_topics=False,
        fetch_message_max_bytes=settings.max_message_bytes,
        **properties,
    )


def producer_config(settings: Settings, **properties: str | float | bool | None) -> dict[str, Any]:
    """Properties of a producer whose acknowledgement means durable: acks=all and idempotent."""
    return client_config(
        settings,
        **{
            "acks": "all",
            "enable_idempotence": True,
            "compression_type": "lz4",
            "message_max_bytes": settings.max_message_bytes,
            **properties,
        },
    )


def partition_of_key(key: str, partitions: int) -> int:
    """Where `PARTITIONER` puts records with this key (that is not empty): CRC-32 of it.

    >>> partition_of_key("1234/clicks/all", 4)
    2
    """
    return zlib.crc32(key.encode()) % partitions


def connect_admin(settings: Settings, timeout_seconds: float = 10) -> AdminClient:
    """An admin client of a broker that answers. Raises KafkaUnavailable when none does in time, ConfigurationError when
    librdkafka refuses a setting.
    """
    try:
        admin = AdminClient(client_config(settings))
    except KafkaException as error:
        raise ConfigurationError(
            f"A setting STREAMS_KAFKA_* cannot be used: {error.args[0].str()}. They go to librdkafka by its names of "
            "properties, with underscores for dots."
        ) from error
    try:
        admin.list_topics(timeout=timeout_seconds)
    except KafkaException as error:
        if refusal := _refusal(settings):
            raise KafkaUnavailable(
                f"Kafka at {settings.kafka_bootstrap_servers} cannot be spoken to ({refusal}). "
                "Are STREAMS_KAFKA_SECURITY_PROTOCOL, STREAMS_KAFKA_SASL_* and STREAMS_KAFKA_SSL_* right?"
            ) from error
        raise KafkaUnavailable(
            f"Kafka at {settings.kafka_bootstrap_servers} does not answer ({error.args[0].str()}). "
            "Is it running, and is STREAMS_KAFKA_BOOTSTRAP_SERVERS right?"
        ) from error
    return admin


def _refusal(settings: Settings) -> str | None:
    """Why the brokers, or we, end each connection; None when that is not for TLS or SASL.

    Asked by a client of its own that is let go at once: librdkafka keeps errors until somebody polls for them.
    """
    if settings.kafka_properties.get("security.protocol", "PLAINTEXT").upper() == "PLAINTEXT":
        return None
    errors: list[KafkaError] = []
    config: dict[str, Any] = {**client_config(settings), "error_cb": errors.append}
    probe = AdminClient(config)
    refusals: list[str] = []
    deadline = time.monotonic() + _PROBE_SECONDS
    while not refusals and time.monotonic() < deadline:
        with suppress(KafkaException):
            probe.list_topics(timeout=_PROBE_STEP_SECONDS)
        probe.poll(0)
        refusals = [error.str() for error in errors if error.code() in (KafkaError._AUTHENTICATION, KafkaError._SSL)]
    return refusals[0] if refusals else None


def passes(error: KafkaError) -> bool:
    """Whether reading goes on by itself after this error of a consumer of ours without a group of its own.

    Brokers that are away come back. That the coordinator of the group READER is not to be asked for is said to each
    consumer once, at any time, and harms nobody, since nothing is asked of it.
    """
    return error.retriable() or error.code() in (KafkaError._ALL_BROKERS_DOWN, KafkaError.GROUP_AUTHORIZATION_FAILED)


def in_words(error: KafkaError) -> str:
    """What Kafka said; where it does not allow something, also what to do."""
    if error.code() in NOT_ALLOWED:
        return f"{error.str()} (`streams topics acls` lists what each process must be allowed)"
    return str(error.str())


def learn_leaders(admin: AdminClient, topic: str, timeout_seconds: float = 5) -> None:
    """Ask Kafka anew who leads the topic's partitions; call it when `list_offsets` was refused, then try again.

    librdkafka 2.16 asks for offsets with the leader epochs that it knows, and learns no newer ones when the broker
    refuses them (FENCED_LEADER_EPOCH, after a broker's restart): without this it would be refused for ever.
    """
    with suppress(KafkaException):
        admin.list_topics(topic, timeout=timeout_seconds)
