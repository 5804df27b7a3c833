"""`streams replay list|show|cancel`: replays of an export, those that a resume or a requeue began among them."""

from __future__ import annotations

from typing import Annotated

import typer

from app.cli.dead_letters import Export
from app.cli.replaying import replay
from app.cli.terminal import Address, AsJson, Yes

Replay = Annotated[str, typer.Argument(metavar="REPLAY", help="Id of the replay.", show_default=False)]

replays = typer.Typer()
replays.callback(invoke_without_command=True)(replay)


@replays.command("list")
def list_(export: Export, address: Address = None, as_json: AsJson = False) -> None:
    """List an export's replays, newest first.

    Try: `streams replay list clicks/all`
    """
    from app.cli.replay_views import replays_table
    from app.cli.terminal import api, give_list

    with api(address) as buffer:
        answer = buffer.call("GET", path_of(export))
    give_list(answer, "replays", replays_table, f"No replays of {export}.", as_json)


@replays.command("show")
def show_(export: Export, replay: Replay, address: Address = None, as_json: AsJson = False) -> None:
    """Show a replay and how far it is.

    Try: `streams replay show clicks/all 019abc`
    """
    from app.cli.replay_views import replay_view
    from app.cli.terminal import api, give

    with api(address) as buffer:
        give(buffer.call("GET", path_of(export, replay)), replay_view, as_json)


@replays.command()
def cancel(export: Export, replay: Replay, yes: Yes = False, address: Address = None, as_json: AsJson = False) -> None:
    """Map no more events of a replay that is under way.

    What is mapped already comes into the table: of each partition what lies before some offset. `streams batches list`
    with --json says which, the rest is left out. What waited while an export was suspended, and requeued dead letters,
    cannot be cancelled: they would be lost.
    Try: `streams replay cancel clicks/all 019abc`
    """
    from app.cli.replay_views import replay_view
    from app.cli.terminal import api, ask, give

    path = path_of(export, replay)
    with api(address) as buffer:
        found = buffer.call("GET", path)
        ask(f"Cancel the replay into {found['tableId']}? What is mapped already comes into the table.", yes)
        give(buffer.call("DELETE", path), replay_view, as_json)


def path_of(export: str, replay: str | None = None) -> str:
    """Where the API has the replays of RECEIVER/EXPORT, or one of them."""
    from urllib.parse import quote

    from app.cli.buffer import named_export_path

    path = f"{named_export_path(export)}/replays"
    return path if replay is None else f"{path}/{quote(replay, safe='')}"
