"""Whom the command line calls, and with which token."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from app.cli.buffer import BufferApi, connect, task_path
from app.local.state import StackLock, StackState, write_state
from app.local.storage.config import MASTER_TOKEN
from app.model.errors import ConfigurationError
from app.settings import Settings


def settings(folder: Path, **others: Any) -> Settings:
    return Settings(_env_file=None, local_dir=folder, **others)  # type: ignore[call-arg]  # pydantic-settings' own


def sent_token(address: str | None, settings: Settings) -> tuple[str, str]:
    with connect(settings, address) as api:
        return api.address, api._http.headers["X-StorageApi-Token"]


def test_local_stack_that_runs_is_called_with_its_own_token(tmp_path: Path) -> None:
    with StackLock(tmp_path):
        write_state(StackState(1, "http://127.0.0.1:8123", []), tmp_path)

        assert sent_token(None, settings(tmp_path)) == ("http://127.0.0.1:8123", MASTER_TOKEN)


def test_local_token_never_goes_elsewhere(tmp_path: Path) -> None:
    with StackLock(tmp_path):
        write_state(StackState(1, "http://127.0.0.1:8123", []), tmp_path)

        with pytest.raises(ConfigurationError, match="STREAMS_STORAGE_TOKEN"):
            connect(settings(tmp_path), "streams.example.com")


def test_local_stack_that_has_stopped_is_not_assumed(tmp_path: Path) -> None:
    write_state(StackState(1, "http://127.0.0.1:8000", []), tmp_path)

    with pytest.raises(ConfigurationError, match="STREAMS_STORAGE_TOKEN"):
        connect(settings(tmp_path))


def test_bare_host_means_https(tmp_path: Path) -> None:
    assert sent_token("streams.example.com/", settings(tmp_path, storage_token="t")) == (
        "https://streams.example.com",
        "t",
    )


def test_settings_do_not_show_the_token(tmp_path: Path) -> None:
    assert "secret-token" not in repr(settings(tmp_path, storage_token="secret-token"))


@pytest.mark.parametrize("prefix", ["", "https://h/v1/tasks/", "/v1/tasks/"])
def test_task_may_be_named_by_id_or_url(prefix: str) -> None:
    task_id = "r/receiver.create/2026-01-02T03:04:05.678Z_aBcDe"

    assert task_path(prefix + task_id) == f"/v1/tasks/{task_id}"


def test_what_a_task_waits_for_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = {"id": "t", "isFinished": False, "status": "processing", "waitsFor": "a topic"}
    answers = iter([waiting, waiting, {"id": "t", "isFinished": True, "status": "success"}])
    said: list[str] = []

    with BufferApi("http://127.0.0.1:1", "token") as api:
        monkeypatch.setattr(api, "call", lambda *_: next(answers))
        api.wait({"id": "t"}, say=said.append)

    assert said == ["a topic"]
