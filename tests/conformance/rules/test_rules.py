"""Every rule of the Buffer API, request by request, on the real stack. The tables beside this module hold the cases."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from . import conditions, conventions, endpoints, errors, identifiers, limits, schemas, tables, tasks
from .case import Ask, Case, Stage
from .conftest import finished

SECTIONS = (conventions, endpoints, schemas, identifiers, conditions, limits, tasks, errors, tables)
CASES = [
    pytest.param(case, id=f"{module.__name__.rpartition('.')[2]}: {case.id}")
    for module in SECTIONS
    for case in module.CASES
]


@pytest.mark.parametrize("case", CASES)
def test_api_keeps_the_rule(stage: Stage, case: Case) -> None:
    if case.given is not None:
        case.given(stage.storage, stage.values["name"])

    for ask in case.asks:
        _play(stage, ask)

    if case.then is not None:
        case.then(stage.storage, stage.values["name"])


def _play(stage: Stage, ask: Ask) -> None:
    answer = stage.client.send(_request(stage, ask))
    assert (ask.method, ask.path, answer.status_code, answer.text[:2000]) == (
        *(ask.method, ask.path, ask.status),
        answer.text[:2000],
    )
    if isinstance(ask.answer, str):
        assert answer.text == stage.fill(ask.answer)
    elif ask.answer is not None:
        assert answer.json() == stage.fill(ask.answer)
    for name, value in ask.answer_headers.items():
        assert (name, answer.headers.get(name)) == (name, stage.fill(value))
    if ask.task is not None:
        task = finished(stage.client, answer)
        stage.values.update(task=task["id"], rest=task["id"].partition("/")[2])
        assert {field: task.get(field) for field in ask.task} == stage.fill(ask.task), task


def _request(stage: Stage, ask: Ask) -> httpx.Request:
    headers: dict[str, Any] = {}
    if isinstance(ask.body, bytes):
        content: bytes | None = ask.body
    else:
        content = None if ask.body is None else json.dumps(stage.fill(ask.body)).encode()
    if content is not None:
        headers["Content-Type"] = "application/json"
    request = stage.client.build_request(
        ask.method, stage.fill(ask.path), content=content, headers={**headers, **stage.fill(ask.headers)}
    )
    if not ask.token:
        del request.headers["X-StorageApi-Token"]
    return request
