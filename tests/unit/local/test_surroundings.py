"""What the local stack's processes are told."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from app.local.surroundings import child_environment, kept_key, local_settings
from app.settings import Settings, load_settings


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.chdir(tmp_path)
    for name in ("STREAMS_ENCRYPTION_KEY", "STREAMS_PUBLIC_ADDRESS", "STREAMS_LOCAL_DIR"):
        monkeypatch.delenv(name, raising=False)
    return load_settings(None)


def test_key_is_made_once_for_its_owner_alone_and_kept(tmp_path: Path) -> None:
    key = kept_key(tmp_path / "new" / "encryption.key")

    assert kept_key(tmp_path / "new" / "encryption.key") == key
    assert stat.S_IMODE((tmp_path / "new" / "encryption.key").stat().st_mode) == 0o600
    Fernet(key)


def test_processes_use_the_stacks_own_kafka_and_storage(settings: Settings) -> None:
    moved = settings.model_copy(update={"kafka_port": 19092, "storage_port": 18001, "gateway_port": 18000})

    told = local_settings(moved)

    assert told.kafka_bootstrap_servers == "127.0.0.1:19092"
    assert told.storage_api_host == "http://127.0.0.1:18001"
    assert told.public_address == "http://127.0.0.1:18000"


def test_stack_itself_speaks_to_its_kafka_without_the_security_of_another(settings: Settings) -> None:
    told = local_settings(settings.model_copy(update={"kafka_properties": {"security.protocol": "SSL"}}))

    assert told.kafka_properties == {}


def test_child_reads_back_the_settings_that_it_was_given(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    told = local_settings(settings)

    for name, value in child_environment(told).items():
        monkeypatch.setenv(name, value)
    read = load_settings(None)

    changed = told.model_dump() | {"local_dir": read.local_dir}
    assert read.model_dump() == changed


def test_own_key_of_the_user_stays(settings: Settings, tmp_path: Path) -> None:
    told = local_settings(settings.model_copy(update={"encryption_key": ["mine"]}))

    assert told.encryption_key == ["mine"]
    assert not (tmp_path / ".local").exists()


def test_security_of_another_cluster_is_not_passed_on(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAMS_KAFKA_SASL_USERNAME", "me")
    monkeypatch.setenv("STREAMS_KAFKA_PORT", "9092")

    environment = child_environment(settings)

    assert "STREAMS_KAFKA_SASL_USERNAME" not in environment
    assert environment["STREAMS_KAFKA_PORT"] == "9092"
