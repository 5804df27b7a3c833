"""Schemas from a Confluent-compatible schema registry, each whole, with all that it refers to.

Tells "there is no such schema", which stays true for a while, from "the registry does not answer", which is nothing to
draw conclusions from. Remembering is `app.kafka.schemas`'.
"""

from __future__ import annotations

import base64
import importlib
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from app.model.errors import ConfigurationError, RegistryUnavailable
from app.model.schema import MAX_ID, NoSchema, Schema, SchemaKind
from app.settings import Settings

if TYPE_CHECKING:  # the client and Protobuf are loaded where there is a registry
    from confluent_kafka.schema_registry import SchemaReference

MAX_SCHEMA_BYTES = 1 << 20
"""Of one schema with all that it refers to."""
MAX_PARTS = 200
_NOT_FOUND = frozenset((40401, 40402, 40403))
"""Error codes: no such subject, version, schema. Another 404 is not the registry's, or of another address."""
_TRANSIENT = frozenset((401, 403, 404, 407, 408, 425, 429))
"""Statuses below 500 that say nothing of the schema: they need time, or other settings."""
_log = logging.getLogger(__name__)


class Registry:
    """Asks the registry at STREAMS_SCHEMA_REGISTRY_URL. Use it on one event loop, and close it."""

    def __init__(self, settings: Settings) -> None:
        """Raises ConfigurationError where the client does not take the settings."""
        from confluent_kafka.schema_registry import AsyncSchemaRegistryClient

        properties: dict[str, Any] = {
            "url": settings.schema_registry_url,
            "timeout": settings.schema_registry_seconds,
            "max.retries": 0,
            **settings.schema_registry_properties,
        }
        try:
            self._client = AsyncSchemaRegistryClient(properties)
        except (ValueError, TypeError, OSError) as error:  # OSError: a certificate that cannot be read
            raise ConfigurationError(
                f"Bad settings of the schema registry (STREAMS_SCHEMA_REGISTRY_*): {error}"
            ) from error

    async def fetch(self, schema_id: int) -> Schema | NoSchema:
        """The schema with this id. Raises RegistryUnavailable."""
        if not 0 < schema_id <= MAX_ID:
            return NoSchema("no schema has such an id; the value only begins as one in the wire format does")
        try:
            return await self._fetch(schema_id)
        except _Missing as missing:
            return NoSchema(str(missing))

    async def close(self) -> None:
        await self._client.aclose()

    async def _fetch(self, schema_id: int) -> Schema | NoSchema:
        what = "the registry has no such schema"
        found = await self._ask(what, self._client.get_schema(schema_id))
        kind = found.schema_type or SchemaKind.AVRO
        if kind == SchemaKind.JSON:
            return Schema(SchemaKind.JSON)
        if kind == SchemaKind.AVRO:
            parts = _Parts()
            await self._add_avro(parts, "", found.schema_str, found.references or ())
            return Schema(SchemaKind.AVRO, parts.done())
        if kind == SchemaKind.PROTOBUF:
            parts = _Parts()
            found = await self._ask(what, self._client.get_schema(schema_id, fmt="serialized"))
            await self._add_protobuf(parts, "", found.schema_str, found.references or ())
            return Schema(SchemaKind.PROTOBUF, parts.done())
        return NoSchema(f"schemas of the type {kind} cannot be used")

    async def _add_avro(self, parts: _Parts, name: str, text: str, references: Sequence[SchemaReference]) -> None:
        parts.begin(name)
        for reference in references:
            if parts.is_new(reference.name or ""):
                referred = await self._referred(reference, None)
                await self._add_avro(parts, reference.name or "", referred.schema_str, referred.references or ())
        parts.add(name, text.encode())

    async def _add_protobuf(self, parts: _Parts, name: str, text: str, references: Sequence[SchemaReference]) -> None:
        from google.protobuf.descriptor_pb2 import FileDescriptorProto
        from google.protobuf.message import DecodeError

        parts.begin(name)
        try:
            file = FileDescriptorProto.FromString(base64.b64decode(text, validate=True))
        except (ValueError, DecodeError) as error:
            raise _Missing("the registry did not give the Protobuf schema as a file descriptor") from error
        by_name = {reference.name: reference for reference in references}
        for needed in file.dependency:
            if not parts.is_new(needed):
                continue
            if needed in by_name:
                referred = await self._referred(by_name[needed], "serialized")
                await self._add_protobuf(parts, needed, referred.schema_str, referred.references or ())
            else:
                _add_known(parts, needed)
        file.name = name or file.name or "value.proto"
        parts.add(name, file.SerializeToString())

    async def _referred(self, reference: SchemaReference, form: str | None) -> Any:
        what = (
            f'the registry does not have version {reference.version} of "{reference.subject}", which the schema needs'
        )
        found = await self._ask(
            what,
            self._client.get_version(reference.subject or "", reference.version or 0, deleted=True, fmt=form),
        )
        return found.schema

    async def _ask(self, what: str, question: Any) -> Any:
        """The client's answer. Raises _Missing, which says `what`, or RegistryUnavailable."""
        from confluent_kafka.schema_registry.error import SchemaRegistryError

        try:
            answer = await question
        except SchemaRegistryError as error:
            if error.error_code in _NOT_FOUND:
                raise _Missing(what) from error
            if error.http_status_code >= 500 or error.http_status_code in _TRANSIENT or error.http_status_code < 400:
                raise RegistryUnavailable(f"The schema registry answers {_said(error)}") from error
            raise _Missing(f"{what}: it answers {_said(error)}") from error
        except Exception as error:  # of HTTP libraries, and of answers that are no JSON
            raise RegistryUnavailable(f"The schema registry does not answer: {_named(error)}") from error
        finally:
            await self._forget()
        return answer

    async def _forget(self) -> None:
        """Empty the client's caches: they have no bound, and do not tell formats apart (confluent-kafka 2.16.0)."""
        await self._client.clear_caches()  # type: ignore[no-untyped-call]  # the package has no types here


