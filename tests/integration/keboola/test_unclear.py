"""Answers that are lost, late or refused: which error they become, and that one call is one request."""

from __future__ import annotations

import re
import socket
from typing import Any

import pytest

from app.keboola.answers import JobStatus, PreparedFile
from app.keboola.calls import Timeouts
from app.keboola.client import StorageClient
from app.keboola.errors import StorageRefused, StorageUnavailable, StorageUnclear
from app.keboola.upload import Uploader
from app.local.ports import free_port
from app.local.storage import Emulator

COLUMNS = ["id", "text"]


@pytest.fixture
def table(client: StorageClient, bucket: str) -> str:
    return client.create_table(bucket, "events", COLUMNS).id


@pytest.fixture
def prepared(client: StorageClient, uploader: Uploader) -> PreparedFile:
    """A file of one row, with the run id `run-<file id>` for its import."""
    prepared = client.prepare_file("rows")
    uploader.upload_slice(prepared, "1", b'"1","a"\n')
    uploader.upload_manifest(prepared, ["1"])
    return prepared


def post_import(client: StorageClient, table: str, prepared: PreparedFile) -> None:
    client.import_file(table, prepared.id, columns=COLUMNS, incremental=True, run_id=f"run-{prepared.id}")


@pytest.mark.parametrize(
    "rule",
    [
        {"effect": "status_after", "status": 504},
        {"effect": "status_after", "status": 500},
        {"effect": "status_after", "status": 503},
        {"effect": "status_after", "status": 408},
        {"effect": "reset_after"},
        {"effect": "delay_after", "seconds": 60},
    ],
    ids=lambda rule: str(rule.get("status") or rule["effect"]),
)
def test_import_whose_answer_is_lost_is_unclear_and_its_one_job_is_found(
    emulator: Emulator, client: StorageClient, hasty: StorageClient, table: str, prepared: PreparedFile, rule: Any
) -> None:
    emulator.fault(**rule, method="POST", path="import-async$", times=5)

    with pytest.raises(StorageUnclear):
        post_import(hasty, table, prepared)

    by_run = client.find_jobs(since=prepared.created, run_id=f"run-{prepared.id}")
    by_file = client.find_jobs(since=prepared.created, file_id=prepared.id, table_id=table)
    assert [rule["used"] for rule in emulator.faults()] == [1]
    assert len(by_run) == 1
    assert [job.id for job in by_run] == [job.id for job in by_file]
    assert client.wait_job(by_run[0].id).status is JobStatus.SUCCESS
    assert client.table_detail(table).rows_count == 1


@pytest.mark.parametrize(
    "rule",
    [{"effect": "status", "status": 502}, {"effect": "reset"}, {"effect": "late", "status": 504, "seconds": 600}],
    ids=lambda rule: rule["effect"],
)
def test_import_that_did_not_happen_looks_the_same_and_leaves_no_job(
    emulator: Emulator, client: StorageClient, table: str, prepared: PreparedFile, rule: Any
) -> None:
    emulator.fault(**rule, method="POST", path="import-async$", times=5)

    with pytest.raises(StorageUnclear):
        post_import(client, table, prepared)

    assert [rule["used"] for rule in emulator.faults()] == [1]
    assert client.find_jobs(since=prepared.created, run_id=f"run-{prepared.id}", file_id=prepared.id) == ()


def test_late_import_after_the_file_is_gone_loads_nothing(
    emulator: Emulator, client: StorageClient, table: str, prepared: PreparedFile
) -> None:
    emulator.fault("late", path="import-async$", status=504, seconds=1)
    with pytest.raises(StorageUnclear):
        post_import(client, table, prepared)

    client.delete_file(prepared.id)
    second = client.prepare_file("marker")
    emulator.fault("delay", path="import-async$", seconds=2)
    post_import(client, table, second)

    assert client.find_jobs(since=prepared.created, file_id=prepared.id) == ()
    assert client.table_detail(table).rows_count == 0


@pytest.mark.parametrize("rule", [{"effect": "status", "status": 500}, {"effect": "reset"}], ids=["500", "reset"])
def test_read_that_fails_is_unavailable_and_asked_once(emulator: Emulator, client: StorageClient, rule: Any) -> None:
    emulator.fault(**rule, method="GET", path="tokens/verify$", times=5)

    with pytest.raises(StorageUnavailable):
        client.verify_token()

    assert [rule["used"] for rule in emulator.faults()] == [1]


def test_read_that_takes_too_long_is_unavailable(emulator: Emulator, hasty: StorageClient) -> None:
    emulator.fault("delay", path="tokens/verify$", seconds=60)

    with pytest.raises(StorageUnavailable):
        hasty.verify_token()


