"""The judge of the emulator: the unmodified kbcstorage client."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import kbcstorage.jobs
import pytest
from kbcstorage.client import Client

from app.keboola.client import StorageClient
from app.keboola.upload import Uploader
from app.local.storage import Emulator


@pytest.fixture
def client(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", emulator.s3_url)
    monkeypatch.setattr(kbcstorage.jobs.time, "sleep", lambda seconds: None)
    return Client(emulator.url, emulator.master_token)


def test_kbcstorage_creates_loads_previews_and_deletes_a_table(client: Any, tmp_path: Path) -> None:
    first = tmp_path / "first.csv"
    first.write_text('id,text\n1,"a ""quoted"" value"\n2,"two\nlines"\n', newline="")
    second = tmp_path / "second.csv"
    second.write_text("id,text\r\n2,changed\r\n3,\r\n", newline="")

    bucket_id = client.buckets.create("judged", "in")["id"]
    table_id = client.tables.create(bucket_id, "events", str(first), primary_key=["id"])
    results = client.tables.load(table_id, str(second), is_incremental=True)
    preview = client.tables.preview(table_id, where_column="id", where_values=["2", "3"])
    detail = client.tables.detail(table_id)
    client.tables.delete(table_id)
    tables_left = client.buckets.list_tables(bucket_id)
    client.buckets.delete(bucket_id)
    buckets_left = [bucket["id"] for bucket in client.buckets.list()]

    assert (bucket_id, table_id) == ("in.c-judged", "in.c-judged.events")
    assert (results["importedColumns"], results["totalRowsCount"]) == (["id", "text"], 3)
    lines = preview.splitlines()
    assert (lines[0], sorted(lines[1:])) == ('"id","text"', ['"2","changed"', '"3",""'])
    assert (detail["columns"], detail["primaryKey"], detail["rowsCount"]) == (["id", "text"], ["id"], 3)
    assert tables_left == []
    assert bucket_id not in buckets_left


def test_kbcstorage_downloads_what_it_uploaded_and_deletes_it(client: Any, tmp_path: Path) -> None:
    source = tmp_path / "up.csv"
    source.write_bytes(b"a,b\n1,2\n")

    file_id = client.files.upload_file(str(source), tags=["one", "two", "one"])
    target = client.files.download(file_id, str(tmp_path / "down"))
    listed = [file["id"] for file in client.files.list(tags=["two"], limit=10)]
    detail = client.files.detail(file_id)
    client.files.delete(file_id)

    assert Path(target).read_bytes() == b"a,b\n1,2\n"
    assert file_id in listed
    assert detail["tags"] == ["one", "two"]
    assert file_id not in [file["id"] for file in client.files.list(limit=100)]


def test_kbcstorage_downloads_a_sliced_file(
    client: Any, emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # kbcstorage writes the slices into the current directory
    uploader = Uploader(s3_endpoint_url=emulator.s3_url)
    with StorageClient(emulator.url, emulator.master_token) as ours:
        prepared = ours.prepare_file("sliced.csv")
    for name in ("1", "2"):
        uploader.upload_slice(prepared, name, f"{name}\n".encode())
    uploader.upload_manifest(prepared, ["1", "2"])
    uploader.close()

    target = client.files.download(prepared.id, str(tmp_path / "down"))

    assert Path(target).read_text() == "1\n2\n"


def test_kbcstorage_hears_of_a_failed_load(client: Any, tmp_path: Path) -> None:
    whole = tmp_path / "whole.csv"
    whole.write_text("id,text\n1,a\n")
    part = tmp_path / "part.csv"
    part.write_text("id\n2\n")
    bucket_id = client.buckets.create("judged-failure", "in")["id"]
    table_id = client.tables.create(bucket_id, "events", str(whole))

    with pytest.raises(RuntimeError, match="Missing columns: text"):
        client.tables.load(table_id, str(part), is_incremental=True)

    assert client.tables.detail(table_id)["rowsCount"] == 1
    assert client.tokens.verify()["owner"]["fileStorageProvider"] == "aws"
