"""POST /v1/import/...?validate=1 over HTTP on a real gateway: exact answers, and nothing in the topic."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from gateway_process import GatewayProcess, Target, running, wait_for

VALIDATE = "?validate=1"
JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
LINES = {"Content-Type": "application/x-ndjson"}
TEXT = {"Content-Type": "text/plain"}
FOREVER = "local f(n) = if n == 0 then 'x' else f(n - 1) + f(n - 1); f(60)"
PREFIX = 'Failed to format record for export "export-1":'
LIMIT = 1024 * 1024

Validate = Callable[..., httpx.Response]


@pytest.fixture(scope="module")
def shared(gateway: GatewayProcess) -> Iterator[Target]:
    """One receiver for all that store nothing; each test gives it exports of its own."""
    made = gateway.add_receiver(f"v{uuid.uuid4().hex[:12]}")
    yield made
    assert gateway.bodies(made) == []


@pytest.fixture
def validate(gateway: GatewayProcess, shared: Target) -> Validate:
    """validate(exports, body, headers): make these the receiver's only exports (columns' templates by name), ask."""

    def ask(exports: dict[str, dict[str, str]], body: bytes, headers: dict[str, str] = JSON) -> httpx.Response:
        gateway.set_exports(shared, exports)
        with gateway.client() as client:
            answer = client.post(shared.path + VALIDATE, content=body, headers=headers)
        assert answer.headers["access-control-allow-origin"] == "*"
        assert len(answer.headers["x-request-id"]) == 15
        return answer

    return ask


def error_of(answer: httpx.Response) -> tuple[Any, ...]:
    """Status, name and message of the envelope."""
    found = answer.json()
    assert found["statusCode"] == answer.status_code
    return answer.status_code, found["error"], found["message"]


@pytest.mark.parametrize(
    ("templates", "body", "headers"),
    [
        ({"x": "Body('col1') + ':' + Header('X-A')"}, b'{"col1": "val1"}', {**JSON, "x-a": "1"}),
        ({"x": "Body('col1')"}, b"col1=val1", FORM),
        ({"x": "Body('col1')"}, b'{"col1": 1}', {"Content-Type": "application/json; charset=utf-8"}),
        ({"x": "Body('col1', 0)"}, b"[1, {}]", JSON),
        ({"x": "Body('col1', 0)"}, b'1\n{"col1": 2}\n', LINES),
        ({"x": "BodyStr()"}, b"\x00 not JSON \xff", TEXT),
        ({}, b"", TEXT),
        ({"x": "Body('col1')"}, b"[]", JSON),
    ],
    ids=["object", "form", "charset", "array", "lines", "raw", "no template", "no event"],
)
def test_events_that_fit_are_200_with_an_empty_body(
    validate: Validate, templates: dict[str, str], body: bytes, headers: dict[str, str]
) -> None:
    answer = validate({"export-1": templates}, body, headers)

    assert (answer.status_code, answer.content) == (200, b"")
    assert "content-type" not in answer.headers


def test_nothing_is_stored_whatever_the_answer(gateway: GatewayProcess, target: Target) -> None:
    gateway.set_exports(target, {"export-1": {"x": "Body('a')"}})
    with gateway.client() as client:
        validated = [client.post(target.path + VALIDATE, content=body) for body in (b'{"a":1}', b"{}", b"[{},{}]")]
        assert client.post(target.path, content=b"stored").status_code == 200

    assert [answer.status_code for answer in validated] == [200, 400, 400]
    assert gateway.bodies(target) == [b"stored"]


def test_receiver_without_exports_fits_everything(validate: Validate) -> None:
    assert validate({}, b"anything", TEXT).status_code == 200


@pytest.mark.parametrize(
    ("templates", "body", "headers", "status", "name", "message"),
    [
        (
            {"x": "Body('col1')"},
            b'{"col2": 1}',
            JSON,
            400,
            "buffer.badRequest",
            f'{PREFIX}\n- path "col1" not found in the body.',
        ),
        (
            {"x": "Body('col1')", "ok": "Ip()", "y": "Header('x-header-3')", "z": "error 'no ' + Body('col2')"},
            b'{"col2": "use"}',
            JSON,
            400,
            "buffer.badRequest",
            f'{PREFIX}\n- path "col1" not found in the body.\n- header "X-Header-3" not found.\n- no use.',
        ),
        (
            {"x": "Body('col1', 1)"},
            b"col1",
            TEXT,
            415,
            "buffer.unsupportedMediaType",
            'Unsupported content type "text/plain", '
            "supported types: application/json and application/x-www-form-urlencoded.",
        ),
        (
            {"x": "Header('X-No')", "y": "Body('col1', 1)"},
            b'{"col1": ',
            JSON,
            400,
            "buffer.badRequest",
            "Invalid JSON: unexpected end of data: line 1 column 10 (char 9)",
        ),
        ({"x": "Body()"}, b"", JSON, 400, "buffer.badRequest", "Invalid JSON: the body is empty."),
        (
            {"x": "Body()"},
            b"a=1;b=2",
            FORM,
            400,
            "buffer.badRequest",
            'Invalid form data: ";" does not separate fields, "&" does.',
        ),
        (
            {"x": "std.repeat('x', 600000)", "y": "std.repeat('y', 600000)"},
            b"{}",
            JSON,
            413,
            "buffer.payloadTooLarge",
            "Size of the mapped csv row exceeded the limit of 1MB.",
        ),
        (
            {"x": "Body('n')"},
            b'[{"n": 1}, {"m": 2}]',
            JSON,
            400,
            "buffer.badRequest",
            'Event at index 1: Failed to format record for export "export-1":\n- path "n" not found in the body.',
        ),
        (
            {"x": "Body('n')"},
            b'{"n": 1}\n{"n":\n{"m": 1}\n',
            LINES,
            400,
            "buffer.multipleErrors",
            "- Event at index 1: Invalid JSON: unexpected end of data: line 1 column 6 (char 5)\n"
            '- Event at index 2: Failed to format record for export "export-1":\n  - path "n" not found in the body.',
        ),
        (
            {"x": FOREVER, "y": "1"},
            b"{}",
            JSON,
            400,
            "buffer.badRequest",
            f'{PREFIX}\n- column "x": The template did not come to an end for this event within 1 s of computing.',
        ),
    ],
    ids=["path", "columns", "type", "JSON", "empty", "form", "row", "array", "lines", "endless"],
)
def test_event_that_does_not_fit_is_answered_like_the_reference(
    validate: Validate,
    templates: dict[str, str],
    body: bytes,
    headers: dict[str, str],
    status: int,
    name: str,
    message: str,
) -> None:
    answer = validate({"export-1": templates}, body, headers)

    assert error_of(answer) == (status, name, message)


def test_several_exports_that_fail_are_listed(validate: Validate) -> None:
    exports = {"export-1": {"x": "Body('a')"}, "export-2": {"x": "1"}, "export-3": {"x": "Body('b')"}}

    answer = validate(exports, b"{}")

    assert error_of(answer) == (
        400,
        "buffer.multipleErrors",
        f'- {PREFIX}\n  - path "a" not found in the body.\n'
        '- Failed to format record for export "export-3":\n  - path "b" not found in the body.',
    )


def test_limits_of_body_and_events(validate: Validate) -> None:
    exports = {"export-1": {"x": "std.length(BodyStr())"}}
    assert validate(exports, b"x" * LIMIT, TEXT).status_code == 200

    large, many = validate(exports, b"x" * (LIMIT + 1), TEXT), validate(exports, b"[" + b"1," * 100 + b"1]")

    assert error_of(large) == (413, "buffer.payloadTooLarge", "Payload too large, the maximum size is 1MB.")
    assert error_of(many) == (
        413,
        "buffer.payloadTooLarge",
        "Too many events to validate, the maximum is 100 in one request; without validate more are accepted.",
    )


def test_other_values_are_refused_and_no_stores(gateway: GatewayProcess, target: Target) -> None:
    with gateway.client() as client:
        other = client.post(target.path + "?validate=yes", content=b"1")
        off = [client.post(f"{target.path}?validate={value}", content=b"2") for value in ("0", "false")]

    assert error_of(other) == (
        400,
        "buffer.invalidEnumValue",
        'Value of query.validate must be one of "1", "true", "0", "false" but got value "yes".',
    )
    assert [answer.status_code for answer in off] == [200, 200]
    assert gateway.bodies(target) == [b"2", b"2"]


def test_unknown_receiver_and_wrong_secret_are_told_as_without_validation(
    gateway: GatewayProcess, target: Target
) -> None:
    for path in (target.path.replace(target.receiver_id, "nobody"), target.path[:-1] + "!", "/v1/import/1/flights"):
        with gateway.client() as client:
            plain, validated = client.post(path, content=b"{}"), client.post(path + VALIDATE, content=b"{}")

        assert plain.status_code == validated.status_code == 404
        assert plain.json() == validated.json()
        assert set(plain.headers) == set(validated.headers)


def test_events_are_taken_while_a_template_does_not_end(gateway: GatewayProcess, target: Target) -> None:
    gateway.set_exports(target, {"export-1": {"x": FOREVER}})
    taken = 0
    with ThreadPoolExecutor(1) as pool, gateway.client() as client:
        validation = pool.submit(httpx.post, gateway.url(target) + VALIDATE, content=b"{}", timeout=60)
        while not validation.done():
            taken += client.post(target.path, content=b"%d" % taken).is_success

    assert validation.result().status_code == 400
    assert taken > 1
    assert len(gateway.bodies(target)) == taken


def test_child_ends_with_the_gateway(kafka: str, topic_prefix: str, tmp_path: Path) -> None:
    with running(GatewayProcess(kafka, topic_prefix, tmp_path / "gateway.log", receiver_partitions=1)) as gateway:
        target = gateway.add_receiver("flights")
        gateway.set_exports(target, {"export-1": {"x": "1"}})
        assert gateway.children == []
        assert httpx.post(gateway.url(target) + VALIDATE, content=b"{}", timeout=60).status_code == 200
        (child,) = gateway.children

        assert gateway.stop() == 0

        wait_for(lambda: not Path(f"/proc/{child}").exists(), "the end of the child")
