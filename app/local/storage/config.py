"""Settings of the emulator, with their units and bounds."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

MASTER_TOKEN = "1234-1-local-master-token"  # noqa: S105 - public on purpose: design section 5 fixes it for the local stack


@dataclass(frozen=True)
class EmulatorConfig:
    """Where the emulator listens, where it keeps its data and what it may use.

    Port 0 means a free port, chosen by the system. `duckdb_threads` and `duckdb_memory` bound DuckDB, because the
    emulator shares the machine with the whole stack. `provider` is the cloud that files are on; all but `aws`, which
    the emulator brings, are emulated by another server at `provider_url`.
    """

    data_dir: Path
    host: str = "127.0.0.1"
    port: int = 8001
    s3_port: int = 8002
    provider: Literal["aws", "azure", "gcp"] = "aws"
    provider_url: str = ""
    master_token: str = field(default=MASTER_TOKEN, repr=False)
    project_id: int = 1234
    project_name: str = "Local project"
    job_workers: int = 4
    duckdb_threads: int = 2
    duckdb_memory: str = "512MB"
    file_max_age_days: int = 15
