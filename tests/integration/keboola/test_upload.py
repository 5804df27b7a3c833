"""Uploads to the local S3: what lands, and what each failure becomes."""

from __future__ import annotations

import dataclasses

import httpx
import pytest

from app.keboola.client import StorageClient
from app.keboola.errors import StorageAccessDenied, StorageNotFound, StorageRefused, StorageUnavailable
from app.keboola.upload import Uploader
from app.local.ports import free_port
from app.local.storage import Emulator


def stored(emulator: Emulator, key: str) -> httpx.Response:
    return httpx.get(f"{emulator.s3_url}/kbc-local-files/{key}?Signature=any", trust_env=False)


def test_slice_and_manifest_are_at_the_files_key(emulator: Emulator, client: StorageClient, uploader: Uploader) -> None:
    prepared = client.prepare_file("clicks")
    key = prepared.params["key"]

    uploader.upload_slice(prepared, "0001-ab.gz", b"bytes")
    uploader.upload_manifest(prepared, ["0001-ab.gz"])

    piece = stored(emulator, f"{key}0001-ab.gz")
    assert piece.content == b"bytes"
    assert piece.headers["x-amz-server-side-encryption"] == "AES256"
    assert stored(emulator, f"{key}manifest").json() == {"entries": [{"url": f"s3://kbc-local-files/{key}0001-ab.gz"}]}


def test_slice_is_read_back_as_it_was_uploaded(client: StorageClient, uploader: Uploader) -> None:
    prepared = client.prepare_file("clicks")
    uploader.upload_slice(prepared, "1.gz", b"\x1f\x8b bytes")

    assert uploader.download_slice(prepared, "1.gz") == b"\x1f\x8b bytes"
    with pytest.raises(StorageNotFound):
        uploader.download_slice(prepared, "2.gz")


def test_endpoint_of_the_environment_is_used(
    emulator: Emulator, client: StorageClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", emulator.s3_url)
    prepared = client.prepare_file("clicks")
    uploader = Uploader()

    uploader.upload_slice(prepared, "1", b"x")

    uploader.close()
    assert stored(emulator, f"{prepared.params['key']}1").content == b"x"


def test_passing_failure_is_repeated_within_the_upload(
    emulator: Emulator, client: StorageClient, uploader: Uploader
) -> None:
    prepared = client.prepare_file("clicks")
    emulator.fault("status", method="PUT", path="^/kbc-local-files/", status=500)
    emulator.fault("status_after", method="PUT", path="^/kbc-local-files/", status=500)

    uploader.upload_slice(prepared, "1", b"x")

    assert [rule["used"] for rule in emulator.faults()] == [1, 1]
    assert stored(emulator, f"{prepared.params['key']}1").content == b"x"


def test_lasting_failure_is_unavailable(emulator: Emulator, client: StorageClient, uploader: Uploader) -> None:
    prepared = client.prepare_file("clicks")
    emulator.fault("status", method="PUT", path="^/kbc-local-files/", status=503, times=None)

    with pytest.raises(StorageUnavailable):
        uploader.upload_slice(prepared, "1", b"x")

    assert stored(emulator, f"{prepared.params['key']}1").status_code == 404


def test_dead_credentials_are_refused(emulator: Emulator, client: StorageClient, uploader: Uploader) -> None:
    prepared = client.prepare_file("clicks")
    emulator.fault("status", method="PUT", path="^/kbc-local-files/", status=403)

    with pytest.raises(StorageAccessDenied):
        uploader.upload_slice(prepared, "1", b"x")


def test_s3_out_of_reach_is_unavailable(client: StorageClient) -> None:
    prepared = client.prepare_file("clicks")
    uploader = Uploader(s3_endpoint_url=f"http://127.0.0.1:{free_port()}")

    with pytest.raises(StorageUnavailable):
        uploader.upload_slice(prepared, "1", b"x")

    uploader.close()


def test_other_cloud_is_refused_by_name(client: StorageClient, uploader: Uploader) -> None:
    prepared = dataclasses.replace(client.prepare_file("clicks"), provider="oracle")

    with pytest.raises(StorageRefused, match=r"'oracle'.*aws, azure, gcp only"):
        uploader.upload_slice(prepared, "1", b"x")


def test_more_files_than_kept_connections(
    emulator: Emulator, client: StorageClient, uploader: Uploader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.keboola.upload.MAX_OPEN_FILES", 2)
    files = [client.prepare_file(f"f{number}") for number in range(4)]

    for prepared in [*files, *files]:
        uploader.upload_slice(prepared, "1", str(prepared.id).encode())

    assert len(uploader._targets) == 2
    assert [stored(emulator, f"{file.params['key']}1").text for file in files] == [str(file.id) for file in files]
