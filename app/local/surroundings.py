"""What the processes of the local stack are told: its own Kafka and Storage, and a key that stays."""

from __future__ import annotations

import os
from pathlib import Path

from app.model.cipher import Cipher
from app.settings import Settings

_HOST = "127.0.0.1"


def local_settings(settings: Settings) -> Settings:
    """The given settings, pointed at the local stack; ports, limits and an encryption key of the user's own stay.

    Windows may be as short as a second, because someone is watching.
    """
    home = settings.local_dir.absolute()
    return settings.model_copy(
        update={
            "kafka_bootstrap_servers": f"{_HOST}:{settings.kafka_port}",
            "kafka_properties": {},
            "storage_api_host": f"http://{_HOST}:{settings.storage_port}",
            "storage_s3_endpoint": f"http://{_HOST}:{settings.storage_s3_port}",
            "public_address": _public_address(settings),
            "encryption_key": settings.encryption_key or [kept_key(home / "encryption.key")],
            "local_dir": home,
            "replication_factor": 1,
            "min_time_seconds": min(settings.min_time_seconds, 1),
        }
    )


def child_environment(settings: Settings) -> dict[str, str]:
    """Environment of a child: ours, with the settings that `local_settings` decides.

    STREAMS_KAFKA_* beyond the port are left out: they are meant for another cluster than the local one.
    """
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("STREAMS_KAFKA_") or name == "STREAMS_KAFKA_PORT"
    }
    return {
        **inherited,
        "PYTHONUNBUFFERED": "1",
        "STREAMS_KAFKA_BOOTSTRAP_SERVERS": settings.kafka_bootstrap_servers,
        "STREAMS_STORAGE_API_HOST": settings.storage_api_host,
        "STREAMS_STORAGE_S3_ENDPOINT": settings.storage_s3_endpoint or "",
        "STREAMS_PUBLIC_ADDRESS": settings.public_address,
        "STREAMS_ENCRYPTION_KEY": ",".join(settings.encryption_key),
        "STREAMS_REPLICATION_FACTOR": str(settings.replication_factor),
        "STREAMS_MIN_TIME_SECONDS": str(settings.min_time_seconds),
    }


def kept_key(key_file: Path) -> str:
    """The stack's encryption key: made once, readable by its owner alone. Losing it loses the secrets in the log."""
    if not key_file.exists():
        key_file.parent.mkdir(parents=True, exist_ok=True)
        fresh = key_file.with_suffix(".new")
        fresh.touch(mode=0o600)
        fresh.write_text(Cipher.new_key() + "\n")
        fresh.rename(key_file)
    return key_file.read_text().strip()


def _public_address(settings: Settings) -> str:
    if "public_address" in settings.model_fields_set:
        return settings.public_address
    return f"http://{_HOST}:{settings.gateway_port}"
