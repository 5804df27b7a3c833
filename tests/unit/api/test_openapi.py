"""The OpenAPI document is whole: no route without its errors, its examples, its words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import jsonschema_rs
import pytest
import yaml
from fastapi import FastAPI
from fastapi.routing import APIRoute

from app.api.failures import OPERATIONS
from app.api.openapi import openapi_document
from app.api.openapi_bodies import BODIES
from app.settings import Settings

METHODS = {"get", "post", "patch", "put", "delete"}


@pytest.fixture
def document(api: FastAPI, settings: Settings) -> dict[str, Any]:
    return openapi_document(api, settings)


def operations(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for item in document["paths"].values():
        yield from (operation for method, operation in item.items() if method in METHODS)


def validator(document: dict[str, Any], schema: dict[str, Any]) -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator({**schema, "components": document["components"]})


async def fetch(api: FastAPI, path: str) -> httpx.Response:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(api), base_url="http://test") as client:
        return await client.get(path)


def test_every_route_is_an_operation(api: FastAPI, document: dict[str, Any]) -> None:
    routes = {
        (method.lower(), len(route.path.split("/")), route.path.split("{")[0])
        for route in api.routes
        if isinstance(route, APIRoute) and route.include_in_schema
        for method in route.methods
    }

    documented = {
        (method, len(path.split("/")), path.split("{")[0])
        for path, item in document["paths"].items()
        for method in item
    }

    assert routes - documented == set()


def test_every_operation_has_an_id_of_its_own_and_words(document: dict[str, Any]) -> None:
    found = list(operations(document))

    ids = [operation["operationId"] for operation in found]
    assert len(ids) == len(set(ids))
    assert all(one.isalpha() and one[0].islower() for one in ids)
    assert [one["operationId"] for one in found if not (one.get("summary") and one.get("description"))] == []


def test_every_operation_has_a_line_of_errors_and_every_line_an_operation(document: dict[str, Any]) -> None:
    assert {operation["operationId"] for operation in operations(document)} == set(OPERATIONS)


def test_every_error_has_an_example_that_its_schema_allows(document: dict[str, Any]) -> None:
    wrong = []
    for operation in operations(document):
        for status, response in operation["responses"].items():
            if int(status) < 400:
                continue
            content = response["content"]["application/json"]
            check = validator(document, content["schema"])
            examples = [example["value"] for example in content["examples"].values()]
            if not examples or not all(check.is_valid(one) and one["statusCode"] == int(status) for one in examples):
                wrong.append((operation["operationId"], status))

    assert wrong == []


def test_error_of_another_name_is_outside_the_schema(document: dict[str, Any]) -> None:
    content = document["paths"]["/v1/receivers"]["get"]["responses"]["503"]["content"]["application/json"]
    known = content["examples"]["buffer.kafkaUnavailable"]["value"]

    assert not validator(document, content["schema"]).is_valid({**known, "error": "buffer.overloaded"})


async def test_every_body_has_an_example_that_the_api_takes(api: FastAPI, document: dict[str, Any]) -> None:
    """A body that is right is refused for its token, which is looked at after the body."""
    answers = []
    async with httpx.AsyncClient(transport=httpx.ASGITransport(api), base_url="http://test") as client:
        for path, item in document["paths"].items():
            for method, operation in item.items():
                content = operation.get("requestBody", {}).get("content", {})
                if method not in METHODS or "application/json" not in content or path.startswith("/v1/import/"):
                    continue
                body = content["application/json"]
                check = validator(document, body["schema"])
                for title, example in body["examples"].items():
                    answer = await client.request(method, path, json=example["value"])
                    answers.append((title, check.is_valid(example["value"]), answer.json()["message"]))

    assert len(answers) >= len(BODIES)
    assert {answer[1:] for answer in answers} == {(True, '"X-StorageApi-Token" is missing from header.')}


def test_every_body_that_has_examples_is_an_operations(document: dict[str, Any]) -> None:
    with_body = {one["operationId"] for one in operations(document) if "requestBody" in one}

    assert with_body == {*BODIES, "importEvents", "importEventsByToken"}


def test_every_field_and_parameter_is_described(document: dict[str, Any]) -> None:
    fields = [
        f"{name}.{field}"
        for name, schema in document["components"]["schemas"].items()
        for field, facts in schema["properties"].items()
        if "description" not in facts
    ]
    parameters = [
        f"{operation['operationId']}.{parameter['name']}"
        for operation in operations(document)
        for parameter in operation.get("parameters", ())
        if "description" not in parameter
    ]

    assert (fields, parameters) == ([], [])


def test_paths_have_the_apis_own_names(document: dict[str, Any]) -> None:
    assert "/v1/receivers/{receiverId}/exports/{exportId}" in document["paths"]
    assert "/v1/receivers/{receiverId}/tasks/{taskId}" in document["paths"]
    assert all("_" not in path for path in document["paths"])


def test_all_but_the_open_operations_need_the_token(document: dict[str, Any]) -> None:
    without = {one["operationId"] for one in operations(document) if "security" not in one}

    assert without == {"redirectToIndex", "getIndex", "healthCheck", "ready", "importEvents"}
    assert document["components"]["securitySchemes"]["X-StorageApi-Token"]["in"] == "header"


def test_server_is_the_public_address(document: dict[str, Any]) -> None:
    assert document["servers"] == [{"url": "https://streams.example.com"}]


@pytest.mark.parametrize("name", ["openapi3", "openapi"])
async def test_document_is_served_as_json_and_yaml(api: FastAPI, document: dict[str, Any], name: str) -> None:
    as_json = await fetch(api, f"/v1/documentation/{name}.json")
    as_yaml = await fetch(api, f"/v1/documentation/{name}.yaml")

    assert as_json.headers["Content-Type"] == "application/json"
    assert as_yaml.headers["Content-Type"].startswith("application/yaml")
    assert as_json.json() == yaml.safe_load(as_yaml.text) == document


@pytest.mark.parametrize("path", ["/v1/documentation", "/v1/documentation/"])
async def test_page_loads_what_this_host_has(api: FastAPI, path: str) -> None:
    page = await fetch(api, path)

    assert page.status_code == 200
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "://" not in page.text


async def test_unknown_asset_is_404_in_the_envelope(api: FastAPI) -> None:
    answer = await fetch(api, "/v1/documentation/other.js")

    assert (answer.status_code, answer.json()["error"]) == (404, "buffer.endpointNotFound")


def test_bounds_are_said_in_json_schemas_words(document: dict[str, Any]) -> None:
    last = document["components"]["schemas"]["DryRunPayload"]["properties"]["last"]["anyOf"][0]

    assert (last["minimum"], last["maximum"]) == (1, 100)
    assert not any(f"'{word}': " in str(document) for word in ("ge", "le", "gt", "lt"))
