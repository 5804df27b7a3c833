"""Tokens and what they may do; each refusal with Storage's code."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from app.keboola.client import StorageClient
from app.keboola.upload import Uploader
from app.local.storage import Emulator

COLUMNS = ["id", "text"]


@pytest.fixture
def call(emulator: Emulator) -> Any:
    with httpx.Client(base_url=f"{emulator.url}/v2/storage", trust_env=False) as http:

        def send(token: str, method: str, path: str, **options: Any) -> httpx.Response:
            return http.request(method, path, headers={"X-StorageApi-Token": token}, **options)

        yield send


Call = Callable[..., httpx.Response]


@pytest.mark.parametrize("token", ["", "1234-1-wrong", "1234-77-unknown"])
def test_unknown_token_is_refused_and_never_echoed(call: Call, token: str) -> None:
    answer = call(token, "GET", "/tokens/verify")

    assert answer.status_code == 401
    assert answer.json()["code"] == "storage.tokenInvalid"
    assert answer.json()["exceptionId"]
    assert not token or token not in answer.text


def test_limited_token_verifies_as_itself(call: Call, master: StorageClient, bucket: str) -> None:
    token = master.create_token("mine", {bucket: "write"})

    answer = call(token.token, "GET", "/tokens/verify").json()

    assert (answer["id"], answer["description"], answer["isMasterToken"]) == (token.id, "mine", False)
    assert answer["bucketPermissions"] == {bucket: "write"}
    assert answer["owner"]["id"] == 1234
    assert answer["token"] == token.token


def test_refreshed_token_replaces_the_old_one_at_once(call: Call, master: StorageClient, bucket: str) -> None:
    old = master.create_token("x", {bucket: "read"})

    new = master.refresh_token(old.id)

    assert call(old.token, "GET", "/tokens/verify").status_code == 401
    assert call(new.token, "GET", "/tokens/verify").json()["bucketPermissions"] == {bucket: "read"}


def test_deleted_and_expired_tokens_are_dead(call: Call, master: StorageClient) -> None:
    deleted = master.create_token("x", {})
    expired = master.create_token("x", {}, expires_in_seconds=1)
    master.delete_token(deleted.id)

    def status_of_expired() -> int:
        return call(expired.token, "GET", "/tokens/verify").status_code

    statuses = {status_of_expired()}
    deadline = time.monotonic() + 60
    while 401 not in statuses and time.monotonic() < deadline:
        statuses.add(status_of_expired())

    assert 401 in statuses
    assert call(deleted.token, "GET", "/tokens/verify").status_code == 401


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/buckets", {"name": "more"}),
        ("DELETE", "/buckets/{bucket}", None),
        ("POST", "/buckets/{bucket}/tables-definition", {"name": "t", "columns": [{"name": "a"}]}),
        ("DELETE", "/tables/{bucket}.events", None),
        ("POST", "/tables/{bucket}.events/import-async", {"dataFileId": 1}),
        ("GET", "/tokens", None),
        ("POST", "/tokens", {"description": "x", "canManageBuckets": True}),
        ("DELETE", "/tokens/1", None),
    ],
)
def test_token_that_may_only_read_cannot_change_anything(
    call: Call, master: StorageClient, bucket: str, method: str, path: str, body: Any
) -> None:
    master.create_table(bucket, "events", COLUMNS)
    reader = master.create_token("reader", {bucket: "read"}).token

    answer = call(reader, method, path.format(bucket=bucket), json=body)

    assert (answer.status_code, answer.json()["code"]) == (403, "accessDenied")
    assert call(reader, "GET", f"/tables/{bucket}.events").status_code == 200


def test_token_sees_only_its_buckets(call: Call, master: StorageClient, bucket: str) -> None:
    master.create_table(bucket, "events", COLUMNS)
    stranger = master.create_token("stranger", {}).token
    reader = master.create_token("reader", {bucket: "read"}).token

    assert call(stranger, "GET", f"/buckets/{bucket}").status_code == 403
    assert call(stranger, "GET", f"/tables/{bucket}.events/data-preview").status_code == 403
    assert call(stranger, "GET", "/buckets").json() == []
    assert [item["id"] for item in call(reader, "GET", "/buckets").json()] == [bucket]
    assert [item["id"] for item in call(reader, "GET", "/tables").json()] == [f"{bucket}.events"]


def test_files_of_others_need_the_permission(
    call: Call, master: StorageClient, bucket: str, uploader: Uploader
) -> None:
    table = master.create_table(bucket, "events", COLUMNS)
    prepared = master.prepare_file("mine")
    uploader.upload_manifest(prepared, [])
    blind = master.create_token("blind", {bucket: "write"}, can_read_all_file_uploads=False).token
    seeing = master.create_token("seeing", {bucket: "write"}).token
    load = {"dataFileId": prepared.id, "columns": COLUMNS, "withoutHeaders": 1, "incremental": 1}

    assert call(blind, "GET", f"/files/{prepared.id}").status_code == 403
    assert call(blind, "POST", f"/tables/{table.id}/import-async", json=load).status_code == 403
    assert call(blind, "GET", "/files").json() == []
    assert call(seeing, "GET", f"/files/{prepared.id}").status_code == 200
    assert call(seeing, "POST", f"/tables/{table.id}/import-async", json=load).status_code == 202


def test_token_sees_only_its_own_jobs(call: Call, master: StorageClient, bucket: str) -> None:
    token = master.create_token("writer", {bucket: "write"}).token
    with StorageClient(master._tokens.root_url, token) as writer:
        writer.create_table(bucket, "mine", COLUMNS)
    master.create_table(bucket, "theirs", COLUMNS)

    jobs = call(token, "GET", "/jobs", params={"limit": 100}).json()

    assert [job["operationParams"]["params"]["name"] for job in jobs] == ["mine"]
    theirs = call(master._tokens.token, "GET", "/jobs", params={"limit": 1}).json()[0]["id"]
    assert call(token, "GET", f"/jobs/{theirs}").status_code == 403


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"description": "x", "bucketPermissions": {"in.c-a": "manage"}}, 400, "storage.tokens.invalidPermissions"),
        ({"description": "x" * 256}, 400, "storage.validation"),
        ({"description": "x", "expiresIn": 0}, 400, "storage.validation"),
        ({"description": "x", "bucketPermissions": []}, 201, None),
    ],
)
def test_bounds_of_a_new_token(call: Call, emulator: Emulator, body: Any, status: int, code: str | None) -> None:
    answer = call(emulator.master_token, "POST", "/tokens", json=body)

    assert answer.status_code == status
    assert answer.json().get("code") == code
