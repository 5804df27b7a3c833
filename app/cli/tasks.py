"""`streams tasks` and `streams tokens`: what the API does after it has answered, and the exports' tokens."""

from __future__ import annotations

from typing import Annotated

import typer

from app.cli.receivers import Receiver
from app.cli.terminal import Address, AsJson

Task = Annotated[str, typer.Argument(help="Id of the task, with its slashes, or its URL.", show_default=False)]

tasks = typer.Typer(help="Tasks: what the API does in the background, such as making tables.", no_args_is_help=True)
tokens = typer.Typer(help="Tokens: with what the exports may write into their buckets.", no_args_is_help=True)


@tasks.command("show")
def show_(task: Task, address: Address = None, as_json: AsJson = False) -> None:
    """Show a task as it is now.

    Try: `streams tasks show clicks/receiver.create/2026-01-02T03:04:05.678Z_aBcDe`
    """
    from app.cli.buffer import task_path
    from app.cli.display import task_view
    from app.cli.terminal import api, give

    with api(address) as buffer:
        answer = buffer.call("GET", task_path(task))
    give(answer, task_view, as_json)


@tasks.command()
def wait(
    task: Task,
    timeout: Annotated[float, typer.Option(min=0, help="Seconds to wait at most.")] = 600,
    address: Address = None,
    as_json: AsJson = False,
) -> None:
    """Wait until a task has finished; ends with 1 when it failed, or goes on after the time.

    Try: `streams tasks wait "$(streams receivers create -f receiver.yaml --no-wait --json | jq -r .id)"`
    """
    from app.cli.buffer import task_path
    from app.cli.display import task_view
    from app.cli.terminal import api, give, spinner, tell_waiting

    with api(address) as buffer, spinner("wait for the task …", as_json):
        answer = buffer.wait(buffer.call("GET", task_path(task)), timeout, tell_waiting)
    give(answer, task_view, as_json)


@tokens.command()
def refresh(receiver: Receiver, address: Address = None, as_json: AsJson = False) -> None:
    """Give each export of a receiver a new token; those that Storage lost are made again.

    Nothing stops meanwhile. Try: `streams tokens refresh clicks`
    """
    from app.cli.buffer import receiver_path
    from app.cli.terminal import api, print_json, spinner

    with api(address) as buffer, spinner(f"refresh the tokens of {receiver} …", as_json):
        answer = buffer.call("POST", f"{receiver_path(receiver)}/tokens/refresh")
    if as_json:
        print_json(answer)
    else:
        count = len(answer["exports"])
        typer.echo(
            f"receiver {receiver}: {count} {'export has a new token' if count == 1 else 'exports have new tokens'}"
        )
