"""What a stopped, killed or restarted emulator keeps: everything it answered for."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from isal import igzip

from app.keboola.answers import JobStatus, PreparedFile
from app.keboola.client import StorageClient
from app.keboola.upload import Uploader
from app.local.storage import Emulator, running

COLUMNS = ["id", "text"]


def uploaded(emulator: Emulator, client: StorageClient, row: bytes) -> PreparedFile:
    uploader = Uploader(s3_endpoint_url=emulator.s3_url)
    prepared = client.prepare_file("rows", ["kept"])
    uploader.upload_slice(prepared, "1.gz", igzip.compress(row))
    uploader.upload_manifest(prepared, ["1.gz"])
    uploader.close()
    return prepared


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_everything_answered_for_is_there_after_a_restart(tmp_path: Path, how: str) -> None:
    with running(tmp_path) as emulator, StorageClient(emulator.url, emulator.master_token) as client:
        client.create_bucket("in", "kept")
        table = client.create_table("in.c-kept", "events", COLUMNS, ["id"])
        token = client.create_token("kept", {"in.c-kept": "write"})
        loaded = uploaded(emulator, client, b'"1","a"\n')
        first = client.wait_job(client.import_file(table.id, loaded.id, columns=COLUMNS, incremental=True).id)
        waiting_file = uploaded(emulator, client, b'"2","b"\n')
        emulator.fault("job_delay", path="import-async$", seconds=600)
        delayed = client.import_file(table.id, waiting_file.id, columns=COLUMNS, incremental=True)
        behind = client.import_file(table.id, waiting_file.id, columns=COLUMNS, incremental=True)
        before = client.table_detail(table.id)
        exit_code = emulator.stop() if how == "stop" else emulator.kill()

    with running(tmp_path) as emulator, StorageClient(emulator.url, token.token) as client:
        assert client.table_detail(table.id) == before
        assert emulator.sql('select * from "in.c-kept".events') == [("1", "a")]
        assert client.verify_token().bucket_permissions == {"in.c-kept": "write"}
        assert client.file_detail(loaded.id).tags == ("kept",)
        piece = f"{emulator.s3_url}/kbc-local-files/{loaded.params['key']}1.gz?Signature=any"
        assert igzip.decompress(httpx.get(piece, trust_env=False, timeout=30).content) == b'"1","a"\n'

        with StorageClient(emulator.url, emulator.master_token) as master:
            assert master.job(first.id) == first
            assert master.job(delayed.id).status in (JobStatus.WAITING, JobStatus.PROCESSING)
            assert master.job(behind.id).status is JobStatus.WAITING
            again = uploaded(emulator, master, b'"3","c"\n')
            assert again.id > waiting_file.id
            other = master.create_table("in.c-kept", "other", COLUMNS)
            job = master.import_file(other.id, waiting_file.id, columns=COLUMNS, incremental=True)
            assert master.wait_job(job.id).rows_count == 1

    assert how == "kill" or exit_code == 0


def test_job_waiting_at_a_stop_is_done_after_the_start(tmp_path: Path) -> None:
    with running(tmp_path) as emulator, StorageClient(emulator.url, emulator.master_token) as client:
        client.create_bucket("in", "kept")
        table = client.create_table("in.c-kept", "events", COLUMNS)
        prepared = uploaded(emulator, client, b'"1","a"\n')
        emulator.fault("job_delay", path="import-async$", seconds=2)
        first = client.import_file(table.id, prepared.id, columns=COLUMNS, incremental=True)
        second = client.import_file(table.id, prepared.id, columns=COLUMNS, incremental=True)
        emulator.kill()

    with running(tmp_path) as emulator, StorageClient(emulator.url, emulator.master_token) as client:
        ended = [client.wait_job(job.id) for job in (first, second)]

        assert [job.rows_count for job in ended] == [1, 2]
        assert emulator.sql('select * from "in.c-kept".events') == [("1", "a"), ("1", "a")]


def test_second_emulator_on_the_same_data_is_told_why_not(tmp_path: Path) -> None:
    with (
        running(tmp_path),
        pytest.raises(RuntimeError, match="stop the emulator that uses them"),
        running(tmp_path),
    ):
        raise AssertionError("two emulators share one data directory")


def test_port_in_use_is_named_with_what_to_do(tmp_path: Path) -> None:
    with running(tmp_path / "first") as emulator:
        port = int(emulator.url.rsplit(":", 1)[1])

        with (
            pytest.raises(RuntimeError, match=rf"127\.0\.0\.1:{port}.*STREAMS_STORAGE_PORT"),
            running(tmp_path / "second", port=port),
        ):
            raise AssertionError("two emulators share one port")
