"""Every STREAMS_* setting with its unit, default and bound, in one place.

Values come from the environment or a `.env` file. Any STREAMS_KAFKA_<PROPERTY> that is not named here goes to
librdkafka as <property> (STREAMS_KAFKA_SASL_USERNAME becomes sasl.username), and the Faust side gets the same security
(`app.model.security` says which settings go together); so does STREAMS_SCHEMA_REGISTRY_<PROPERTY> go to the registry's
client.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Literal

from dotenv import dotenv_values
from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from app.model import security
from app.model.conditions import KIB, MIB, Bounds
from app.model.engine import Engine
from app.model.errors import ConfigurationError

Port = Annotated[int, Field(ge=1, le=65535)]
Seconds = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]

MAX_SLICE_BYTES = 200_000_000
"""CSV bytes of a slice: more, smaller ones load faster. Storage takes up to 2 GB."""
_PREFIX = "STREAMS_"
_NAMED_KAFKA = {"STREAMS_KAFKA_BOOTSTRAP_SERVERS", "STREAMS_KAFKA_PORT", "STREAMS_KAFKA_PROPERTIES"}
_NAMED_REGISTRY = {f"STREAMS_SCHEMA_REGISTRY_{name}" for name in ("URL", "PROPERTIES", "SECONDS")}


class Settings(BaseSettings):
    """What a process may be told. Names in the environment are upper case with the prefix STREAMS_."""

    model_config = SettingsConfigDict(env_prefix=_PREFIX, env_file=".env", extra="ignore", frozen=True)

    # Surroundings
    kafka_bootstrap_servers: str = "127.0.0.1:9092"
    kafka_properties: dict[str, str] = Field(default_factory=lambda: kafka_properties(), repr=False)
    """What else goes to librdkafka: STREAMS_KAFKA_SASL_USERNAME is {"sasl.username": ...}. May hold passwords.

    Security: STREAMS_KAFKA_SECURITY_PROTOCOL, _SASL_MECHANISM, _SASL_USERNAME, _SASL_PASSWORD, _SSL_CA_FILE,
    _SSL_CERTIFICATE_FILE, _SSL_KEY_FILE, _SSL_KEY_PASSWORD.
    """
    schema_registry_url: str | None = None
    """Where schemas are of events in the Confluent wire format; several addresses, separated by commas, are tried in
    turn. Without it such events are taken as they are."""
    schema_registry_properties: dict[str, str] = Field(default_factory=lambda: registry_properties(), repr=False)
    """What else goes to the registry's client: STREAMS_SCHEMA_REGISTRY_BASIC_AUTH_USER_INFO is
    {"basic.auth.user.info": ...}. May hold passwords."""
    schema_registry_seconds: Seconds = 5
    """How long mapping waits for a schema before it puts a partition aside until the registry has it."""
    schema_cache_bytes: Annotated[int, Field(ge=MIB)] = 32 * MIB
    """Schemas that a process remembers."""
    storage_api_host: str = "https://connection.keboola.com"
    """Address of the Storage API; a bare host means https."""
    storage_s3_endpoint: str | None = None
    """Where S3 uploads go instead of Amazon's address (the local stack's S3 server)."""
    storage_gcs_endpoint: str | None = None
    """Where Google Cloud Storage uploads go instead of Google's address. Azure's address comes with each file."""
    encryption_key: Annotated[list[str], NoDecode] = Field(default_factory=list, repr=False)
    """Fernet keys, separated by commas: the first encrypts, all decrypt."""
    public_address: str = "http://127.0.0.1:8000"
    """What import and task URLs begin with, and where the command line finds the API."""
    storage_token: str | None = Field(None, repr=False)
    """Master token of a project, with which the command line calls the API. The processes don't use it."""
    topic_prefix: str = Field("streams", pattern=r"^[A-Za-z0-9._-]{1,60}$")
    topics: Literal["auto", "managed"] = "auto"
    """auto: missing topics are created; managed: operators create them and we only check."""
    replication_factor: Count = 1
    source_topics: Annotated[list[str], NoDecode] = Field(default_factory=list)
    """Topics that are not ours and that receivers may be bound to, separated by commas: `1234:orders`, `1234:shop.*`;
    `*:` stands for every project. None: no receiver may be bound."""
    source_look_seconds: Seconds = 5
    """How often control looks for new topics that patterns of receivers mean."""
    min_insync_replicas: Count | None = None
    """Replicas that have a record before it is acknowledged, in topics that are made. None: 2 where there are three
    replicas or more, else 1."""
    trusted_proxies: Annotated[list[str], NoDecode] = Field(default_factory=list)
    """Addresses or networks whose X-Forwarded-For is believed, separated by commas."""
    log_format: Literal["text", "json"] = "text"
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    # Ports, all on listen_address
    listen_address: str = "127.0.0.1"
    gateway_port: Port = 8000
    control_port: Port = 9101
    mapper_port: Port = 9102
    sink_port: Port = 9103
    storage_port: Port = 8001
    storage_s3_port: Port = 8002
    kafka_port: Port = 9092
    """Port of the local stack's broker."""
    local_dir: Path = Path(".local")
    """Where the local stack keeps its data, logs and encryption key."""

    # Topics
    receiver_partitions: Annotated[int, Field(ge=1, le=1000)] = 4
    rows_partitions: Annotated[int, Field(ge=1, le=1000)] = 12
    """Partitions of rows and ledger; fixed for the life of an installation."""
    command_partitions: Annotated[int, Field(ge=1, le=100)] = 4
    dead_letter_partitions: Annotated[int, Field(ge=1, le=100)] = 4
    """Fixed for the life of an installation: with more of them, letters from before are neither listed nor requeued."""
    retention_hours: Annotated[float, Field(ge=1)] = 168
    """How long raw events, commands and dead letters are kept in Kafka."""
    max_message_bytes: Annotated[int, Field(ge=MIB)] = 4 * MIB

    # Limits of the gateway
    max_body_bytes: Annotated[int, Field(ge=1, le=3 * MIB)] = MIB
    """Of a request's body as it comes, and of each event."""
    max_inflated_bytes: Annotated[int, Field(ge=KIB, le=64 * MIB)] = 8 * MIB
    """Of a compressed body after it was inflated (`Content-Encoding`), and of one of another charset in UTF-8."""
    max_header_bytes: Annotated[int, Field(ge=KIB, le=MIB)] = 64 * KIB
    max_header_count: Annotated[int, Field(ge=1, le=10_000)] = 200
    max_events_per_request: Count = 100_000
    max_inflight_bytes: Annotated[int, Field(ge=MIB)] = 64 * MIB
    """Bytes of bodies that one gateway holds while Kafka has not acknowledged them."""
    receiver_quota_mib: Annotated[int, Field(ge=0)] = 0
    """MiB that may be accepted for a receiver and not be in its tables yet, an event once for each export; more is
    answered 507. 0: no quota.
    """
    quota_check_seconds: Seconds = 2
    """How often a gateway asks how much that is."""
    read_seconds: Seconds = 30
    """How long a sender may take to send one request, headers and body."""
    acknowledge_seconds: Seconds = 10
    """How long a request waits for Kafka before it is answered 503."""
    retry_after_seconds: Annotated[int, Field(ge=1)] = 2
    synchronous_seconds: Seconds = 30
    """How long a synchronous call waits for its task before it is answered 504."""
    task_timeout_seconds: Seconds = 300
    topic_wait_seconds: Annotated[float, Field(ge=0)] = 600
    """How long the creation of a receiver waits for its topic where topics are the operators' (STREAMS_TOPICS=managed);
    the project's other tasks wait behind it."""
    finished_task_hours: Annotated[float, Field(gt=0)] = 1
    """How long a task is kept after it succeeded."""
    failed_task_hours: Annotated[float, Field(gt=0)] = 48
    """How long a task is kept after it failed; one that nobody carries out fails at this age."""
    task_check_seconds: Seconds = 900
    """How often it is looked for tasks to forget."""
    validation_children: Annotated[int, Field(ge=1, le=64)] = 1
    """Processes in which one gateway maps for validations and dry runs; they run only while they are needed."""
    validation_idle_seconds: Seconds = 60
    """How long these processes wait for the next validation before they are ended."""
    max_validations: Count = 16
    """Validations and dry runs that one gateway holds, under way or waiting; further ones are answered 503."""
    max_validation_events: Count = 100
    """Events that one validation or dry run may have."""
    max_dry_run_events: Annotated[int, Field(ge=1, le=100_000)] = 1000
    """Events that a dry run of a replay maps, or dead letters that one of a requeue looks at."""
    max_kafka_reads: Count = 2
    """Calls that read dead letters or batches, or newest events for a dry run, on one gateway at once; further ones are
    answered 503."""
    dead_letter_read_records: Count = 100_000
    """Records that one call reads of the dead letters' topic or of the ledger, those of other exports included."""
    dead_letter_read_bytes: Annotated[int, Field(ge=MIB)] = 64 * MIB
    dead_letter_read_seconds: Seconds = 5
    view_staleness_seconds: Seconds = 15
    """A gateway whose view has not met the control log's end for this long answers 503."""
    unknown_receiver_barrier_seconds: Seconds = 1
    """At most one read barrier in this time for requests to unknown receivers."""
    token_cache_seconds: Seconds = 30
    graceful_stop_seconds: Seconds = 10
    """How long a stop may take: a gateway waits so long for requests under way, and then for Kafka; another process
    that has not ended by itself by then ends with exit code 70, and what it had not committed is done again."""

    # Bounds of conditions
    min_count: Count = 1
    max_count: Count = 10_000_000
    min_size_bytes: Count = 100
    max_size_bytes: Annotated[int, Field(ge=1, le=MAX_SLICE_BYTES - 2 * MIB)] = 50 * MIB
    """A slice never has more than its window, which passes its size by less than one row of 1 MiB."""
    min_time_seconds: Seconds = 30
    max_time_seconds: Seconds = 86_400
    max_exports: Annotated[int, Field(ge=1, le=100)] = 20
    max_receivers: Count = 100
    max_revisions: Annotated[int, Field(ge=1, lt=100_000)] = 100
    """Mappings that one export may have had."""
    max_replays: Annotated[int, Field(ge=1, le=100)] = 10
    """Replays of one export under way at a time."""
    max_source_partitions: Annotated[int, Field(ge=1, le=300)] = 300
    """Partitions of all topics of others that one receiver reads. An export has places in each of them in one record,
    so with a smaller `max_message_bytes` they are fewer (see `app.api.limits`)."""
    max_columns: Annotated[int, Field(ge=1, le=100)] = 100

    # Mapper
    mapping_children: Annotated[int, Field(ge=1, le=256)] = Field(default_factory=lambda: os.cpu_count() or 1)
    mapping_memory_mib: Annotated[int, Field(ge=64)] = 512
    mapping_budget_seconds: Seconds = 5
    """Time that one export may take for one chunk, for each 1,000 events of a larger one; what is not mapped by then
    becomes dead letters."""
    mapping_event_seconds: Seconds = 1
    """Time that one event alone may take."""
    jsonnet_engine: Engine = Engine.RJSONNET
    """rjsonnet, or jsonnet: the C++ one, which prints non-integral numbers as the Buffer API does (1.1 as
    1.1000000000000001). It costs 33 ms for each template and chunk, and again for each event in which a template raises
    an error of its own, so that mapping_budget_seconds allows 150 of these in a chunk of 1,000 events.
    """
    mapping_failing_share: Annotated[float, Field(gt=0, le=1)] = 0.05
    """Part of the time that passes which all exports together may go on to lose to templates that do not come to an end
    or fail dearly; an export that needs more rests meanwhile, and its events become dead letters."""
    suspend_resting_seconds: Annotated[float, Field(ge=0)] = 60
    """How long an export may rest before it is suspended, so that its events wait in Kafka instead of becoming dead
    letters; 0: never."""
    chunk_events: Annotated[int, Field(ge=1, le=100_000)] = 5000
    replay_readers: Annotated[int, Field(ge=1, le=100)] = 4
    """Partitions of replays that one mapper reads at a time, with up to 8 MiB read ahead each; others wait."""
    reconcile_seconds: Seconds = 0.25
    fetch_wait_ms: Annotated[int, Field(ge=1, le=10_000)] = 100
    fetch_min_bytes: Count = 64 * KIB
    session_timeout_seconds: Seconds = 10

    # Watching
    watchdog_seconds: Seconds = 45
    """How long an event loop may stand still, or a rebalance take, before the process ends itself (exit code 70)."""
    watch_seconds: Annotated[float, Field(ge=0.2)] = 10
    """How often a process asks Kafka how far its consumers are behind, for metrics, readiness and liveness."""
    stuck_seconds: Seconds = 600
    """How long a partition may not move although records wait, Kafka answers and nothing holds it back, before the
    process ends itself (exit code 70); must be longer than the slowest chunk of a mapper may take."""
    unready_after_seconds: Seconds = 30
    """How long beyond `watch_seconds` Kafka may not answer before control, mapper and sink are not ready; the gateway
    has `view_staleness_seconds`."""
    metrics_topics: Count = 100
    """Topics and exports that metrics name one by one, the worst first; of the others there are sums."""

    # Sink
    staging_bytes: Annotated[int, Field(ge=KIB)] = 5 * MIB
    """CSV bytes that an export buffers in memory before they are staged as slices."""
    sink_memory_bytes: Annotated[int, Field(ge=MIB)] = 128 * MIB
    """Bytes of rows that one sink process holds before it takes no more; from half of it on it stages early."""
    staging_span_envelopes: Count = 20_000
    """Envelopes of the rows partition that a restart may have to read again before an export is staged."""
    staging_span_seconds: Seconds = 600
    park_after_seconds: Seconds = 60
    """How long Storage may take nothing of an export before the export is parked: it lets go of its memory and of
    Kafka's offsets, and is read again from Kafka later. At once when memory is short."""
    park_seconds: Seconds = 30
    """Pause before a parked export is tried again; doubled each time up to `park_cap_seconds`."""
    park_cap_seconds: Seconds = 600
    dead_letter_seconds: Seconds = 1
    tick_seconds: Seconds = 0.2
    uploads_in_parallel: Annotated[int, Field(ge=1, le=64)] = 4
    imports_in_parallel: Annotated[int, Field(ge=1, le=64)] = 8
    """Imports under way per project; the project's own limit holds where it is lower."""
    storage_events: Literal["on", "off"] = "on"
    """Whether uploads and imports are put into Storage's log of events."""
    storage_connect_seconds: Seconds = 5
    storage_read_seconds: Seconds = 60
    import_grace_seconds: Seconds = 120
    """How long an unclear import is looked for before it counts as not begun."""
    retry_unavailable_seconds: Seconds = 10
    """Pause before an import that Storage could not take at all (down, or too many requests) is tried again."""
    retry_first_seconds: Seconds = 120
    """Pause after an import's first failure; each further one is `retry_factor` times longer, up to the cap."""
    retry_factor: Annotated[float, Field(ge=1)] = 4
    retry_cap_seconds: Seconds = 6 * 3600
    batch_expiry_hours: Annotated[float, Field(gt=0, le=8760)] = 168
    """How long a batch's import may fail, counted from the end of its window, before it is given up: it is `expired`
    then, a dead letter says which rows are in it, and the batches behind it go on."""
    batch_history_hours: Annotated[float, Field(gt=0)] = 168
    """How long the ledger remembers a batch after its import."""

    @field_validator("encryption_key", "trusted_proxies", "source_topics", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value

    @field_validator("source_topics")
    @classmethod
    def _project_and_pattern(cls, value: list[str]) -> list[str]:
        for one in value:
            project, _, pattern = one.partition(":")
            if not pattern or not (project == "*" or project.isdecimal()):
                raise ValueError(f'"{one}" must be PROJECT:PATTERN, such as 1234:orders or *:public.*')
        return value

    @field_validator("kafka_properties")
    @classmethod
    def _security(cls, value: dict[str, str]) -> dict[str, str]:
        if problem := security.problem_of(value):
            raise ValueError(problem)
        return value

    @field_validator("storage_api_host")
    @classmethod
    def _url(cls, value: str) -> str:
        return (value if "://" in value else f"https://{value}").rstrip("/")

    @field_validator("public_address")
    @classmethod
    def _address(cls, value: str) -> str:
        return value.rstrip("/")

    @property
    def bounds(self) -> Bounds:
        return Bounds(
            self.min_count,
            self.max_count,
            self.min_size_bytes,
            self.max_size_bytes,
            self.min_time_seconds,
            self.max_time_seconds,
        )


def kafka_properties(env_file: Path | None = None) -> dict[str, str]:
    """Properties in the environment (and this file), named as librdkafka does, such as {"sasl.username": "x"}."""
    return security.named_as_librdkafka_does(_properties("STREAMS_KAFKA_", _NAMED_KAFKA, env_file))


def registry_properties(env_file: Path | None = None) -> dict[str, str]:
    """The like of the registry's client, such as {"basic.auth.user.info": "x:y"}."""
    return _properties("STREAMS_SCHEMA_REGISTRY_", _NAMED_REGISTRY, env_file)


def _properties(prefix: str, named: Collection[str], env_file: Path | None) -> dict[str, str]:
    given = {**(dotenv_values(env_file) if env_file else {}), **os.environ}
    return {
        name.removeprefix(prefix).lower().replace("_", "."): value
        for name, value in given.items()
        if name.startswith(prefix) and name not in named and value is not None
    }


def load_settings(env_file: Path | None = Path(".env")) -> Settings:
    """The settings of this process. Raises ConfigurationError that names each bad setting and what is allowed."""
    try:
        return Settings(
            _env_file=env_file,  # type: ignore[call-arg]  # pydantic-settings' own argument
            kafka_properties=kafka_properties(env_file),
            schema_registry_properties=registry_properties(env_file),
        )
    except ValidationError as error:
        problems = "; ".join(_problem(e["loc"], e["msg"]) for e in error.errors())
        raise ConfigurationError(f"Bad settings: {problems}") from error


def _problem(place: tuple[int | str, ...], message: str) -> str:
    if place == ("kafka_properties",):  # names its variables itself
        return message.removeprefix("Value error, ")
    return f"{_PREFIX}{'_'.join(str(part) for part in place).upper()}: {message}"
