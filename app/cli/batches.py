"""`streams batches`: what an export has gathered, and how its imports went."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from app.cli.dead_letters import Export
from app.cli.terminal import Address, AsJson, Yes

Batch = Annotated[str, typer.Argument(metavar="BATCH", help="Id of the batch, as the list has it.", show_default=False)]

batches = typer.Typer(
    help="Batches: the rows that an export gathers and imports together.",
    no_args_is_help=True,
)


@batches.command("list")
def list_(
    export: Export,
    phase: Annotated[str | None, typer.Option(help="Only those in this phase, such as failed or expired.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100, help="At most so many, the newest.")] = 20,
    address: Address = None,
    as_json: AsJson = False,
) -> None:
    """List an export's batches, newest first. They are forgotten 7 days after their import.

    Try: `streams batches list clicks/all --phase expired`
    """
    from app.cli.batch_views import batches_table
    from app.cli.terminal import api, print_json, show, spinner

    query = {"limit": str(limit), **({} if phase is None else {"phase": phase})}
    with api(address) as buffer, spinner(f"look for batches of {export} …", as_json):
        answer = buffer.call("GET", path_of(export), query=query)
    if as_json:
        print_json(answer)
        return
    found = answer["batches"]
    if found:
        show(batches_table(found))
        typer.echo()
    more = "there may be older ones" if answer["hasMore"] else "there are no older ones"
    count = f"{len(found):,} {'batch' if len(found) == 1 else 'batches'} of {export}"
    typer.echo(f"{count}; {more}. `streams batches show {export} BATCH` shows one with its attempts.")


@batches.command("show")
def show_(export: Export, batch: Batch, address: Address = None, as_json: AsJson = False) -> None:
    """Show a batch with the attempts to import it.

    Try: `streams batches show clicks/all 000000000012345-0000042`
    """
    from urllib.parse import quote

    from app.cli.batch_views import batch_view
    from app.cli.terminal import api, give

    with api(address) as buffer:
        give(buffer.call("GET", f"{path_of(export)}/{quote(batch, safe='')}"), batch_view, as_json)


@batches.command("download")
def download_(
    export: Export,
    batch: Batch,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="A file to write; standard output without it.", show_default=False),
    ] = None,
    address: Address = None,
) -> None:
    """Read the rows of a batch from its file in Storage, as CSV with a header line.

    To see or save what a batch holds that failed or expired; Storage keeps the file for 15 days.
    Try: `streams batches download clicks/all 000000000012345-0000042 --output rows.csv`
    """
    from urllib.parse import quote

    from app.cli.downloading import download
    from app.cli.terminal import api, spinner, warn
    from app.settings import load_settings

    with api(address) as buffer:
        file = buffer.call("GET", f"{path_of(export)}/{quote(batch, safe='')}/file")
        with spinner(f"read batch {batch} …", quiet=output is None):
            warnings = download(load_settings(), buffer, file, output)
    warn(warnings)
    if output is not None:
        rows = sum(part["rows"] for part in file["slices"])
        typer.echo(f"{output}: {rows:,} {'row' if rows == 1 else 'rows'} of batch {batch}")


@batches.command("retry")
def retry_(
    export: Export,
    batch: Batch,
    yes: Yes = False,
    address: Address = None,
    as_json: AsJson = False,
) -> None:
    """Import a batch again that failed (now instead of later), has expired, or is unclear.

    Of an unclear one, look first whether its rows are in the table: they would be there twice.
    Try: `streams batches retry clicks/all 000000000012345-0000042`
    """
    from urllib.parse import quote

    from app.cli.display import task_view
    from app.cli.terminal import api, ask, give, spinner

    path = f"{path_of(export)}/{quote(batch, safe='')}"
    with api(address) as buffer:
        found = buffer.call("GET", path)
        if found["phase"] == "unclear":
            ask(f"Rows of batch {batch} may be in {found['tableId']} already, and then twice. Import it again?", yes)
        with spinner(f"retry batch {batch} …", as_json):
            task = buffer.wait(buffer.call("POST", f"{path}/retry"))
    give(task, task_view, as_json)


def path_of(export: str) -> str:
    """Where the API has the batches of RECEIVER/EXPORT."""
    from app.cli.buffer import named_export_path

    return f"{named_export_path(export)}/batches"
