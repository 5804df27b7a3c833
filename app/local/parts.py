"""The parts of the stack: what each is started with, where it listens, how one sees that it is ready."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from app.local.child import Child, start_child
from app.local.kafka import LocalBroker
from app.local.ports import free_port
from app.local.surroundings import child_environment
from app.model.errors import ConfigurationError
from app.settings import Settings

LOG_LIMIT_BYTES = 10 * 1024 * 1024


@dataclass(frozen=True)
class PartPort:
    """A port that a part listens on, and what the user changes to move it."""

    number: int
    setting: str


class Part(Protocol):
    """One part under supervision; see `Child` for its life.

    `ready_url` answers 200 when the part is ready; None: it is no HTTP server.
    """

    @property
    def name(self) -> str: ...
    @property
    def ports(self) -> Sequence[PartPort]: ...
    @property
    def address(self) -> str: ...
    @property
    def ready_url(self) -> str | None: ...
    @property
    def log_file(self) -> Path: ...
    @property
    def pid(self) -> int | None: ...
    def spawn(self) -> None: ...
    def is_ready(self) -> bool: ...
    def poll(self) -> int | None: ...
    def why_it_ended(self) -> str: ...
    def terminate(self) -> None: ...
    def kill(self) -> None: ...
    def rotate_log(self) -> None: ...


class BrokerPart(LocalBroker):
    """The broker as a part."""

    name = "kafka"
    ready_url = None

    @property
    def ports(self) -> Sequence[PartPort]:
        return [PartPort(self.port, "STREAMS_KAFKA_PORT")]

    @property
    def address(self) -> str:
        return self.bootstrap_servers

    def rotate_log(self) -> None:
        """Nothing to do: Kafka bounds its log itself."""


class ProcessPart(Child):
    """A process of ours: a command with an address that answers 200 when it is ready, and a log file."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        ports: Sequence[PartPort],
        ready_path: str,
        environment: Mapping[str, str],
        log_file: Path,
    ) -> None:
        super().__init__()
        self.name = name
        self.ports = ports
        self.address = f"http://127.0.0.1:{ports[0].number}"
        self.ready_url = self.address + ready_path
        self.log_file = log_file
        self._command = command
        self._environment = environment
        self._logged_before = 0

    def spawn(self) -> None:
        """Start it; its log goes on where it was. Raises ConfigurationError when the log cannot be written."""
        try:
            self.log_file.parent.mkdir(parents=True, exist_ok=True)
            with self.log_file.open("ab") as log:
                self._logged_before = log.tell()
                self._process = start_child(self._command, log, Path.cwd(), self._environment)
        except OSError as error:
            raise ConfigurationError(f"{self.name} cannot write {self.log_file}: {error.strerror}.") from error

    def is_ready(self) -> bool:
        return answers(self.ready_url)

    def why_it_ended(self) -> str:
        """Its last line since its start, which is the error when it ended with one."""
        with self.log_file.open("rb") as log:
            log.seek(self._logged_before)
            lines = log.read().decode(errors="replace").strip().splitlines()
        return f"{self.name} did not start: {lines[-1] if lines else 'it ended without a word'} (log: {self.log_file})"

    def rotate_log(self) -> None:
        """Keep the last 10 MiB in `<log>.1` and go on with an empty file.

        The child appends to the open file, so it is copied and emptied rather than renamed; a line that is written
        between the two is lost.
        """
        if self.log_file.stat().st_size > LOG_LIMIT_BYTES:
            shutil.copyfile(self.log_file, self.log_file.with_name(self.log_file.name + ".1"))
            with self.log_file.open("r+b") as log:
                log.truncate(0)
            self._logged_before = 0


def stack_parts(settings: Settings) -> list[list[Part]]:
    """The parts in the order in which they start; those of one step start together.

    Data and logs go below the setting `local_dir`.
    """
    environment, home = child_environment(settings), settings.local_dir.absolute()
    logs = home / "logs"

    def process(name: str, port: int, ready_path: str, *command: str, more_ports: Sequence[PartPort] = ()) -> Part:
        return ProcessPart(
            name,
            [sys.executable, "-m", *command],
            ports=[PartPort(port, f"STREAMS_{name.upper()}_PORT"), *more_ports],
            ready_path=ready_path,
            environment=environment,
            log_file=logs / f"{name}.log",
        )

    storage = process(
        "storage",
        settings.storage_port,
        "/local/health",
        "app.local.storage",
        *("--host", "127.0.0.1", "--port", str(settings.storage_port), "--s3-port", str(settings.storage_s3_port)),
        *("--data-dir", str(home / "storage")),
        more_ports=[PartPort(settings.storage_s3_port, "STREAMS_STORAGE_S3_PORT")],
    )
    kafka = BrokerPart(
        home / "kafka", port=settings.kafka_port, controller_port=free_port(), log_file=logs / "kafka.log"
    )
    return [
        [storage, kafka],
        [
            process("control", settings.control_port, "/ready", "app", "control"),
            process("gateway", settings.gateway_port, "/ready", "app", "gateway"),
            process("mapper", settings.mapper_port, "/ready", "app", "mapper"),
            process("sink", settings.sink_port, "/ready", "app", "sink"),
        ],
    ]


def answers(url: str) -> bool:
    """Whether GET of an address of this machine gives 200 within a second."""
    parts = urlsplit(url)
    connection = HTTPConnection(parts.hostname or "", parts.port, timeout=1)
    try:
        connection.request("GET", parts.path)
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
