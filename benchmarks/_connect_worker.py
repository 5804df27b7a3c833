"""A Kafka Connect worker for benchmarks, as Kafka's own scripts start it, and how quickly a connector gets through."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, TopicPartition
from gateway import cpu_seconds

from app.local.kafka.diagnosis import java_executable
from app.local.ports import free_port
from app.settings import Settings

ROOT = Path(__file__).resolve().parents[1]
JARS = ROOT / ".local" / "connect" / "lib"
SINK_JAR = ROOT / "connectors" / "data-streams-sink" / "target" / "data-streams-sink.jar"
COMMIT_MS = 50
DEADLINE_SECONDS = 300


@dataclass(frozen=True)
class Figure:
    """Of one run: records a second, and CPU microseconds a record."""

    rate: float
    cpu: float


class Connect:
    """A standalone worker, spoken to over its REST interface."""

    def __init__(self, pid: int, port: int) -> None:
        self._pid, self._port, self._made = pid, port, 0

    def through(self, settings: Settings, config: Mapping[str, str], partitions: int, records: int) -> Figure:
        """Let a new connector send its whole topic; how quickly it committed, from a third on."""
        self._made += 1
        name = f"bench-{self._pid}-{self._made}"
        self.call("PUT", f"/connectors/{name}/config", {**config, "name": name})
        # Asked as the group's consumers ask: librdkafka's way for others can end the process (its issue 5040).
        group = Consumer({"bootstrap.servers": settings.kafka_bootstrap_servers, "group.id": f"connect-{name}"})
        places = [TopicPartition(config["topics"], partition) for partition in range(partitions)]
        deadline = time.monotonic() + DEADLINE_SECONDS
        samples = [(time.monotonic(), 0, cpu_seconds(self._pid))]
        while samples[-1][1] < records:
            done = sum(max(0, one.offset) for one in group.committed(places, timeout=20))
            if done > samples[-1][1]:
                samples.append((time.monotonic(), done, cpu_seconds(self._pid)))
            elif time.monotonic() > deadline:
                sys.exit(f"{name} does not get through: {self.call('GET', f'/connectors/{name}/status')}")
            time.sleep(0.02)
        group.close()
        self.call("DELETE", f"/connectors/{name}")
        counted = [one for one in samples[:-1] if one[1] >= records / 3]
        if len(counted) < 2:  # it was through at once: its start is in the figure then
            counted = [samples[0], samples[-1]]
        (from_s, first, from_cpu), (to_s, last, to_cpu) = counted[0], counted[-1]
        return Figure((last - first) / (to_s - from_s), (to_cpu - from_cpu) / (last - first) * 1e6)

    def call(self, method: str, path: str, sent: object = None) -> Any:
        data = None if sent is None else json.dumps(sent).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self._port}{path}", data, {"Content-Type": "application/json"}, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            sys.exit(f"The worker answered {error.code} to {method} {path}: {error.read().decode()}")


@contextmanager
def connect_worker(directory: Path, servers: str) -> Iterator[Connect]:
    """One that has compiled nothing yet, with the heap of Kafka's scripts; its plug-ins are our sink and Blackhole."""
    port, plugins = free_port(), directory / "plugins"
    make_plugins(plugins)
    strings = "org.apache.kafka.connect.storage.StringConverter"
    properties = {
        "bootstrap.servers": servers,
        "key.converter": strings,
        "value.converter": strings,
        "offset.flush.interval.ms": COMMIT_MS,
        "offset.storage.file.filename": directory / "offsets",
        "listeners": f"http://127.0.0.1:{port}",
        "plugin.path": plugins,
        "plugin.discovery": "service_load",
    }
    file, log = directory / "worker.properties", directory / "log4j2.properties"
    file.write_text("\n".join(f"{name}={value}" for name, value in properties.items()))
    log.write_text("status = error\nrootLogger.level = ERROR\n")
    command = [
        *(java_executable(), "-Xms256m", "-Xmx2g", f"-Dlog4j2.configurationFile={log}", "-cp", f"{JARS}/*"),
        *("org.apache.kafka.connect.cli.ConnectStandalone", str(file)),
    ]
    # Options of the environment would be the worker's too: such as a compiler that does less.
    process = subprocess.Popen(command, env={**os.environ, "JAVA_TOOL_OPTIONS": ""}, stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while not is_healthy(port):
            if process.poll() is not None or time.monotonic() > deadline:
                sys.exit("The worker did not get ready.")
            time.sleep(0.1)
        yield Connect(process.pid, port)
    finally:
        process.kill()
        process.wait(30)


def make_plugins(folder: Path) -> None:
    if folder.exists():
        return
    classes = folder / "blackhole"
    services = classes / "META-INF" / "services"
    services.mkdir(parents=True)
    (services / "org.apache.kafka.connect.sink.SinkConnector").write_text("blackhole.Blackhole\n")
    source = Path(__file__).with_name("Blackhole.java")
    javac = Path(java_executable()).with_name("javac")
    subprocess.run([javac, "-cp", f"{JARS}/*", "-d", classes, source], check=True)
    shutil.copy(SINK_JAR, folder)


def is_healthy(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
