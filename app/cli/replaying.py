"""`streams replay`: past events of an export mapped again, into its table or another one."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.terminal import Address, AsJson, Yes

if TYPE_CHECKING:
    from app.cli.buffer import BufferApi

_PAUSE_SECONDS = 0.5
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only show what it would come to: nothing is stored.")]
NoWait = Annotated[bool, typer.Option("--no-wait", help="Give the replay at once instead of waiting for its end.")]


def replay(
    context: typer.Context,
    receiver: Annotated[str | None, typer.Option(help="Id of the receiver.", show_default=False)] = None,
    export: Annotated[str | None, typer.Option(help="Id of the export.", show_default=False)] = None,
    from_: Annotated[
        str | None,
        typer.Option("--from", help="Events received since: a time (2026-01-02T03:04:05Z) or an age (2h)."),
    ] = None,
    to: Annotated[str | None, typer.Option(help="Events received before: a time or an age.")] = None,
    table: Annotated[
        str | None, typer.Option(help="Another table for the rows, made if it is not there.", show_default=False)
    ] = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    no_wait: NoWait = False,
    address: Address = None,
    as_json: AsJson = False,
) -> None:
    """Map the retained events of a range of time again by the export's mapping in force, each exactly once.

    Events that arrive meanwhile go on as ever. Into the export's own table, an event that is a row there is one once
    more, unless a primary key makes them one.
    Try: `streams replay --receiver clicks --export all --from 2h --to 1h --table in.c-web.again --dry-run`
    """
    from app.cli.buffer import export_path
    from app.cli.letters import moment
    from app.cli.replay_views import tried_view
    from app.cli.terminal import api, ask, give, show, spinner

    if context.invoked_subcommand is not None:
        return
    given = {"--receiver": receiver, "--export": export, "--from": from_, "--to": to}
    missing = [name for name, value in given.items() if value is None]
    if missing:
        context.fail(f"Missing option {' and '.join(missing)}.")
    assert receiver is not None
    assert export is not None
    path = export_path(receiver, export)
    body: dict[str, Any] = {"from": moment(from_), "to": moment(to)} | ({} if table is None else {"tableId": table})
    with api(address) as buffer:
        if dry_run or not (yes or as_json):
            with spinner("map the first events on trial …", as_json):
                tried = buffer.call("POST", f"{path}/replay", body, query={"dryRun": "1"})
            if dry_run:
                give(tried, tried_view, as_json)
                return
            show(tried_view(tried), error=True)
        twice = "" if table else " Its rows are added: without a primary key an event is there twice then."
        ask(f"Replay into {table or 'the table of the export'}?{twice}", yes)
        begin(buffer, path, f"{path}/replay", body, no_wait, as_json)


def begin(buffer: BufferApi, path: str, where: str, body: dict[str, Any], no_wait: bool, as_json: bool) -> None:
    """Begin a replay of the export at `path` by a POST, and show how it goes until its end."""
    from app.cli.replay_views import replay_view
    from app.cli.terminal import give, spinner, warn

    with spinner("begin …", as_json):
        task = buffer.wait(buffer.call("POST", where, body))
    result = str(task["result"])
    lane, _, note = result.removeprefix("replay ").partition(" begun")
    warn([note.removeprefix("; ")] if note else [])
    with spinner("map …", as_json) as status:
        found = buffer.call("GET", f"{path}/replays/{lane}")
        while not no_wait and "finishedAt" not in found:
            if status is not None:
                mapped = f": {found['mapped']:,} of {found['offsets']:,} mapped" if "mapped" in found else ""
                status.update(f"{found['state']}{mapped}")
            time.sleep(_PAUSE_SECONDS)
            found = buffer.call("GET", f"{path}/replays/{lane}")
    give(found, replay_view, as_json)
