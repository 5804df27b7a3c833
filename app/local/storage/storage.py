"""The emulator as one object: metadata, rows, objects and jobs, opened and closed together."""

from __future__ import annotations

import logging
import socket
from collections import deque
from datetime import timedelta
from typing import Any

from app.local.storage.clouds import open_store
from app.local.storage.config import EmulatorConfig
from app.local.storage.faults import Faults
from app.local.storage.faulty import FaultyS3
from app.local.storage.jobs import JobQueue
from app.local.storage.metadata import Metadata
from app.local.storage.objects import Objects
from app.local.storage.operations import Operations
from app.local.storage.records import Token, now
from app.local.storage.scopes import hash_secret
from app.local.storage.stores import ObjectStore
from app.local.storage.warehouse import Warehouse

log = logging.getLogger(__name__)

MASTER_TOKEN_ID = 1
_KEPT_EVENTS = 10_000


class Storage:
    """Everything a request may touch. `url` and `s3_url` are the addresses that answers name; files on another cloud
    (`config.provider`) need no `s3_listener`, and there is no S3 then.
    """

    def __init__(self, config: EmulatorConfig, url: str, s3_listener: socket.socket | None) -> None:
        config.data_dir.mkdir(parents=True, exist_ok=True)
        self.config = config
        self.url = url
        self.s3_url = ""
        self.metadata = Metadata(config.data_dir / "metadata.sqlite")
        self.warehouse = Warehouse(
            config.data_dir / "tables.duckdb", threads=config.duckdb_threads, memory=config.duckdb_memory
        )
        self.faults = Faults()
        self.events: deque[dict[str, Any]] = deque(maxlen=_KEPT_EVENTS)
        self.objects: ObjectStore
        if s3_listener is None:
            self.objects = open_store(config.provider, config.provider_url, config.data_dir / "fetched")
        else:
            s3 = Objects(config.data_dir / "objects", s3_listener, lambda app: FaultyS3(app, self.faults))
            self.objects, self.s3_url = s3, s3.url
        operations = Operations(self.metadata, self.warehouse, self.objects)
        self.jobs = JobQueue(self.metadata, operations.perform, operations.recall, config.job_workers)
        self._put_master_token()
        self._drop_expired_files()
        self.jobs.recover()
        self.warehouse.forget_outcomes()
        self.jobs.start()

    def close(self) -> None:
        """Let running jobs end and close everything; jobs that wait go on at the next start."""
        self.jobs.stop()
        self.objects.close()
        self.warehouse.close()
        self.metadata.close()

    def _put_master_token(self) -> None:
        old = self.metadata.token(MASTER_TOKEN_ID)
        made = now()
        self.metadata.put_token(
            Token(
                id=MASTER_TOKEN_ID,
                secret_sha256=hash_secret(self.config.master_token),
                description="master token of the local stack",
                created=made if old is None else old.created,
                refreshed=made if old is None else old.refreshed,
                is_master=True,
                can_manage_buckets=True,
                can_manage_tokens=True,
                can_read_all_file_uploads=True,
            )
        )

    def _drop_expired_files(self) -> None:
        oldest = now() - timedelta(days=self.config.file_max_age_days)
        for file in self.metadata.files():
            if file.created < oldest and not file.is_permanent:
                self.objects.delete_prefix(file.key)
                self.metadata.drop_file(file.id)