@pytest.mark.parametrize("status", [429, 423, 409])
def test_later_please_is_unavailable_with_the_time_to_wait(
    emulator: Emulator, client: StorageClient, table: str, prepared: PreparedFile, status: int
) -> None:
    emulator.fault("status", path="import-async$", status=status, retry_after=7)

    with pytest.raises(StorageUnavailable) as unavailable:
        post_import(client, table, prepared)

    assert unavailable.value.retry_after_seconds == 7


@pytest.mark.parametrize("status", [400, 422, 501])
def test_refusal_is_final(
    emulator: Emulator, client: StorageClient, table: str, prepared: PreparedFile, status: int
) -> None:
    emulator.fault("status", path="import-async$", status=status, code="storage.some", message="not like this")

    with pytest.raises(StorageRefused, match="not like this") as refused:
        post_import(client, table, prepared)

    assert (refused.value.code, refused.value.http_status) == ("storage.some", status)


def test_nobody_listening_is_unavailable_for_writes_too() -> None:
    with StorageClient(f"http://127.0.0.1:{free_port()}", "1-2-x") as client, pytest.raises(StorageUnavailable):
        client.import_file("in.c-a.b", 1, columns=COLUMNS, incremental=True)


def test_server_that_takes_the_call_and_is_silent_is_unclear() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with StorageClient(url, "1-2-x", timeouts=Timeouts(0.5, 0.5)) as client:
            with pytest.raises(StorageUnclear):
                client.import_file("in.c-a.b", 1, columns=COLUMNS, incremental=True)
            with pytest.raises(StorageUnavailable):
                client.verify_token()


def test_waiting_for_a_job_bears_an_outage_and_has_a_deadline(
    emulator: Emulator, client: StorageClient, table: str, prepared: PreparedFile
) -> None:
    emulator.fault("status", path="/jobs/", status=500, times=2)
    emulator.fault("job_delay", path="import-async$", seconds=1)
    job = client.import_file(table, prepared.id, columns=COLUMNS, incremental=True)

    with pytest.raises(StorageUnavailable):
        client.wait_job(job.id, 0)

    assert client.wait_job(job.id, 60).status is JobStatus.SUCCESS
    assert emulator.faults()[0]["used"] == 2


def test_run_id_of_the_environment_is_not_sent(
    emulator: Emulator, table: str, prepared: PreparedFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KBC_RUNID", "of the process")

    with StorageClient(emulator.url, emulator.master_token) as client:
        job = client.import_file(table, prepared.id, columns=COLUMNS, incremental=True)

    assert job.run_id is None


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        ({"effect": "status", "status": 500, "message": "Tired"}, "Storage answered 500: Tired."),
        ({"effect": "status", "status": 503, "message": ""}, "Storage answered 503 without a message."),
        ({"effect": "status", "status": 429}, "Storage answered 429: Injected failure."),
        ({"effect": "delay", "seconds": 600}, "Storage did not answer within 2 s."),
    ],
    ids=["500", "503", "429", "silence"],
)
def test_trouble_is_told_in_one_sentence_without_addresses(
    emulator: Emulator, hasty: StorageClient, rule: Any, reason: str
) -> None:
    emulator.fault(**rule, path="tokens/verify$")

    with pytest.raises(StorageUnavailable) as unavailable:
        hasty.verify_token()

    assert unavailable.value.reason == reason


def test_broken_connection_is_told_in_one_sentence_without_addresses(emulator: Emulator, client: StorageClient) -> None:
    emulator.fault("reset", path="tokens/verify$")

    with pytest.raises(StorageUnavailable) as unavailable:
        client.verify_token()

    assert re.fullmatch(r"The connection to Storage broke before it answered: [A-Za-z ]+\.", unavailable.value.reason)


def test_nobody_listening_is_told_in_one_sentence_without_addresses() -> None:
    with (
        StorageClient(f"http://127.0.0.1:{free_port()}", "1-2-x") as client,
        pytest.raises(StorageUnavailable) as error,
    ):
        client.verify_token()

    assert error.value.reason == "Storage could not be reached: Connection refused."


def test_time_that_storage_asks_for_is_known_of_unclear_answers_too(emulator: Emulator, client: StorageClient) -> None:
    emulator.fault("status_after", method="POST", path="storage/tickets$", status=503, retry_after=7)

    with pytest.raises(StorageUnclear) as unclear:
        client.create_ticket()

    assert unclear.value.retry_after_seconds == 7
    assert unclear.value.message == "Storage answered 503: Injected failure. The call may have been carried out."
