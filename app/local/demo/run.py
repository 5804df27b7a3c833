"""The demo from start to end: create the receiver, send what is missing, wait for the tables, show that it adds up."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

import httpx
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from app.kafka.names import Names
from app.kafka.view import ControlView
from app.local.demo.count import Counts, count_exports
from app.local.demo.flights import RECEIVER, Flight, read_flights
from app.local.demo.load import records_in, send_http, send_kafka
from app.model.errors import StreamsError
from app.model.receiver import entity_key
from app.settings import Settings

_SILENCE_SECONDS = 180
_POLL_SECONDS = 0.5


class DemoFailed(StreamsError):
    """The demo did not come to its end, or its counts do not add up."""


@dataclass(frozen=True)
class Local:
    """The local stack as the demo uses it."""

    settings: Settings
    api: httpx.AsyncClient
    project_id: str

    async def rows(self, table: str) -> int:
        """Rows in the table by SQL; 0 before it is there."""
        url = f"http://{self.settings.listen_address}:{self.settings.storage_port}/local/sql"
        query = f'select count(*) from "in.c-flights"."{table}"'  # noqa: S608  # our own tables
        answer = await self.api.post(url, json={"query": query})
        return int(answer.json()["rows"][0][0]) if answer.status_code == 200 else 0


async def run_demo(settings: Settings, token: str, project_id: str, console: Console, limit: int | None = None) -> None:
    """Load the first `limit` flights (all without), wait until they are in the tables, print what became of them.

    Raises DemoFailed when something does not arrive or does not add up.
    """
    base = f"http://{settings.listen_address}:{settings.gateway_port}"
    headers = {"X-StorageApi-Token": token}
    async with httpx.AsyncClient(base_url=base, headers=headers, timeout=60) as api:
        local = Local(settings, api, project_id)
        url = await _receiver(api)
        with console.status("Reading the flights"):
            flights = await asyncio.to_thread(lambda: list(read_flights(limit)))
        began = time.monotonic()
        sent = await _send(local, url, flights, console)
        await _arrive(local, flights, console)
        seconds = time.monotonic() - began
        with console.status("Counting in Kafka"):
            async with ControlView(settings) as view:
                receiver = view.catalog.receivers[entity_key(project_id, "flights")]
                exports = view.catalog.exports_of(receiver)
                counts = await asyncio.to_thread(count_exports, settings, exports)
        tables = {export_id: await local.rows(export_id) for export_id in counts}
    _report(console, flights, counts, tables, sent, seconds)


async def _receiver(api: httpx.AsyncClient) -> str:
    """The receiver's import URL; the receiver is created unless it is there."""
    try:
        found = await api.get("/v1/receivers/flights")
    except httpx.TransportError as error:
        raise DemoFailed(f"No gateway answers at {api.base_url}: start the stack by `streams local up`.") from error
    if found.status_code == 200:
        return str(found.json()["url"])
    task = await api.post("/v1/receivers", json=RECEIVER)
    if task.status_code != 202:
        raise DemoFailed(f"The receiver was not created: {task.text}")
    state = task.json()
    while not state["isFinished"]:
        await asyncio.sleep(0.1)
        state = (await api.get(httpx.URL(state["url"]).path)).json()
    if state["status"] != "success":
        raise DemoFailed(f"The receiver was not created: {state['error']}")
    return str((await api.get("/v1/receivers/flights")).json()["url"])


