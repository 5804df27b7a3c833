"""The broker as a process: formatted once, started, watched, stopped.

Keeps the data of a data directory over any number of starts and kills, and turns what can go wrong on a laptop (no
Java, port taken, disk full) into one line. Who restarts a broker that died is left to the stack.
"""

from __future__ import annotations

import fcntl
import secrets
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import IO

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from app.local import paths
from app.local.child import Child, start_child
from app.local.kafka.diagnosis import java_executable, why_it_failed
from app.local.kafka.properties import server_properties
from app.local.ports import free_port, require_free
from app.model.errors import ConfigurationError

_CONFIG = Path(__file__).with_name("log4j2.xml")


class LocalBroker(Child):
    """One Kafka node on 127.0.0.1 with its data, settings and logs below `data_dir`.

    A port of 0 is drawn once, so a broker started again is where it was. `home` holds Kafka's jars (`lib/`) and the
    archive of their classes, both made by `make setup`; with `archive_to` it writes such an archive when it stops.
    Start it from a thread that lives as long as the broker should.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        port: int = 0,
        controller_port: int = 0,
        heap_mib: int = 512,
        home: Path = paths.KAFKA,
        log_file: Path | None = None,
        archive_to: Path | None = None,
        properties: Mapping[str, object] | None = None,
        authorizer_log: str = "warn",
    ) -> None:
        """`properties` are added to ours. `authorizer_log` is the level at which an authorizer says what it decides."""
        super().__init__()
        self._properties, self._authorizer_log = properties, authorizer_log
        self.data_dir = data_dir.absolute()
        self.home = home.absolute()
        self.port = port or free_port()
        self.controller_port = controller_port or free_port()
        self.heap_mib = heap_mib
        self.log_file = log_file.absolute() if log_file else self.data_dir / "server.log"
        self._archive_to = archive_to
        self._console = self.data_dir / "console.log"
        self._logged_before = 0
        self._client: AdminClient | None = None

    @property
    def bootstrap_servers(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self, timeout_seconds: float = 120) -> None:
        """Start the broker and wait until it takes requests. Raises ConfigurationError: one line that says why not."""
        self.spawn()
        self.wait_ready(timeout_seconds)

    def spawn(self) -> None:
        """Begin to start the broker; `wait_ready` waits for it. The first time formats the data directory (1 s)."""
        java = java_executable()
        if not any(self.home.glob("lib/kafka_*.jar")):
            raise ConfigurationError(f"Kafka's jars are missing from {self.home / 'lib'}: run `make setup`.")
        require_free("Kafka", self.port, "STREAMS_KAFKA_PORT")
        require_free("Kafka's controller", self.controller_port, "another controller port")
        self._logged_before = self.log_file.stat().st_size if self.log_file.exists() else 0
        try:
            self.data_dir.mkdir(parents=True, exist_ok=True)
            self.log_file.parent.mkdir(parents=True, exist_ok=True)
            with (self.data_dir / "lock").open("a") as lock:
                self._take(lock)
                if not self._storage.exists():
                    self._format(java)
                properties = self._write_properties("server.properties", self._storage)
                options = [f"-XX:ArchiveClassesAtExit={self._archive_to}"] if self._archive_to else []
                command = self._java(java, *options, "kafka.Kafka", str(properties))
                with self._console.open("wb") as console:
                    self._process = start_child(command, console, self.data_dir, lock=lock)
        except OSError as error:
            raise ConfigurationError(f"Kafka cannot write to {self.data_dir}: {error.strerror}.") from error

    def wait_ready(self, timeout_seconds: float = 120) -> None:
        """Wait until topics can be made. Raises ConfigurationError when the broker ends or takes longer than that."""
        deadline = time.monotonic() + timeout_seconds
        while not self.is_ready(0.5):
            if self.poll() is not None:
                raise ConfigurationError(self.why_it_ended())
            if time.monotonic() > deadline:
                self.kill()
                raise ConfigurationError(
                    f"Kafka did not answer on {self.bootstrap_servers} within {timeout_seconds:.0f} s"
                    f" (log: {self.log_file})."
                )

    def is_ready(self, patience_seconds: float = 0.1) -> bool:
        """Whether topics can be made now; waits that long for an answer."""
        if self._client is None:
            # librdkafka would print each refused connection while the broker is not yet there.
            self._client = AdminClient(
                {"bootstrap.servers": self.bootstrap_servers, "log_level": 0, "reconnect.backoff.max.ms": 100}
            )
        try:
            return bool(self._client.list_topics(timeout=patience_seconds).brokers)
        except KafkaException:
            return False

    def why_it_ended(self) -> str:
        """One line about a broker that ended of itself, from what it said since its start."""
        return why_it_failed(self._console, self.log_file, self._logged_before, self.data_dir)

    def __enter__(self) -> LocalBroker:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def _storage(self) -> Path:
        return self.data_dir / "data"

    def _take(self, lock: IO[str]) -> None:
        """Lock the data directory for the broker's life; Kafka's own lock comes after it has read the metadata."""
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigurationError(f"Another Kafka uses {self.data_dir}: stop it first.") from None

    def _format(self, java: str) -> None:
        """Format beside and rename, so that an interrupted format is done again rather than half believed."""
        fresh = self.data_dir / "data.new"
        shutil.rmtree(fresh, ignore_errors=True)
        properties = self._write_properties("format.properties", fresh)
        cluster = f"local-{secrets.token_hex(8)}"
        command = self._java(java, "kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(properties))
        with self._console.open("wb") as console:
            done = start_child(command, console, self.data_dir).wait()
        if done != 0:
            raise ConfigurationError(self.why_it_ended())
        properties.unlink()
        fresh.rename(self._storage)

    def _write_properties(self, name: str, log_dir: Path) -> Path:
        path = self.data_dir / name
        path.write_text(server_properties(self.port, self.controller_port, log_dir, self._properties))
        return path

    def _java(self, java: str, *arguments: str) -> list[str]:
        archive = self.home / "classes.jsa"  # classes parsed beforehand: halves the start
        return [
            java,
            f"-Xmx{self.heap_mib}m",
            "-XX:+UseSerialGC",
            "-XX:+ExitOnOutOfMemoryError",
            *([f"-XX:SharedArchiveFile={archive}", "-Xshare:auto"] if archive.exists() else []),
            f"-Dlog4j2.configurationFile={_CONFIG}",
            f"-Dstreams.log={self.log_file}",
            f"-Dstreams.authorizer.log={self._authorizer_log}",
            "-cp",
            str(self.home / "lib" / "*"),
            *arguments,
        ]
