"""Requests per second of one gateway worker, each acknowledged by Kafka, broker and load generator on the same cores.

    python benchmarks/gateway.py [--seconds 5] [--runs 3]

Drives the real gateway process with wrk over loopback at 256 and at 32 connections: JSON bodies of 120 bytes with four
event headers, one event a request. Beside it, in the same rounds, two floors: `no Kafka`, the same protocol answering
200 at once, and `plain ASGI`, the same event sent to the same Kafka by an ASGI application with a future a request.
`us/request` is the worker's CPU time, which a busy machine disturbs less than the rates. Needs wrk (Debian: `wrk`).
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.kafka.client import connect_admin
from app.kafka.codec import control_codec
from app.kafka.names import Names
from app.kafka.plan import create_topics, describe_topics, receiver_topic, system_topics
from app.kafka.producer import AsyncProducer
from app.kafka.view import control_key
from app.local.kafka import LocalBroker
from app.local.ports import free_port
from app.model.cipher import Cipher
from app.model.ids import new_secret, new_uid
from app.model.receiver import Receiver
from app.settings import Settings

PREFIX = "bench"
TOPIC = Names(PREFIX).events("1", "flights")
CONNECTIONS = (256, 32)
_LUA = """
wrk.method = "POST"
wrk.body = '{"flight":1545,"carrier":"UA","route":{"origin":"EWR","dest":"IAH"},"delay":11,"pad":"%s"}'
wrk.headers["Content-Type"] = "application/json"
wrk.headers["User-Agent"] = "benchmark/1.0"
wrk.headers["Accept"] = "*/*"
"""


@dataclass(frozen=True)
class Figure:
    """One run of wrk: latencies in ms, CPU time of the worker in microseconds a request."""

    rate: float
    p50: float
    p99: float
    cpu: float


def main() -> None:
    arguments = argparse.ArgumentParser(description="Requests per second of one gateway worker.")
    arguments.add_argument("--seconds", type=int, default=5)
    arguments.add_argument("--runs", type=int, default=3)
    arguments.add_argument("--serve-floor", choices=FLOORS, help=argparse.SUPPRESS)
    options = arguments.parse_args()
    if options.serve_floor:
        serve_floor(options.serve_floor)
        return
    if shutil.which("wrk") is None:
        sys.exit("benchmarks/gateway.py needs wrk, which is not there (Debian: apt-get install wrk).")
    with tempfile.TemporaryDirectory() as directory, LocalBroker(Path(directory) / "kafka") as broker:
        measure(Path(directory), broker.bootstrap_servers, options.seconds, options.runs)


def measure(directory: Path, servers: str, seconds: int, runs: int) -> None:
    key = Cipher.new_key()
    settings = Settings(_env_file=None, kafka_bootstrap_servers=servers, topic_prefix=PREFIX, encryption_key=[key])
    path = f"/v1/import/1/flights/{asyncio.run(make_receiver(settings))}"
    script = directory / "post.lua"
    script.write_text(_LUA % ("x" * 31))
    environment = {
        **os.environ,
        "STREAMS_KAFKA_BOOTSTRAP_SERVERS": servers,
        "STREAMS_TOPIC_PREFIX": PREFIX,
        "STREAMS_ENCRYPTION_KEY": key,
        "STREAMS_LOG_LEVEL": "warning",
    }
    commands = {
        "gateway": [sys.executable, "-m", "app", "gateway"],
        "no Kafka": [sys.executable, __file__, "--serve-floor", "none"],
        "plain ASGI": [sys.executable, __file__, "--serve-floor", "asgi"],
    }
    figures: dict[tuple[str, int], list[Figure]] = {}
    for _ in range(runs):
        for name, command in commands.items():
            with worker(command, environment) as (pid, port):
                url = f"http://127.0.0.1:{port}{path}"
                warm(url, script)
                for connections in CONNECTIONS:
                    figure = drive(url, script, connections, seconds, pid)
                    figures.setdefault((name, connections), []).append(figure)
    show(figures, seconds, runs)


async def make_receiver(settings: Settings) -> str:
    """Create the topics and a receiver; its secret."""
    admin = connect_admin(settings)
    create_topics(admin, [*system_topics(settings), receiver_topic(settings, TOPIC)])
    topic_id, partitions = describe_topics(admin, [TOPIC])[TOPIC]
    secret = new_secret()
    receiver = Receiver(
        uid=new_uid(),
        project_id="1",
        receiver_id="flights",
        name="flights",
        description="",
        secret=Cipher(settings.encryption_key).encrypt(secret),
        topic=TOPIC,
        topic_id=topic_id,
        partitions=partitions,
        created_ms=0,
    )
    async with AsyncProducer(settings) as producer:
        key = control_key("receiver", "1/flights")
        await producer.send(Names(PREFIX).control, control_codec.encode(receiver), key, partition=0)
    return secret


@contextmanager
def worker(command: list[str], environment: dict[str, str]) -> Iterator[tuple[int, int]]:
    """Process id and port of a worker that is ready."""
    port = free_port()
    process = subprocess.Popen(command, env={**environment, "STREAMS_GATEWAY_PORT": str(port)})
    try:
        deadline = time.monotonic() + 30
        while not is_ready(port):
            if process.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"{' '.join(command)} did not get ready.")
            time.sleep(0.1)
        yield process.pid, port
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def is_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/ready", timeout=1) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def warm(url: str, script: Path) -> None:
    """Until Kafka has acknowledged an event, and for a second of load."""
    deadline = time.monotonic() + 60
    while True:
        try:
            urllib.request.urlopen(urllib.request.Request(url, b"{}", method="POST"), timeout=15).close()
            break
        except (OSError, urllib.error.URLError):
            if time.monotonic() > deadline:
                sys.exit(f"{url} acknowledges nothing.")
            time.sleep(0.2)
    subprocess.run(["wrk", "-t1", "-c32", "-d1s", "-s", str(script), url], check=True, capture_output=True)


def drive(url: str, script: Path, connections: int, seconds: int, pid: int) -> Figure:
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", str(script), url]
    before = cpu_seconds(pid)
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    spent = cpu_seconds(pid) - before
    if "Non-2xx" in text:
        sys.exit(f"Some requests were refused:\n{text}")
    requests = float(found(r"(\d+) requests in", text))
    return Figure(
        float(found(r"Requests/sec:\s+([\d.]+)", text)),
        milliseconds(found(r"^ +50%\s+(\S+)", text)),
        milliseconds(found(r"^ +99%\s+(\S+)", text)),
        spent / requests * 1e6,
    )


def found(pattern: str, text: str) -> str:
    match = re.search(pattern, text, re.MULTILINE)
    if match is None:
        sys.exit(f"wrk printed something unexpected:\n{text}")
    return match.group(1)


def milliseconds(text: str) -> float:
    number, unit = float(text.rstrip("mus")), text.lstrip("0123456789.")
    return number * {"us": 0.001, "ms": 1.0, "s": 1000.0}[unit]


def cpu_seconds(pid: int) -> float:
    """User and system time that the process has spent."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def show(figures: dict[tuple[str, int], list[Figure]], seconds: int, runs: int) -> None:
    print(f"gateway: medians of {runs} runs of {seconds} s, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    print(
        f"{'worker':<12}{'connections':>12}{'requests/s':>12}{'best':>10}{'p50 ms':>9}{'p99 ms':>9}{'us/request':>12}"
    )
    for (name, connections), runs_of in figures.items():
        rate, p50, p99, cpu = (
            statistics.median(getattr(figure, column) for figure in runs_of) for column in ("rate", "p50", "p99", "cpu")
        )
        best = max(figure.rate for figure in runs_of)
        print(f"{name:<12}{connections:>12}{rate:>12,.0f}{best:>10,.0f}{p50:>9.2f}{p99:>9.2f}{cpu:>12.1f}")


