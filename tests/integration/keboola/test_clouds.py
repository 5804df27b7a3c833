"""Sliced files on Azure Blob and Google Cloud Storage: uploads, failures, and the whole way into a table."""

from __future__ import annotations

import re
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import kbcstorage.jobs
import orjson
import pytest
from clouds import Front, azurite, front, google
from kbcstorage.client import Client

from app.keboola.answers import JobStatus, PreparedFile
from app.keboola.client import StorageClient
from app.keboola.errors import StorageAccessDenied, StorageNotFound, StorageRefused, StorageUnavailable
from app.keboola.upload import Uploader
from app.local.ports import free_port
from app.local.storage import Emulator, running
from app.model.cipher import Cipher
from app.model.conditions import Conditions
from app.model.ledger import Attempt, BatchRecord, Phase
from app.model.receiver import Column, ColumnType, Export, Mapping, Revision
from app.settings import Settings
from app.sink.exchange import Exchange

DEADLINE_SECONDS = 60


@dataclass
class Cloud:
    """A Storage whose files are on another cloud than S3. Uploads go through the front."""

    provider: str
    url: str
    storage: Emulator
    client: StorageClient
    front: Front
    uploader: Uploader

    def prepare(self, name: str = "clicks") -> PreparedFile:
        return at(self.client.prepare_file(name), self.url, self.front.url)

    def renew(self, prepared: PreparedFile) -> Callable[[], PreparedFile]:
        return lambda: self.client.refresh_file(prepared.id)


def at(prepared: PreparedFile, url: str, other_url: str) -> PreparedFile:
    """The file as if the cloud were at the other address."""
    text = orjson.dumps(prepared.params).decode().replace(url, other_url)
    return replace(prepared, params=orjson.loads(text))


def opened(provider: str, root: Path) -> Iterator[Cloud]:
    with ExitStack() as stack:
        url = stack.enter_context(azurite() if provider == "azure" else google())
        storage = stack.enter_context(running(root, provider=provider, provider_url=url))
        client = stack.enter_context(StorageClient(storage.url, storage.master_token))
        before = stack.enter_context(front(url))
        uploader = Uploader(gcs_endpoint_url=before.url)
        stack.callback(uploader.close)
        yield Cloud(provider, url, storage, client, before, uploader)


