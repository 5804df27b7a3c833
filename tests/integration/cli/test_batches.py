"""`streams batches download`: from a file of slices in Storage to CSV; the API's answers are given."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest
from batches import batch
from click.testing import Result
from letters import some_export
from typer.testing import CliRunner

from app.api.batch_answers import show_file
from app.cli import app
from app.cli.buffer import BufferApi
from app.keboola.client import StorageClient
from app.keboola.upload import Uploader
from app.local.storage import Emulator
from app.model.ledger import BatchRecord, Slice, StagedFile
from app.model.receiver import Column, ColumnType, Mapping, Revision

ROWS = {"00000-a.gz": b'"1","x"\n"2","say ""y"""\n', "00001-b.gz": b'"3","z"\n'}
EXPORT = some_export("e")
COLUMNS = (Column("id", ColumnType.ID), Column('say "it"', ColumnType.BODY))
REVISION = Revision(1, Mapping("in.c-web.clicks", COLUMNS), "1", b"", 0)
HEADER = b'"id","say ""it"""\n'


@pytest.fixture
def staged(emulator: Emulator, storage: StorageClient) -> BatchRecord:
    """A batch with two slices and no manifest yet, as when its import could not be begun."""
    prepared = storage.prepare_file("clicks")
    uploader = Uploader(s3_endpoint_url=emulator.s3_url)
    slices = []
    for name, rows in ROWS.items():
        stored = gzip.compress(rows)
        uploader.upload_slice(prepared, name, stored)
        slices.append(Slice(name, rows.count(b"\n"), len(rows), len(stored)))
    uploader.close()
    return batch(EXPORT, "b1", file=StagedFile(str(prepared.id), 0, 0, b""), slices=tuple(slices))


@pytest.fixture
def answer(staged: BatchRecord, emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the API says of the batch's file."""
    found = show_file(staged, REVISION).model_dump(by_alias=True, exclude_none=True)

    def call(_: BufferApi, method: str, path: str) -> dict[str, Any]:
        assert (method, path) == ("GET", "/v1/receivers/clicks/exports/all/batches/b1/file")
        return found

    monkeypatch.setattr(BufferApi, "call", call)
    monkeypatch.setenv("STREAMS_PUBLIC_ADDRESS", "http://127.0.0.1:9")
    monkeypatch.setenv("STREAMS_STORAGE_TOKEN", emulator.master_token)
    monkeypatch.setenv("STREAMS_STORAGE_API_HOST", emulator.url)
    monkeypatch.setenv("STREAMS_STORAGE_S3_ENDPOINT", emulator.s3_url)
    return found


def download(*options: str) -> Result:
    return CliRunner().invoke(app, ["batches", "download", "clicks/all", "b1", *options])


@pytest.mark.usefixtures("answer")
def test_rows_of_all_slices_come_below_one_header() -> None:
    result = download()

    assert result.stdout_bytes == HEADER + b"".join(ROWS.values())


@pytest.mark.usefixtures("answer")
def test_file_has_the_rows_and_nothing_else_is_left(tmp_path: Path) -> None:
    result = download("--output", str(tmp_path / "rows.csv"))

    assert [(found.name, found.read_bytes()) for found in tmp_path.iterdir()] == [
        ("rows.csv", HEADER + b"".join(ROWS.values()))
    ]
    assert "3 rows of batch b1" in result.stdout


def test_file_that_storage_has_no_more_is_said_to_be_gone(
    answer: dict[str, Any], storage: StorageClient, tmp_path: Path
) -> None:
    storage.delete_file(int(answer["fileId"]))

    result = download("--output", str(tmp_path / "rows.csv"))

    assert f"does not have file {answer['fileId']} any more" in getattr(result.exception, "message", "")
    assert list(tmp_path.iterdir()) == []


def test_missing_slice_leaves_the_file_of_before(answer: dict[str, Any], tmp_path: Path) -> None:
    answer["slices"][1]["name"] = "00001-other.gz"
    output = tmp_path / "rows.csv"
    output.write_text("before")

    result = download("--output", str(output))

    assert "or not all of it" in getattr(result.exception, "message", "")
    assert [(found.name, found.read_text()) for found in tmp_path.iterdir()] == [("rows.csv", "before")]


def test_slice_that_is_not_what_was_staged_is_refused(answer: dict[str, Any], tmp_path: Path) -> None:
    answer["slices"][0]["csvBytes"] += 1

    result = download("--output", str(tmp_path / "rows.csv"))

    assert "it was changed in Storage" in getattr(result.exception, "message", "")


def test_rows_of_a_forgotten_mapping_have_no_header(answer: dict[str, Any]) -> None:
    del answer["columns"]

    result = download()

    assert result.stdout_bytes == b"".join(ROWS.values())
    assert "no header line" in result.stderr


@pytest.mark.usefixtures("answer")
def test_token_of_another_storage_is_told_which_setting_to_mend(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAMS_STORAGE_TOKEN", "1-2-unknown")

    result = download()

    assert "STREAMS_STORAGE_API_HOST" in getattr(result.exception, "message", "")
