"""Asking a registry over HTTP: what says that there is no such schema, and what says nothing of it."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Iterator

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from schema_registry import SchemaRegistry, Trouble, running_registry

from app.kafka import registry as module
from app.kafka.registry import Registry
from app.model.errors import ConfigurationError, RegistryUnavailable
from app.model.schema import MAX_ID, NoSchema, Schema, SchemaKind
from app.settings import Settings


@pytest.fixture
def registry() -> Iterator[SchemaRegistry]:
    with running_registry("a:b") as registry:
        yield registry


def settings(url: str, user_info: str = "a:b") -> Settings:
    properties = {"basic.auth.user.info": user_info}
    return Settings(_env_file=None, schema_registry_url=url, schema_registry_properties=properties)  # type: ignore[call-arg]  # pydantic-settings' own argument


@pytest.fixture
async def asking(registry: SchemaRegistry) -> AsyncIterator[Registry]:
    asking = Registry(settings(registry.url))
    yield asking
    await asking.close()


def protobuf(*imports: str) -> dict[str, str]:
    file = FileDescriptorProto(name="a.proto", syntax="proto3", dependency=imports)
    return {"schemaType": "PROTOBUF", "schema": base64.b64encode(file.SerializeToString()).decode()}


async def test_id_that_the_registry_does_not_know_is_no_schema(asking: Registry) -> None:
    assert await asking.fetch(7) == NoSchema("the registry has no such schema")


@pytest.mark.parametrize("schema_id", [0, MAX_ID + 1])
async def test_number_that_is_no_id_is_not_asked_for(
    asking: Registry, registry: SchemaRegistry, schema_id: int
) -> None:
    assert isinstance(await asking.fetch(schema_id), NoSchema)
    assert registry.asked == []


@pytest.mark.parametrize("trouble", [Trouble.REFUSES, Trouble.FAILS, Trouble.FORBIDS])
async def test_trouble_says_nothing_of_the_schema(asking: Registry, registry: SchemaRegistry, trouble: Trouble) -> None:
    registry.trouble = trouble

    with pytest.raises(RegistryUnavailable):
        await asking.fetch(7)


@pytest.mark.parametrize(("path", "user_info"), [("", "a:wrong"), ("/elsewhere", "a:b")])
async def test_wrong_password_and_wrong_address_say_nothing_of_the_schema(
    registry: SchemaRegistry, path: str, user_info: str
) -> None:
    asking = Registry(settings(registry.url + path, user_info))

    with pytest.raises(RegistryUnavailable):
        await asking.fetch(7)

    await asking.close()


async def test_protobuf_comes_with_what_it_imports_each_before_who_needs_it(
    asking: Registry, registry: SchemaRegistry
) -> None:
    number = registry.register("a", protobuf("google/protobuf/type.proto"))

    found = await asking.fetch(number)

    assert isinstance(found, Schema)
    names = [FileDescriptorProto.FromString(part).name for part in found.parts]
    assert names == [
        "google/protobuf/any.proto",
        "google/protobuf/source_context.proto",
        "google/protobuf/type.proto",
        "a.proto",
    ]


async def test_import_that_nobody_has_is_named(asking: Registry, registry: SchemaRegistry) -> None:
    number = registry.register("a", protobuf("shop/order.proto"))

    assert await asking.fetch(number) == NoSchema(
        'the schema imports "shop/order.proto", which is none of its references'
    )


async def test_reference_that_is_not_there_is_named(asking: Registry, registry: SchemaRegistry) -> None:
    reference = {"name": "b", "subject": "b", "version": 3}
    number = registry.register("a", {"schema": json.dumps("long"), "references": [reference]})

    assert await asking.fetch(number) == NoSchema('the registry does not have version 3 of "b", which the schema needs')


async def test_schema_that_is_too_large_is_not_taken(
    asking: Registry, registry: SchemaRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_SCHEMA_BYTES", 5)
    number = registry.register("a", {"schema": json.dumps("string")})

    assert isinstance(await asking.fetch(number), NoSchema)


async def test_json_needs_nothing_but_its_kind(asking: Registry, registry: SchemaRegistry) -> None:
    number = registry.register("a", {"schemaType": "JSON", "schema": "{}"})

    assert await asking.fetch(number) == Schema(SchemaKind.JSON)


def test_bad_address_is_told_at_start() -> None:
    with pytest.raises(ConfigurationError, match="STREAMS_SCHEMA_REGISTRY"):
        Registry(settings("ftp://here"))
