"""A real Kafka Connect worker as a child process, standalone or distributed, spoken to over its REST interface."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import httpx
from consumer_group import committed_offsets, expel_members

from app.local.child import Child, start_child
from app.local.kafka.diagnosis import java_executable
from app.local.ports import free_port
from app.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
JARS = ROOT / ".local" / "connect"
SINK_JAR = ROOT / "connectors" / "data-streams-sink" / "target" / "data-streams-sink.jar"
DEADLINE_SECONDS = 120

_LOGGING = """
status = error
appender.c.type = Console
appender.c.name = C
appender.c.layout.type = PatternLayout
appender.c.layout.pattern = %d{HH:mm:ss.SSS} %p %X{connector.context}%c{1}: %m%n
rootLogger.level = INFO
rootLogger.appenderRef.c.ref = C
logger.clients.name = org.apache.kafka.clients
logger.clients.level = WARN
logger.config.name = org.apache.kafka.common.config.AbstractConfig
logger.config.level = WARN
logger.isolation.name = org.apache.kafka.connect.runtime.isolation
logger.isolation.level = WARN
"""


class ConnectWorker(Child):
    """One worker with its settings and log in `folder`; `plugins` are jars or folders of jars.

    Started again it is where it was and goes on with its connectors if it is distributed; a standalone one has
    forgotten them. Distributed ones of the same `group` share the work.
    """

    def __init__(
        self,
        kafka: str,
        folder: Path,
        plugins: Sequence[Path],
        *,
        distributed: bool = False,
        group: str | None = None,
    ) -> None:
        super().__init__()
        self.kafka, self.folder, self.distributed = kafka, folder, distributed
        self.port = free_port()
        self.group = group or f"connect-{folder.name}-{self.port}"
        self.log_file = folder / "worker.log"
        home = folder / "plugins"
        home.mkdir(parents=True)
        for plugin in plugins:
            assert plugin.exists(), f"{plugin} is missing: run `make connect`"
            target = home / plugin.name
            if plugin.is_dir():
                target.symlink_to(plugin)
            else:
                shutil.copy(plugin, target)
        (folder / "log4j2.properties").write_text(_LOGGING)
        lines = [f"{name}={value}" for name, value in self._properties(home).items()]
        (folder / "worker.properties").write_text("\n".join(lines))

    def start(self) -> None:
        """Start it and wait until its REST interface answers."""
        assert (JARS / "lib").is_dir(), "the worker's jars are missing: run `make connect`"
        main = "ConnectDistributed" if self.distributed else "ConnectStandalone"
        command = [
            *(java_executable(), "-Xms32m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"),
            *(f"-Dlog4j2.configurationFile={self.folder / 'log4j2.properties'}", "-cp", f"{JARS / 'lib'}/*"),
            *(f"org.apache.kafka.connect.cli.{main}", str(self.folder / "worker.properties")),
        ]
        with self.log_file.open("ab") as log:
            self._process = start_child(command, log, self.folder, env={**os.environ, "JAVA_TOOL_OPTIONS": ""})
        self.wait_for(self._healthy, "the worker's health")

    def __enter__(self) -> ConnectWorker:
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.kill()

    def kill_and_expel(self, settings: Settings, connector: str) -> None:
        """Kill it; nobody waits for the session of its dead consumers."""
        self.kill()
        expel_members(settings, f"connect-{connector}")

    def put(self, name: str, config: Mapping[str, str]) -> None:
        """Make the connector, or change it."""
        answer = self.call("PUT", f"/connectors/{name}/config", config)
        assert answer.is_success, answer.text

    def validate(self, config: Mapping[str, str]) -> dict[str, list[str]]:
        """What the worker says of each setting that it or the plug-in knows; empty lists where nothing is wrong."""
        plugin = config["connector.class"]
        answer = self.call("PUT", f"/connector-plugins/{plugin}/config/validate", {"name": "checked", **config})
        assert answer.is_success, answer.text
        values = [one["value"] for one in answer.json()["configs"]]
        return {value["name"]: value["errors"] for value in values}

    def states(self, name: str) -> list[str]:
        """Of the connector's tasks."""
        answer = self.call("GET", f"/connectors/{name}/status")
        return [task["state"] for task in answer.json().get("tasks", [])] if answer.is_success else []

    def call(self, method: str, path: str, body: object = None) -> httpx.Response:
        """A worker that rebalances answers 409, or late: it is asked again."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while True:
            answer = httpx.request(method, f"http://127.0.0.1:{self.port}{path}", json=body, timeout=DEADLINE_SECONDS)
            if answer.status_code not in (409, 500, 503) or time.monotonic() > deadline:
                return answer
            time.sleep(0.1)

    def metrics(self, bean: str) -> dict[str, int]:
        """What JMX shows of a bean whose attributes are numbers."""
        program = Path(__file__).with_name("ShowBean.java")
        flags = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
        command = [java_executable(), *flags, str(program), str(self.pid), bean]
        shown = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_SECONDS)
        assert shown.returncode == 0, shown.stderr
        return {name: int(value) for name, _, value in (line.partition("=") for line in shown.stdout.splitlines())}

    @property
    def log(self) -> str:
        return self.log_file.read_text(errors="replace")

    def wait_for(self, condition: Callable[[], bool], what: str) -> None:
        """Ask until it is so; AssertionError with the end of the worker's log when it is not in time."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not condition():
            ended = self.poll() is not None
            assert not ended, f"the worker has ended while {what} was waited for:\n{self.log[-4000:]}"
            assert time.monotonic() < deadline, f"waited in vain for {what}:\n{self.log[-4000:]}"
            time.sleep(0.05)

    def _healthy(self) -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/health", timeout=DEADLINE_SECONDS).status_code == 200
        except httpx.TransportError:
            return False

    def _properties(self, plugins: Path) -> dict[str, str]:
        common = {
            "bootstrap.servers": self.kafka,
            "key.converter": "org.apache.kafka.connect.storage.StringConverter",
            "value.converter": "org.apache.kafka.connect.storage.StringConverter",
            "offset.flush.interval.ms": "500",
            "listeners": f"http://127.0.0.1:{self.port}",
            "plugin.path": str(plugins),
            "plugin.discovery": "service_load",
            "config.providers": "file",
            "config.providers.file.class": "org.apache.kafka.common.config.provider.FileConfigProvider",
        }
        if not self.distributed:
            return {**common, "offset.storage.file.filename": str(self.folder / "offsets")}
        topics = {f"{kind}.storage.topic": f"{self.group}-{kind}" for kind in ("config", "offset", "status")}
        factors = {f"{kind}.storage.replication.factor": "1" for kind in ("config", "offset", "status")}
        return {
            **common,
            **topics,
            **factors,
            "group.id": self.group,
            "offset.storage.partitions": "1",
            "status.storage.partitions": "1",
            "scheduled.rebalance.max.delay.ms": "0",
            "rest.advertised.host.name": "127.0.0.1",
            "session.timeout.ms": "6000",
            "heartbeat.interval.ms": "2000",
        }


def committed(settings: Settings, connector: str) -> dict[tuple[str, int], int]:
    """What the connector has committed, by topic and partition."""
    return committed_offsets(settings, f"connect-{connector}")