def serve_floor(kind: str) -> None:
    """One of the two workers to compare with, on STREAMS_GATEWAY_PORT."""
    import uvicorn
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

    from app.settings import load_settings

    settings = load_settings(None)
    ok = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"

    class AnswersAtOnce(HttpToolsProtocol):
        def on_headers_complete(self) -> None:
            pass

        def on_body(self, body: bytes) -> None:
            pass

        def on_message_complete(self) -> None:
            self.transport.write(ok)

    async def application(scope, receive, send) -> None:  # type: ignore[no-untyped-def]
        if scope["path"] != "/ready":
            if application.producer is None:  # type: ignore[attr-defined]
                application.producer = AsyncProducer(settings)  # type: ignore[attr-defined]
            body = b""
            while True:
                message = await receive()
                body += message["body"]
                if not message["more_body"]:
                    break
            headers = [(name.decode().title(), value) for name, value in scope["headers"]]
            await application.producer.send(TOPIC, body, headers=headers)  # type: ignore[attr-defined]
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    application.producer = None  # type: ignore[attr-defined]
    uvicorn.run(
        application,
        port=settings.gateway_port,
        http=AnswersAtOnce if kind == "none" else "httptools",
        loop="uvloop",
        lifespan="off",
        access_log=False,
        log_level="warning",
    )


FLOORS = ("none", "asgi")

if __name__ == "__main__":
    main()