async def _send(local: Local, url: str, flights: list[Flight], console: Console) -> int:
    """Send the flights that the topic does not hold yet: even numbers over HTTP, odd ones by a producer. How many."""
    settings = local.settings
    topic = Names(settings.topic_prefix).events(local.project_id, "flights")
    there = await asyncio.to_thread(records_in, settings, topic, settings.receiver_partitions)
    missing = [flight for flight in flights if flight.record not in there]
    if not missing:
        console.print(f"All {len(flights):,} flights are in Kafka from an earlier run; nothing is sent again.")
        return 0
    over_http = [flight for flight in missing if flight.record % 2 == 0]
    by_producer = [flight for flight in missing if flight.record % 2]
    address = f"http://{settings.listen_address}:{settings.gateway_port}{httpx.URL(url).path}"
    with _progress(console) as bars:
        http_bar = bars.add_task("Accepted over HTTP", total=len(over_http))
        kafka_bar = bars.add_task("Written by a Kafka producer", total=len(by_producer))
        await asyncio.gather(
            send_http(address, over_http, lambda n: bars.advance(http_bar, n)),
            asyncio.to_thread(send_kafka, settings, topic, by_producer, lambda n: bars.advance(kafka_bar, n)),
        )
    return len(missing)


async def _arrive(local: Local, flights: list[Flight], console: Console) -> None:
    """Wait until both tables have their rows. Raises DemoFailed when nothing moves for too long."""
    expected = {"departures": len(flights), "delays": sum(not flight.cancelled for flight in flights)}
    with _progress(console) as bars:
        tasks = {name: bars.add_task(f"In table in.c-flights.{name}", total=total) for name, total in expected.items()}
        moved, seen = time.monotonic(), dict.fromkeys(expected, 0)
        while any(seen[name] < total for name, total in expected.items()):
            now = {name: await local.rows(name) for name in expected}
            if now != seen:
                moved, seen = time.monotonic(), now
            for name, task in tasks.items():
                bars.update(task, completed=seen[name])
            if time.monotonic() - moved > _SILENCE_SECONDS:
                raise DemoFailed(
                    f"No new rows for {_SILENCE_SECONDS} s: {seen} of {expected}. "
                    "See `streams local status` and the logs."
                )
            await asyncio.sleep(_POLL_SECONDS)


def _report(
    console: Console,
    flights: list[Flight],
    counts: dict[str, Counts],
    tables: dict[str, int],
    sent: int,
    seconds: float,
) -> None:
    table = Table(title="What became of the flights")
    table.add_column("export", no_wrap=True)
    for name in ("accepted", "mapped", "dead letters", "imported", "rows by SQL", "imports"):
        table.add_column(name, justify="right")
    for name, count in counts.items():
        numbers = (len(flights), count.mapped, count.dead_letters, count.imported, tables[name], count.imports)
        table.add_row(name, *(f"{number:,}" for number in numbers))
    console.print(table)
    if sent:
        console.print(
            f"{sent:,} events into two tables in {seconds:.1f} s: {sent / seconds:,.0f} events/s, both ways in."
        )
    wrong = [problem for name, count in counts.items() for problem in _problems(name, count, flights, tables[name])]
    if wrong:
        raise DemoFailed("The counts do not add up: " + "; ".join(wrong))
    console.print("It adds up: every event is in exactly one place, once per export.\n")
    console.print("Try next:")
    for command in (
        """streams local sql 'select flight, route, minutes_late from "in.c-flights".departures limit 5'""",
        """streams local sql 'select carrier, avg(minutes::int) from "in.c-flights".delays group by 1 order by 2'""",
        "streams dead-letters list flights/delays --limit 5",
    ):
        console.print(f"  .venv/bin/{command}", highlight=False, soft_wrap=True)


def _problems(name: str, count: Counts, flights: list[Flight], in_table: int) -> list[str]:
    cancelled = sum(flight.cancelled for flight in flights) if name == "delays" else 0
    checks: list[tuple[str, int, int]] = [
        ("rows mapped", count.mapped, len(flights) - cancelled),
        ("failures mapped", count.failed, cancelled),
        ("dead letters", count.dead_letters, cancelled),
        ("rows imported", count.imported, len(flights) - cancelled),
        ("rows in the table", in_table, len(flights) - cancelled),
    ]
    return [f"{name}: {what} {found:,}, expected {wanted:,}" for what, found, wanted in checks if found != wanted]


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description:34}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=console
    )
