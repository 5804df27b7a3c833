"""`streams local`: the whole system on this machine."""

from __future__ import annotations

import json
import signal
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from app.model.errors import BadRequest, ConfigurationError
from app.settings import load_settings

local = typer.Typer(
    help="Kafka, a Storage to try things on, and the four processes, all on this machine.\n\n"
    "Data, logs and keys are in `.local/` (STREAMS_LOCAL_DIR); `make clean-local` forgets them.",
    no_args_is_help=True,
)


@local.command()
def up(
    demo: Annotated[bool, typer.Option("--demo", help="Load the demo (real flights) as soon as it is ready.")] = False,
) -> None:
    """Start everything and stay in the foreground; Ctrl-C stops it.

    Goes on with the data of the last time. A part that dies is started again. Ports are settings:
    STREAMS_GATEWAY_PORT (8000), STREAMS_STORAGE_PORT (8001), STREAMS_STORAGE_S3_PORT (8002), STREAMS_KAFKA_PORT (9092),
    STREAMS_CONTROL_PORT, STREAMS_MAPPER_PORT and STREAMS_SINK_PORT (9101 to 9103).
    """
    from app.local.up import up as run_stack

    run_stack(load_settings(), Console(), demo)


@local.command()
def down() -> None:
    """Stop the stack that runs on this machine."""
    from app.local.state import stop_stack

    typer.echo(
        "The local stack is stopped." if stop_stack(load_settings().local_dir) else "The local stack does not run."
    )


@local.command()
def status() -> None:
    """Show the parts of the running stack; ends with 1 unless all are ready."""
    from app.local.display import status_table
    from app.local.state import running_stack

    state = running_stack(load_settings().local_dir)
    if state is None:
        typer.echo("The local stack does not run: `streams local up` starts it.")
        raise typer.Exit(1)
    table, all_ready = status_table(state)
    Console().print(table)
    if not all_ready:
        raise typer.Exit(1)


@local.command()
def sql(
    query: Annotated[str, typer.Argument(help='One select. A bucket is a schema: "in.c-flights".departures')],
    as_json: Annotated[bool, typer.Option("--json", help="Print all rows as a list of objects, for scripts.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many rows in the table.")] = 100,
) -> None:
    """Ask the tables of the local Storage.

    Try: `streams local sql 'select count(*) from "in.c-flights".departures'`
    """
    columns, rows = _ask(query)
    if as_json:
        typer.echo(json.dumps([dict(zip(columns, row, strict=True)) for row in rows], ensure_ascii=False))
        return
    table = Table(*[escape(column) for column in columns], header_style="bold")
    for row in rows[:limit]:
        table.add_row(*["" if value is None else escape(str(value)) for value in row])
    Console().print(table)
    if len(rows) > limit:
        typer.echo(f"The first {limit:,} of {len(rows):,} rows; --limit shows more, --json all.")


@local.command()
def demo(
    flights: Annotated[
        int | None, typer.Option(min=2, help="How many flights to load; all 336,776 by default.")
    ] = None,
) -> None:
    """Load real flights over HTTP and Kafka into two tables of the running stack; goes on where it was stopped."""
    import asyncio

    from app.local.demo import run_demo
    from app.local.storage.config import MASTER_TOKEN, EmulatorConfig
    from app.local.surroundings import local_settings

    settings = local_settings(load_settings())
    project = str(EmulatorConfig.project_id)

    async def load() -> None:
        """Ended by a signal, or by two: a terminal's Ctrl-C comes to us and to the stack, which then stops us too."""
        task = asyncio.current_task()
        assert task is not None
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        await run_demo(settings, MASTER_TOKEN, project, Console(), flights)

    try:
        asyncio.run(load())
    except asyncio.CancelledError:
        typer.echo("The demo was stopped; it goes on where it was the next time.")
        raise typer.Exit(130) from None


def _ask(query: str) -> tuple[list[str], list[list[Any]]]:
    import httpx

    url = f"{_storage_address()}/local/sql"
    try:
        answer = httpx.post(url, json={"query": query}, timeout=300, trust_env=False)
    except httpx.ConnectError:
        raise ConfigurationError(
            f"The local Storage does not answer at {url}: start it by `streams local up`."
        ) from None
    if answer.status_code != 200:
        raise BadRequest(f"The query failed: {_complaint(answer)}")
    body = answer.json()
    return body["columns"], body["rows"]


def _storage_address() -> str:
    """Where the running stack has its Storage; by the settings when none runs."""
    from app.local.state import running_stack

    settings = load_settings()
    stack = running_stack(settings.local_dir)
    return (stack and stack.address_of("storage")) or f"http://127.0.0.1:{settings.storage_port}"


def _complaint(answer: Any) -> str:
    try:
        body = answer.json()
    except ValueError:
        return f"HTTP {answer.status_code}"
    return str(body.get("error") or body.get("message") or body)