@pytest.fixture(scope="module", params=["gcp", pytest.param("azure", marks=pytest.mark.long)])
def clouds(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    yield from opened(request.param, tmp_path_factory.mktemp("cloud"))


@pytest.fixture
def cloud(clouds: Cloud) -> Cloud:
    clouds.front.clear()
    clouds.storage.clear_faults()
    return clouds


@pytest.fixture
def gcs(cloud: Cloud) -> Cloud:
    if cloud.provider != "gcp":
        pytest.fail("only Google's credentials can be renewed")
    return cloud


only_gcs = pytest.mark.parametrize("clouds", ["gcp"], indirect=True)


def test_manifest_lists_the_slices_by_the_clouds_addresses(cloud: Cloud) -> None:
    prepared = cloud.prepare()
    params = prepared.params
    begins = {
        "azure": f"azure://devstoreaccount1.blob.core.windows.net/{params.get('container')}/{params.get('blobName')}",
        "gcp": f"gs://{params.get('bucket')}/{params.get('key')}",
    }

    cloud.uploader.upload_manifest(prepared, ["1.gz", "2.gz"])

    manifest = orjson.loads(cloud.uploader.download_slice(prepared, "manifest"))
    assert manifest == {"entries": [{"url": f"{begins[cloud.provider]}{name}"} for name in ("1.gz", "2.gz")]}


def test_upload_is_read_back_and_may_be_repeated(cloud: Cloud) -> None:
    prepared = cloud.prepare()
    cloud.uploader.upload_slice(prepared, "1.gz", b"an attempt whose answer was lost")

    cloud.uploader.upload_slice(prepared, "1.gz", b"\x1f\x8b bytes")

    assert cloud.uploader.download_slice(prepared, "1.gz") == b"\x1f\x8b bytes"
    assert cloud.uploader.download_slice(cloud.client.stored_file(prepared.id), "1.gz") == b"\x1f\x8b bytes"


def test_object_that_is_not_there_is_not_found(cloud: Cloud) -> None:
    prepared = cloud.prepare()

    with pytest.raises(StorageNotFound):
        cloud.uploader.download_slice(prepared, "1.gz")


def test_passing_failure_is_repeated_within_the_upload(cloud: Cloud) -> None:
    prepared = cloud.prepare()
    cloud.front.statuses[:] = [503]

    cloud.uploader.upload_slice(prepared, "1", b"x")

    assert cloud.uploader.download_slice(prepared, "1") == b"x"


@pytest.mark.long
def test_lasting_failure_is_unavailable(cloud: Cloud) -> None:
    prepared = cloud.prepare()
    cloud.front.statuses[:] = [503] * 100

    with pytest.raises(StorageUnavailable):
        cloud.uploader.upload_slice(prepared, "1", b"x")

    assert len(cloud.front.statuses) > 90


def test_refusal_is_told_without_secrets(cloud: Cloud) -> None:
    prepared = cloud.prepare()
    cloud.front.statuses[:] = [403]

    with pytest.raises(StorageAccessDenied) as refusal:
        cloud.uploader.upload_slice(prepared, "1", b"x")

    assert refusal.value.http_status == 403
    assert_no_secret(refusal.value)


@pytest.mark.long
def test_cloud_out_of_reach_is_unavailable_and_told_without_secrets(cloud: Cloud) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    prepared = at(cloud.prepare(), cloud.front.url, nowhere)
    uploader = Uploader(gcs_endpoint_url=nowhere)

    with pytest.raises(StorageUnavailable) as trouble:
        uploader.upload_slice(prepared, "1", b"x")

    uploader.close()
    assert_no_secret(trouble.value)


def assert_no_secret(error: BaseException) -> None:
    """Neither in the message nor in a traceback, which shows what the SDK says too."""
    told = "".join(traceback.format_exception(error))
    assert not re.search(r"sig=|sig%3D|ya29\.", told)


async def test_rows_come_into_the_table_and_a_copy_of_the_file_brings_them_again(cloud: Cloud) -> None:
    export = with_table(cloud, "whole")
    exchange = exchange_with(cloud)

    file, run_id = await exchange.open_file(export, 1, "b1")
    parts = [
        await exchange.upload(export, 1, file, f"0000{number}.gz", [b'"%d","a ""b"""\n' % number], 1)
        for number in (1, 2)
    ]
    record = BatchRecord(export.uid, "b1", 1, "in.c-whole.t", True, Phase.CLOSING, 0, run_id, file, slices=tuple(parts))
    await exchange.write_manifest(export, record)
    await import_it(exchange, export, record)
    await import_it(exchange, export, replace(record, file=await exchange.copy(export, record)))

    exchange.close()
    rows = cloud.storage.sql('select id, value, count(*) from "in.c-whole"."t" group by all order by all')
    assert rows == [("1", 'a "b"', 2), ("2", 'a "b"', 2)]


def exchange_with(cloud: Cloud) -> Exchange:
    settings = Settings(  # type: ignore[call-arg]  # the rest has defaults
        _env_file=None, storage_api_host=cloud.storage.url, storage_gcs_endpoint=cloud.front.url, encryption_key=[KEY]
    )
    return Exchange(settings, Cipher([KEY]))


async def import_it(exchange: Exchange, export: Export, record: BatchRecord) -> None:
    job_id = await exchange.post_import(export, record)
    posted = replace(record, attempts=(Attempt(record.file.file_id, 0, job_id),))
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not (job := await exchange.job(export, posted)).is_final:
        assert time.monotonic() < deadline
    assert (job.status, job.error_message) == (JobStatus.SUCCESS, None)


KEY = Cipher.new_key()


def with_table(cloud: Cloud, name: str) -> Export:
    bucket = cloud.client.create_bucket("in", name).id
    cloud.client.create_table(bucket, "t", ["id", "value"])
    columns = (Column("id", ColumnType.ID), Column("value", ColumnType.BODY))
    token = Cipher([KEY]).encrypt(cloud.storage.master_token)
    revision = Revision(1, Mapping(f"{bucket}.t", columns, True), "1", token, 0)
    conditions = Conditions(count=100, size_bytes=1 << 20, time_seconds=60)
    return Export("uid", "r-uid", "1234", "r", "e", "e", conditions, 1, (), (revision,), 0)


def test_kbcstorage_uploads_whole_files_there(cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", cloud.url)
    monkeypatch.setattr(kbcstorage.jobs.time, "sleep", lambda seconds: None)
    source = tmp_path / "first.csv"
    source.write_text('id,text\n1,"a ""quoted"" value"\n', newline="")
    judge: Any = Client(cloud.storage.url, cloud.storage.master_token)

    bucket_id = judge.buckets.create("judged", "in")["id"]
    judge.tables.create(bucket_id, "events", str(source))

    assert cloud.storage.sql('select * from "in.c-judged"."events"') == [("1", 'a "quoted" value')]


def test_file_can_be_deleted(cloud: Cloud) -> None:
    prepared = cloud.prepare()
    cloud.uploader.upload_slice(prepared, "1", b"x")

    cloud.client.delete_file(prepared.id)

    with pytest.raises(StorageNotFound):
        cloud.uploader.download_slice(prepared, "1")


@only_gcs
def test_upload_session_that_google_dropped_is_unavailable_not_refused(gcs: Cloud) -> None:
    prepared = gcs.prepare()
    gcs.front.statuses[:] = [410]

    with pytest.raises(StorageUnavailable):
        gcs.uploader.upload_slice(prepared, "1", b"x")


@only_gcs
def test_credentials_are_renewed_before_they_end(gcs: Cloud) -> None:
    prepared = gcs.prepare()
    old = replace(prepared, created=prepared.created - timedelta(minutes=55))

    gcs.uploader.upload_slice(old, "1", b"x", gcs.renew(old))
    gcs.uploader.upload_slice(old, "2", b"y", gcs.renew(old))

    assert prepared.params["access_token"] not in gcs.front.tokens
    assert len(set(gcs.front.tokens)) == 1
    assert gcs.uploader.download_slice(prepared, "2") == b"y"


@only_gcs
def test_credentials_that_ended_early_are_renewed_once_for_all_uploads(gcs: Cloud) -> None:
    prepared = gcs.prepare()
    gcs.front.ended.add(prepared.params["access_token"])

    with ThreadPoolExecutor(4) as threads:
        list(
            threads.map(
                lambda name: gcs.uploader.upload_slice(prepared, name, b"x", gcs.renew(prepared)), ["1", "2", "3", "4"]
            )
        )

    assert len(set(gcs.front.tokens)) == 2


@only_gcs
def test_credentials_that_storage_no_longer_renews_are_a_refusal(gcs: Cloud) -> None:
    prepared = gcs.prepare()
    gcs.front.ended.add(prepared.params["access_token"])
    gcs.storage.fault("status", method="PUT", path="/refresh$", status=422)

    with pytest.raises(StorageRefused) as refusal:
        gcs.uploader.upload_slice(prepared, "1", b"x", gcs.renew(prepared))

    assert refusal.value.http_status == 422


@only_gcs
def test_ended_credentials_are_denied_where_nobody_can_renew_them(gcs: Cloud) -> None:
    prepared = gcs.prepare()
    gcs.front.ended.add(prepared.params["access_token"])

    with pytest.raises(StorageAccessDenied) as refusal:
        gcs.uploader.upload_slice(prepared, "1", b"x")

    assert refusal.value.http_status == 401
    assert_no_secret(refusal.value)


@only_gcs
async def test_sink_renews_credentials_for_slices_manifests_and_copies_also_after_a_restart(gcs: Cloud) -> None:
    export = with_table(gcs, "renewed")
    exchanges = [exchange_with(gcs) for _ in range(3)]  # each remembers nothing of the others' renewals
    file, run_id = await exchanges[0].open_file(export, 1, "b1")
    gcs.front.ended.add(orjson.loads(Cipher([KEY]).decrypt(file.upload))["params"]["access_token"])

    part = await exchanges[0].upload(export, 1, file, "00001.gz", [b'"1","a"\n'], 1)
    record = BatchRecord(export.uid, "b1", 1, "in.c-renewed.t", True, Phase.CLOSING, 0, run_id, file, slices=(part,))
    await exchanges[1].write_manifest(export, record)
    copy = await exchanges[2].copy(export, record)
    await import_it(exchanges[0], export, record)
    await import_it(exchanges[0], export, replace(record, file=copy))

    for exchange in exchanges:
        exchange.close()
    assert gcs.storage.sql('select id, value from "in.c-renewed"."t"') == [("1", "a")] * 2
