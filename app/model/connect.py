"""Configurations of Kafka Connect sinks that send a topic's records to a receiver. Pure.

Each delivers at least once and loses nothing in silence: what the gateway refuses ends in a dead letter queue or ends
the task. Why each setting is as it is stands in `connectors/`, where each kind has a folder with its README.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

from app.model.errors import BadRequest, StreamsError

_STRINGS = "org.apache.kafka.connect.storage.StringConverter"
_BYTES = "org.apache.kafka.connect.converters.ByteArrayConverter"
_TOMBSTONE = "org.apache.kafka.connect.transforms.predicates.RecordIsTombstone"
_BATCH = "500"
_LARGEST_DEAD_LETTER = str(32 << 20)
"""Bytes: as many as a Kafka producer has room for by default."""
_AGAIN = "408,425,429,500-"
"""Statuses that Confluent's sinks send again after; what they refuse otherwise would be refused again."""
_CAMEL_ROUTING = ("HttpUri", "HttpPath", "HttpMethod", "HttpQuery", "HttpRawQuery", "RestHttpUri", "RestHttpQuery")
"""What in a Kafka header `CamelHeader.Camel…` would send the record elsewhere."""


class SinkKind(StrEnum):
    """The plug-ins that there is a configuration for."""

    DATA_STREAMS = "data-streams"
    CONFLUENT = "confluent"
    CONFLUENT_V2 = "confluent-v2"
    AIVEN = "aiven"
    CAMEL = "camel"
    CLESCOT = "clescot"


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a receiver takes events. `token` is its secret where that is not in the URL; without `split` a body is one
    event, so records cannot share a request.
    """

    url: str
    token: str | None = None
    split: bool = True


@dataclass(frozen=True, slots=True)
class SinkRoute:
    """What a configuration is made for: `name` is the connector's, `brokers` are for plug-ins that write topics of
    their own.
    """

    name: str
    topics: tuple[str, ...]
    to: Destination
    dead_letters: str
    brokers: str = "localhost:9092"
    replication_factor: int = 3
    tasks: int = 1


def destination(receiver: Mapping[str, Any]) -> Destination:
    """Of a receiver as the API shows it. Raises StreamsError when no sink of Kafka Connect can send to it."""
    name = receiver["id"]
    if "problem" in receiver:
        raise StreamsError(f'The URL of receiver "{name}" is not known: {receiver["problem"]}')
    if "source" in receiver:
        raise StreamsError(f'Receiver "{name}" reads what is in topics of others: nothing is sent to it.')
    if "signature" in receiver:
        raise StreamsError(
            f'Receiver "{name}" takes only signed requests, and no sink of Kafka Connect signs: make another receiver.'
        )
    return Destination(receiver["url"], receiver.get("token"), receiver.get("split", "on") != "off")


def sink_config(kind: SinkKind, route: SinkRoute) -> dict[str, str]:
    """The `config` of a connector. Raises BadRequest when the URL cannot be written into one."""
    secret = route.to.url + (route.to.token or "")
    if not secret.isascii() or any(mark in secret for mark in "'\"${}| \t\r\n"):
        raise BadRequest("The URL, or the token, has characters that have a meaning in a connector's configuration")
    own = {
        SinkKind.DATA_STREAMS: _data_streams,
        SinkKind.CONFLUENT: _confluent,
        SinkKind.CONFLUENT_V2: _confluent_v2,
        SinkKind.AIVEN: _aiven,
        SinkKind.CAMEL: _camel,
        SinkKind.CLESCOT: _clescot,
    }[kind](route)
    common = {
        "tasks.max": str(route.tasks),
        "topics": ",".join(route.topics),
        # Keys are not sent, so one that is no text must not matter; texts of headers stay texts ("007").
        "key.converter": _BYTES,
        "value.converter": _STRINGS,
        "header.converter": _STRINGS,
    }
    return {"connector.class": own["connector.class"], **common, **own}


def connector_body(kind: SinkKind, route: SinkRoute) -> dict[str, object]:
    """What `POST /connectors` of a Connect worker takes."""
    return {"name": route.name, "config": sink_config(kind, route)}


def _dead_letters(route: SinkRoute) -> Mapping[str, str]:
    return {
        "errors.tolerance": "all",
        "errors.deadletterqueue.topic.name": route.dead_letters,
        "errors.deadletterqueue.topic.replication.factor": str(route.replication_factor),
        "errors.deadletterqueue.context.headers.enable": "true",
        # What is refused as too large (413) must fit, and Connect loses in silence what its producer refuses at once.
        "producer.override.max.request.size": _LARGEST_DEAD_LETTER,
    }


def _bearer(route: SinkRoute) -> str:
    return f"Bearer {route.to.token}"


def _data_streams(route: SinkRoute) -> dict[str, str]:
    batches = {"body.format": "json-array", "batch.max.size": _BATCH, "batch.linger.ms": "50"}
    return {
        "connector.class": "datastreams.connect.DataStreamsSinkConnector",
        "http.url": route.to.url,
        **({"http.authorization": _bearer(route)} if route.to.token else {}),
        **(batches if route.to.split else {"body.format": "raw"}),
        **_dead_letters(route),
    }


def _confluent(route: SinkRoute) -> dict[str, str]:
    return {
        "connector.class": "io.confluent.connect.http.HttpSinkConnector",
        "http.api.url": route.to.url,
        "request.method": "POST",
        "headers": "Content-Type:application/json" + (f"|Authorization:{_bearer(route)}" if route.to.token else ""),
        **_text_batches(route, "batch.max.size"),
        "request.body.format": "string",
        "behavior.on.null.values": "ignore",
        "behavior.on.error": "fail",
        "max.retries": "100",
        "retry.backoff.ms": "3000",
        "retry.on.status.codes": _AGAIN,
        **_confluent_topics(route),
    }


def _confluent_v2(route: SinkRoute) -> dict[str, str]:
    address = urlsplit(route.to.url)
    api = {
        "http.api.path": address.path,
        "topics": ",".join(route.topics),
        "http.request.method": "POST",
        "http.request.headers": "Content-Type:application/json",
        **({"http.request.sensitive.headers": f"Authorization:{_bearer(route)}"} if route.to.token else {}),
        **_text_batches(route, "max.batch.size"),
        "request.body.format": "string",
        "behavior.on.null.values": "ignore",
        "max.retries": "100",
        "retry.backoff.ms": "3000",
        "retry.on.status.codes": _AGAIN,
        "retry.backoff.policy": "CONSTANT_VALUE",
        "test.api": "false",
    }
    return {
        "connector.class": "io.confluent.connect.http.sink.GenericHttpSinkConnector",
        "http.api.base.url": f"{address.scheme}://{address.netloc}",
        "apis.num": "1",
        **{f"api1.{name}": value for name, value in api.items()},
        "behavior.on.error": "fail",
        **_confluent_topics(route),
    }


def _text_batches(route: SinkRoute, size: str) -> dict[str, str]:
    """A JSON array without encoding the values again."""
    if not route.to.split:
        return {size: "1", "batch.prefix": "", "batch.separator": ",", "batch.suffix": ""}
    return {size: _BATCH, "batch.prefix": "[", "batch.separator": ",", "batch.suffix": "]"}


def _confluent_topics(route: SinkRoute) -> dict[str, str]:
    factor = str(route.replication_factor)
    return {
        # 100 attempts of 33 s at most are one call of the worker.
        "consumer.override.max.poll.interval.ms": "3600000",
        "reporter.bootstrap.servers": route.brokers,
        "reporter.result.topic.name": "",
        "reporter.error.topic.name": route.dead_letters,
        "reporter.error.topic.replication.factor": factor,
        "confluent.topic.bootstrap.servers": route.brokers,
        "confluent.topic.replication.factor": factor,
    }


def _aiven(route: SinkRoute) -> dict[str, str]:
    batches = {
        "batching.enabled": "true",
        "batch.max.size": _BATCH,
        "batch.prefix": "[",
        "batch.separator": ",",
        "batch.suffix": "]",
    }
    return {
        "connector.class": "io.aiven.kafka.connect.http.HttpSinkConnector",
        "http.url": route.to.url,
        **(
            {"http.authorization.type": "static", "http.headers.authorization": _bearer(route)}
            if route.to.token
            else {"http.authorization.type": "none"}
        ),
        "http.headers.content.type": "application/json",
        **(batches if route.to.split else {"batching.enabled": "false"}),
        "http.timeout": "30",
        "max.retries": "100",
        "retry.backoff.ms": "3000",
        "consumer.override.max.poll.interval.ms": "3600000",
        **_no_tombstones(),
    }


def _whole(url: str) -> str:
    """A record is one event also where it is an array: these plug-ins send one a request."""
    return f"{url}{'&' if '?' in url else '?'}split=off"


def _no_tombstones(*further: str) -> dict[str, str]:
    return {
        "predicates": "isTombstone",
        "predicates.isTombstone.type": _TOMBSTONE,
        "transforms": ",".join(("noTombstones", *further)),
        "transforms.noTombstones.type": "org.apache.kafka.connect.transforms.Filter",
        "transforms.noTombstones.predicate": "isTombstone",
    }


def _camel(route: SinkRoute) -> dict[str, str]:
    return {
        "connector.class": "org.apache.camel.kafkaconnector.CamelSinkConnector",
        "camel.sink.url": f"{_whole(route.to.url)}&httpMethod=POST",
        "camel.component.http.connectTimeout": "5000",
        "camel.component.http.socketTimeout": "30000",
        "camel.error.handler.max.redeliveries": "100",
        "camel.error.handler.redelivery.delay": "3000",
        "consumer.override.max.poll.interval.ms": "3600000",
        **_no_tombstones("noRouting", "type", *(["authorization"] if route.to.token else [])),
        "transforms.noRouting.type": "org.apache.kafka.connect.transforms.DropHeaders",
        "transforms.noRouting.headers": ",".join(f"CamelHeader.Camel{name}" for name in _CAMEL_ROUTING),
        "transforms.type.type": "org.apache.kafka.connect.transforms.InsertHeader",
        "transforms.type.header": "CamelHeader.Content-Type",
        "transforms.type.value.literal": "application/json",
        **(_camel_authorization(route) if route.to.token else {}),
        **_dead_letters(route),
    }


def _camel_authorization(route: SinkRoute) -> dict[str, str]:
    return {
        "transforms.authorization.type": "org.apache.kafka.connect.transforms.InsertHeader",
        "transforms.authorization.header": "CamelHeader.Authorization",
        "transforms.authorization.value.literal": _bearer(route),
    }


def _clescot(route: SinkRoute) -> dict[str, str]:
    place = "sinkRecord.topic()+'/'+sinkRecord.kafkaPartition()+'/'+sinkRecord.kafkaOffset()"
    return {
        "connector.class": "io.github.clescot.kafka.connect.http.sink.HttpSinkConnector",
        "http.request.mapper.default.mode": "JEXL",
        "http.request.mapper.default.url": f"'{_whole(route.to.url)}'",
        "http.request.mapper.default.method": "'POST'",
        "http.request.mapper.default.body": "sinkRecord.value()",
        "http.request.mapper.default.headers": f"{{'Idempotency-Key':['kafka:{route.name}:'+{place},...]}}",
        **(
            {
                "config.default.enrich.request.static.header.names": "Authorization",
                "config.default.enrich.request.static.header.Authorization": _bearer(route),
            }
            if route.to.token
            else {}
        ),
        "config.default.okhttp.call.timeout": "10000",
        "retry.policy.retries": "12",
        "retry.policy.retry.delay.in.ms": "500",
        "retry.policy.retry.max.delay.in.ms": "20000",
        "retry.policy.retry.delay.factor": "2",
        "retry.policy.retry.jitter.in.ms": "200",
        "retry.policy.response.code.regex": "^[^2][0-9]{2}$",
        "consumer.override.max.poll.interval.ms": "3600000",
        **_dead_letters(route),
    }
