"""The Buffer API with a full project: 100 receivers of 20 exports, one gateway process.

    python benchmarks/api.py [--receivers 100] [--exports 20] [--runs 3]

The entities are put into the control log, then a gateway is started: time runs from its start until it is ready, which
is after its view has read the log. Then `GET /v1/receivers` is asked 20 times and its memory looked at. Beside it, in
the same rounds, the floor: the same with one receiver without exports.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
from _installation import PLAIN, configure, forget, make_export, make_receiver, make_settings, running

from app.kafka.client import connect_admin
from app.kafka.plan import create_topics, system_topics
from app.local.kafka import LocalBroker
from app.local.ports import free_port
from app.local.storage import Emulator
from app.local.storage import running as emulating
from app.model.cipher import Cipher
from app.model.conditions import Conditions
from app.model.receiver import Column, ColumnType, Export, Mapping, Receiver, Revision
from app.settings import Settings

REQUESTS = 20
PROJECT = "1234"
TEMPLATES = tuple(Column(f"field{n}", ColumnType.TEMPLATE, False, f'Body("user.field{n}", null)') for n in range(6))


@dataclass(frozen=True)
class Figure:
    """Seconds until ready, milliseconds of an answer (median and worst), its bytes, memory of the process in MB."""

    start: float
    median: float
    worst: float
    size: int
    memory: float


def project(settings: Settings, receivers: int, exports: int) -> list[Receiver | Export]:
    """Receivers with their exports, of ten columns each."""
    cipher = Cipher(settings.encryption_key)
    secret, found = cipher.encrypt("s" * 48), list[Receiver | Export]()
    for number in range(receivers):
        name = f"receiver-{number:03d}"
        receiver = replace(
            make_receiver("id"), uid=name, project_id=PROJECT, receiver_id=name, name=name, secret=secret, topic=name
        )
        found.append(receiver)
        for place in range(exports):
            mapping = Mapping(f"in.c-bench.t{number}-{place}", (*PLAIN, *TEMPLATES))
            export = make_export(f"{name}-{place}", Revision(1, mapping, "1", secret, 0), Conditions(), 0)
            found.append(
                replace(
                    export, receiver_uid=name, project_id=PROJECT, receiver_id=name, export_id=f"export-{place:02d}"
                )
            )
    return found


def measure(settings: Settings, storage: Emulator) -> Figure:
    """One gateway on the control log as it is."""
    port = free_port()
    begun = time.perf_counter()
    with running("gateway", settings, storage, gateway_port=port) as gateway:
        client = httpx.Client(base_url=f"http://127.0.0.1:{port}", headers={"X-StorageApi-Token": storage.master_token})
        while not ready(client):
            time.sleep(0.01)
        start = time.perf_counter() - begun
        times = []
        for _ in range(REQUESTS):
            asked = time.perf_counter()
            answer = client.get("/v1/receivers", timeout=60)
            times.append((time.perf_counter() - asked) * 1000)
            answer.raise_for_status()
        pages = int(Path(f"/proc/{gateway.pid}/statm").read_text().split()[1])
        memory = pages * os.sysconf("SC_PAGE_SIZE") / 1e6
    return Figure(start, statistics.median(times), max(times), len(answer.content), memory)


def ready(client: httpx.Client) -> bool:
    try:
        return client.get("/ready").status_code == 200
    except httpx.TransportError:
        return False


def show(name: str, figures: list[Figure]) -> Figure:
    """Print and return the medians."""
    columns = ("start", "median", "worst", "size", "memory")
    middle = Figure(*(statistics.median(getattr(figure, column) for figure in figures) for column in columns))
    print(
        f"{name:<34}{middle.start:>9.2f} s{middle.median:>11.1f} ms{middle.worst:>9.1f} ms"
        f"{middle.size / 1e3:>10,.0f} KB{middle.memory:>9.0f} MB"
    )
    return middle


def main() -> None:
    arguments = argparse.ArgumentParser(description="The Buffer API with a full project.")
    arguments.add_argument("--receivers", type=int, default=100)
    arguments.add_argument("--exports", type=int, default=20)
    arguments.add_argument("--runs", type=int, default=3)
    options = arguments.parse_args()
    empty, full = list[Figure](), list[Figure]()
    with tempfile.TemporaryDirectory() as folder, LocalBroker(Path(folder) / "kafka") as broker:
        settings = make_settings(broker)
        create_topics(connect_admin(settings), system_topics(settings))
        with emulating(Path(folder) / "storage") as storage:
            entities = project(settings, options.receivers, options.exports)
            for _ in range(options.runs):
                configure(settings, *project(settings, 1, 0))
                empty.append(measure(settings, storage))
                configure(settings, *entities)
                full.append(measure(settings, storage))
                forget(settings, *entities)
    print(f"{os.cpu_count()} cores, medians of {options.runs} runs")
    print(f"{'GET /v1/receivers':<34}{'ready':>11}{'median':>14}{'worst':>12}{'answer':>13}{'memory':>12}")
    floor = show("floor: one receiver, no export", empty)
    measured = show(f"{options.receivers} receivers of {options.exports} exports", full)
    print(f"more than the floor: {measured.start - floor.start:.2f} s, {measured.memory - floor.memory:.0f} MB")


if __name__ == "__main__":
    main()
