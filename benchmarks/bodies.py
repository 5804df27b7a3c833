"""Events per second of one gateway worker in requests of 500 events, each acknowledged by Kafka, by kind of body.

    python benchmarks/bodies.py [--seconds 4] [--runs 3] [--events 500]

Drives the real gateway process with wrk over loopback at 8 connections, broker and load generator on the same cores:
events of 120 bytes in an array and as NDJSON, plain and compressed, and as CloudEvents. Beside them the floor: a loop
that sends the same events to the same Kafka by confluent-kafka's `produce`, with the same headers, without any HTTP.
`us/event` is the CPU time of the worker, which a busy machine disturbs less than the rates. Needs wrk (Debian: `wrk`).
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from backports import zstd
from confluent_kafka import Producer
from gateway import PREFIX, TOPIC, cpu_seconds, found, make_receiver, warm, worker

from app.gateway.publisher import publisher_config
from app.local.kafka import LocalBroker
from app.model.cipher import Cipher
from app.model.ids import new_event_id
from app.settings import Settings

CONNECTIONS = 8
SCRIPT = """
wrk.method = "POST"
local file = io.open("%s", "rb")
wrk.body = file:read("*a")
file:close()
wrk.headers["Content-Type"] = "%s"
%s
wrk.headers["User-Agent"] = "benchmark/1.0"
wrk.headers["Accept"] = "*/*"
"""
Body = tuple[str, str, bytes]


def main() -> None:
    arguments = argparse.ArgumentParser(description="Events per second of one gateway worker, by kind of body.")
    arguments.add_argument("--seconds", type=int, default=4)
    arguments.add_argument("--runs", type=int, default=3)
    arguments.add_argument("--events", type=int, default=500)
    options = arguments.parse_args()
    if shutil.which("wrk") is None:
        sys.exit("benchmarks/bodies.py needs wrk, which is not there (Debian: apt-get install wrk).")
    with tempfile.TemporaryDirectory() as directory, LocalBroker(Path(directory) / "kafka") as broker:
        measure(Path(directory), broker.bootstrap_servers, options.seconds, options.runs, options.events)


def bodies(count: int) -> dict[str, Body]:
    """Content-Type, Content-Encoding ("" for none) and body by name."""
    events = [
        json.dumps(
            {"flight": n, "carrier": "UA", "route": {"origin": "EWR", "dest": "IAH"}, "delay": 11, "pad": "x" * 30}
        )
        for n in range(count)
    ]
    array, lines = f"[{','.join(events)}]".encode(), "\n".join(events).encode()
    envelope = {"specversion": "1.0", "source": "/flights", "type": "departure"}
    cloud = json.dumps([{**envelope, "id": str(n), "data": json.loads(event)} for n, event in enumerate(events)])
    return {
        "array": ("application/json", "", array),
        "array, gzip": ("application/json", "gzip", gzip.compress(array, 6)),
        "NDJSON": ("application/x-ndjson", "", lines),
        "NDJSON, gzip": ("application/x-ndjson", "gzip", gzip.compress(lines, 6)),
        "NDJSON, zstd": ("application/x-ndjson", "zstd", zstd.compress(lines)),
        "CloudEvents": ("application/cloudevents-batch+json", "", cloud.encode()),
    }


def measure(directory: Path, servers: str, seconds: int, runs: int, count: int) -> None:
    key = Cipher.new_key()
    settings = Settings(_env_file=None, kafka_bootstrap_servers=servers, topic_prefix=PREFIX, encryption_key=[key])
    path = f"/v1/import/1/flights/{asyncio.run(make_receiver(settings))}"
    environment = {
        **os.environ,
        "STREAMS_KAFKA_BOOTSTRAP_SERVERS": servers,
        "STREAMS_TOPIC_PREFIX": PREFIX,
        "STREAMS_ENCRYPTION_KEY": key,
        "STREAMS_LOG_LEVEL": "warning",
    }
    scripts = dict(write_scripts(directory, count))
    figures: dict[str, list[tuple[float, float]]] = {}
    for _ in range(runs):
        figures.setdefault("floor: produce alone", []).append(floor(settings, seconds, count))
        with worker([sys.executable, "-m", "app", "gateway"], environment) as (pid, port):
            url = f"http://127.0.0.1:{port}{path}"
            warm(url, scripts["array"])
            for name, script in scripts.items():
                figures.setdefault(name, []).append(drive(url, script, seconds, pid, count))
    print(f"bodies: medians of {runs} runs of {seconds} s, {count} events a request, {os.cpu_count()} cores")
    print(f"{'body':<24}{'events/s':>12}{'best':>12}{'us/event':>12}")
    for name, found_ones in figures.items():
        rate, cpu = (statistics.median(column) for column in zip(*found_ones, strict=True))
        print(f"{name:<24}{rate:>12,.0f}{max(one[0] for one in found_ones):>12,.0f}{cpu:>12.2f}")


def write_scripts(directory: Path, count: int) -> Iterator[tuple[str, Path]]:
    for number, (name, (content_type, coding, body)) in enumerate(bodies(count).items()):
        data, script = directory / f"{number}.body", directory / f"{number}.lua"
        data.write_bytes(body)
        encoding = f'wrk.headers["Content-Encoding"] = "{coding}"' if coding else ""
        script.write_text(SCRIPT % (data, content_type, encoding))
        yield name, script


def drive(url: str, script: Path, seconds: int, pid: int, count: int) -> tuple[float, float]:
    """Events a second, and CPU microseconds an event."""
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", str(script), url]
    before = cpu_seconds(pid)
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    spent = cpu_seconds(pid) - before
    if "Non-2xx" in text:
        sys.exit(f"Some requests were refused:\n{text}")
    events = count * float(found(r"(\d+) requests in", text))
    return count * float(found(r"Requests/sec:\s+([\d.]+)", text)), spent / events * 1e6


def floor(settings: Settings, seconds: int, count: int) -> tuple[float, float]:
    """The same events by the producer alone, waited for in batches as a sender waits for its requests."""
    producer = Producer(publisher_config(settings))
    _, _, lines = bodies(count)["NDJSON"]
    events = lines.split(b"\n")
    fields = [("Content-Type", b"application/x-ndjson"), ("User-Agent", b"benchmark/1.0"), ("Accept", b"*/*")]
    fields.append(("Content-Length", b"60000"))
    done = 0

    def report(error: object, message: object) -> None:
        nonlocal done
        assert error is None
        done += 1

    producer.produce(TOPIC, events[0], on_delivery=report)
    producer.flush(30)  # the first one waits for the producer's id
    done, begun, spent = 0, time.monotonic(), time.process_time()
    while time.monotonic() - begun < seconds:
        for event in events:
            headers = [("streams.id", new_event_id()), ("streams.ip", b"127.0.0.1"), *fields]
            producer.produce(TOPIC, event, headers=headers, on_delivery=report)
        while len(producer) > CONNECTIONS * count:
            producer.poll(0.001)
    producer.flush(10)
    return done / (time.monotonic() - begun), (time.process_time() - spent) / done * 1e6


if __name__ == "__main__":
    main()