class _Missing(Exception):
    """The registry does not have what is asked for."""


class _Parts:
    """What a schema consists of, gathered from the leaves on, each part once, within bounds."""

    def __init__(self) -> None:
        self._begun: set[str] = set()
        self._parts: list[bytes] = []
        self._bytes = 0

    def is_new(self, name: str) -> bool:
        return name not in self._begun

    def begin(self, name: str) -> None:
        """Raises _Missing where there are too many."""
        self._begun.add(name)
        if len(self._begun) > MAX_PARTS:
            raise _Missing(f"the schema refers to more than {MAX_PARTS} others")

    def add(self, _name: str, part: bytes) -> None:
        """All that it needs is there. Raises _Missing where it is too much."""
        self._parts.append(part)
        self._bytes += len(part)
        if self._bytes > MAX_SCHEMA_BYTES:
            raise _Missing(f"the schema has more than {MAX_SCHEMA_BYTES:,} bytes with all that it refers to")

    def done(self) -> tuple[bytes, ...]:
        return tuple(self._parts)


def _add_known(parts: _Parts, name: str) -> None:
    """A file that comes with Protobuf, googleapis or Confluent's client, and what it imports. Raises _Missing."""
    module = name.removesuffix(".proto").replace("/", ".") + "_pb2"
    if name.startswith("confluent/"):
        module = f"confluent_kafka.schema_registry.{module}"
    if not name.startswith(("google/protobuf/", "google/type/", "confluent/")):
        raise _Missing(f'the schema imports "{name}", which is none of its references')
    try:
        file = importlib.import_module(module).DESCRIPTOR
    except ImportError as error:
        raise _Missing(f'the schema imports "{name}", which is not known') from error
    _add_file(parts, file)


def _add_file(parts: _Parts, file: Any) -> None:
    parts.begin(file.name)
    for needed in file.dependencies:
        if parts.is_new(needed.name):
            _add_file(parts, needed)
    parts.add(file.name, file.serialized_pb)


def _said(error: Any) -> str:
    return f"{error.http_status_code}: {str(error.error_message)[:200]}"


def _named(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
