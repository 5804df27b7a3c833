"""What people see of the local stack: each part's progress while it starts, what happens later, where all is."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from app.local.parts import answers
from app.local.ports import is_free
from app.local.state import StackState
from app.local.storage.config import MASTER_TOKEN
from app.settings import Settings


class StackDisplay:
    """Follows a stack: a line with a spinner for each part on a terminal, plain lines elsewhere."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = Progress(
            SpinnerColumn(finished_text="[green]●[/green]"),
            TextColumn("{task.fields[part]:<8}"),
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._tasks: dict[str, TaskID] = {}
        self._began = time.monotonic()

    def __enter__(self) -> StackDisplay:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.settle()

    def starting(self, part: str) -> None:
        self._tasks[part] = self._progress.add_task("starting", total=1, part=part)

    def ready(self, part: str, address: str) -> None:
        self._progress.update(self._tasks[part], description=f"ready at {address}", completed=1)
        if not self._console.is_terminal:
            self.notice(f"{part} is ready at {address} after {time.monotonic() - self._began:.1f} s")

    def notice(self, text: str) -> None:
        self._console.print(escape(text), highlight=False, soft_wrap=True)

    def settle(self) -> None:
        """End the live part of the display; notices go on."""
        self._progress.stop()

    def seconds(self) -> float:
        return time.monotonic() - self._began


def print_addresses(console: Console, settings: Settings, seconds: float) -> None:
    """Where the parts of the running stack are, and how to stop it."""
    host = "http://127.0.0.1:"
    lines = [
        ("Gateway", f"{host}{settings.gateway_port}", "events at /v1/import, Buffer API at /v1"),
        ("Storage", f"{host}{settings.storage_port}", f"project 1234, token {MASTER_TOKEN}"),
        ("Kafka", f"127.0.0.1:{settings.kafka_port}", f"topics {settings.topic_prefix}.*"),
        ("Control", f"{host}{settings.control_port}", "/metrics, /ready and /health-check"),
        ("Mapper", f"{host}{settings.mapper_port}", "/metrics, /ready and /health-check"),
        ("Sink", f"{host}{settings.sink_port}", "/metrics, /ready and /health-check"),
        ("Logs", str(settings.local_dir / "logs"), ""),
    ]
    console.print(f"[bold green]Ready[/bold green] after {seconds:.1f} s. Ctrl-C stops it.", highlight=False)
    for name, address, what in lines:
        console.print(f"  {name:<8}{escape(address):<23} {what}".rstrip(), highlight=False, soft_wrap=True)


def status_table(state: StackState) -> tuple[Table, bool]:
    """The parts of a running stack as they are now, and whether all are ready."""
    table = Table("part", "state", "address", "process", "restarts", box=None, header_style="bold")
    all_ready = True
    for part in state.parts:
        if part.ready_url is not None:
            ready = answers(part.ready_url)
        else:
            ready = not is_free(int(part.address.rpartition(":")[2]))
        all_ready = all_ready and ready
        table.add_row(
            part.name,
            "[green]ready[/green]" if ready else "[red]not ready[/red]",
            part.address,
            str(part.pid or "-"),
            str(part.restarts),
        )
    return table, all_ready
