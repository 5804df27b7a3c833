"""`streams receivers`: made, changed and deleted through the Buffer API."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from app.cli.terminal import Address, AsJson, Discard, DryRun, File, NoWait, Prune, Yes

Receiver = Annotated[str, typer.Argument(help="Id of the receiver.", show_default=False)]


class Split(StrEnum):
    """As the API has it."""

    ON = "on"
    OFF = "off"


class Auth(StrEnum):
    """As the API has it."""

    URL = "url"
    BEARER = "bearer"


receivers = typer.Typer(
    help="Receivers: where events are sent to, each with the exports that its events go to.\n\n"
    "Keep them in a file and `apply` it: `streams receivers apply -f receiver.yaml`. STREAMS_STORAGE_TOKEN holds the "
    "master token of your project; for a local stack that runs it is known.",
    no_args_is_help=True,
)


@receivers.command("list")
def list_(address: Address = None, as_json: AsJson = False) -> None:
    """List the project's receivers.

    Try: `streams receivers list --json`
    """
    from app.cli.display import receivers_table
    from app.cli.terminal import api, give_list

    with api(address) as buffer:
        answer = buffer.call("GET", "/v1/receivers")
    none = "No receivers yet: `streams receivers create -f receiver.yaml` makes one."
    give_list(answer, "receivers", receivers_table, none, as_json)


@receivers.command("show")
def show_(receiver: Receiver, address: Address = None, as_json: AsJson = False) -> None:
    """Show a receiver and its exports.

    What `streams receivers show clicks --json` prints may be changed and given to `apply`.
    """
    from app.cli.buffer import receiver_path
    from app.cli.display import receiver_view
    from app.cli.terminal import api, give

    with api(address) as buffer:
        answer = buffer.call("GET", receiver_path(receiver))
    give(answer, receiver_view, as_json)


@receivers.command()
def url(receiver: Receiver, address: Address = None) -> None:
    """Print the URL to send events to; who knows it may send.

    Try: `curl "$(streams receivers url clicks)" -d '{"page": "/"}'`
    """
    from app.cli.buffer import receiver_path
    from app.cli.display import source_words
    from app.cli.terminal import api
    from app.model.errors import StreamsError

    with api(address) as buffer:
        answer = buffer.call("GET", receiver_path(receiver))
        if "problem" in answer:
            raise StreamsError(f'The URL of receiver "{receiver}" is not known: {answer["problem"]}')
        if "source" in answer:
            raise StreamsError(f'Receiver "{receiver}" has no URL: it reads the {source_words(answer["source"])}.')
        typer.echo(answer["url"])


@receivers.command()
def secret(receiver: Receiver, address: Address = None) -> None:
    """Print the secret that is in the URL; for a receiver with `auth: bearer`, the token.

    Try: `curl URL -H "Authorization: Bearer $(streams receivers secret clicks)" -d '{"page": "/"}'`
    """
    from app.cli.buffer import receiver_path
    from app.cli.display import source_words
    from app.cli.terminal import api
    from app.model.errors import StreamsError

    with api(address) as buffer:
        answer = buffer.call("GET", receiver_path(receiver))
        if "problem" in answer:
            raise StreamsError(f'The secret of receiver "{receiver}" is not known: {answer["problem"]}')
        if "source" in answer:
            raise StreamsError(f'Receiver "{receiver}" has no secret: it reads the {source_words(answer["source"])}.')
        typer.echo(answer.get("token", answer["url"].rpartition("/")[2]))


@receivers.command()
def rotate(
    receiver: Receiver,
    overlap: Annotated[
        str, typer.Option(help="How long the secret before works too, 0s to 720h; 0s ends it at once.")
    ] = "24h",
    yes: Yes = False,
    address: Address = None,
    as_json: AsJson = False,
) -> None:
    """Give a receiver a new secret, and so a new URL. The one before works beside it for a while.

    Try: `streams receivers rotate clicks --overlap 1h --yes`
    """
    from app.cli.buffer import receiver_path
    from app.cli.display import receiver_view
    from app.cli.terminal import api, ask, give, spinner

    with api(address) as buffer:
        buffer.call("GET", receiver_path(receiver))
        ask(f"Give receiver {receiver} a new secret, and end the one before in {overlap}?", yes)
        with spinner(f"rotate the secret of receiver {receiver} …", as_json):
            answer = buffer.call("POST", f"{receiver_path(receiver)}/secret/rotate", query={"overlap": overlap})
    give(answer, receiver_view, as_json)


@receivers.command()
def create(file: File, address: Address = None, no_wait: NoWait = False, as_json: AsJson = False) -> None:
    """Create the receivers of a file, with their exports.

    The file has the shape of the API's bodies: `streams receivers create -f receiver.yaml` with

        name: Clicks
        exports:
          - name: All
            mapping:
              tableId: in.c-web.clicks
              columns: [{name: id, type: id, primaryKey: true}, {name: body, type: body}]

    Ends with 2 when the file cannot be right (then nothing was made), with 1 when the API refuses one: those before it
    are made. Limits, such as the shortest time of a condition, are the API's to say.
    """
    from app.cli.files import read_receivers
    from app.cli.performing import create as create_all
    from app.cli.plan import Action, Step
    from app.cli.terminal import api, warn

    wanted, warnings = read_receivers(file)
    warn(warnings)
    with api(address) as buffer:
        steps = [Step(Action.CREATE, draft.receiver_id, draft=draft) for draft in wanted]
        create_all(buffer, steps, as_json, not no_wait)


@receivers.command()
def apply(
    file: File,
    address: Address = None,
    prune: Prune = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Create or change receivers and their exports to match a file; shows the difference first.

    A second time does nothing. What the file leaves out takes its default, as on create; exports that are not in it
    stay, unless there is --prune. Try: `streams receivers apply -f receiver.yaml --dry-run`
    """
    from app.cli.applying import plan_for_receivers
    from app.cli.buffer import receiver_path
    from app.cli.files import read_receivers
    from app.cli.performing import apply as apply_plan
    from app.cli.terminal import api, print_answers, warn

    wanted, warnings = read_receivers(file)
    warn(warnings)
    with api(address) as buffer:
        plan = plan_for_receivers(buffer, wanted, prune)
        if apply_plan(buffer, plan, as_json, yes, dry_run) and as_json:
            answers = [buffer.call("GET", receiver_path(draft.receiver_id)) for draft in wanted]
            print_answers(answers)


@receivers.command()
def update(
    receiver: Receiver,
    name: Annotated[str | None, typer.Option(help="The new name; the id stays.", show_default=False)] = None,
    description: Annotated[str | None, typer.Option(help="The new description.", show_default=False)] = None,
    auth: Annotated[Auth | None, typer.Option(help="Where senders put the secret.", show_default=False)] = None,
    split: Annotated[
        Split | None,
        typer.Option(help="Whether a JSON array, NDJSON and a batch are many events.", show_default=False),
    ] = None,
    address: Address = None,
    as_json: AsJson = False,
) -> None:
    """Change a receiver's name, description, where its secret is, or whether bodies are split. How events must be
    signed is the file's to say.

    Try: `streams receivers update clicks --description "Clicks of the shop"`
    """
    from app.cli.buffer import receiver_path
    from app.cli.display import receiver_view
    from app.cli.terminal import api, give, spinner

    given = {"name": name, "description": description, "auth": auth, "split": split}
    body = {field: value for field, value in given.items() if value is not None}
    if not body:
        raise typer.BadParameter("give --name, --description, --auth or --split")
    with api(address) as buffer, spinner(f"change receiver {receiver} …", as_json):
        answer = buffer.call("PATCH", receiver_path(receiver), body)
    give(answer, receiver_view, as_json)


@receivers.command()
def delete(
    receiver: Receiver,
    discard: Discard = False,
    delete_topic: Annotated[
        bool, typer.Option("--delete-topic", help="Delete its topic too, once nothing is drained from it.")
    ] = False,
    yes: Yes = False,
    address: Address = None,
) -> None:
    """Delete a receiver and its exports. Its tables stay.

    What was accepted is still brought into the tables, unless there is --discard.
    Try: `streams receivers delete clicks --yes`
    """
    from app.cli.buffer import receiver_path
    from app.cli.terminal import api, ask, spinner

    what = f"Delete receiver {receiver}{' and drop what is not imported yet' if discard else ''}?"
    query = {"discard": str(discard).lower(), "deleteTopic": str(delete_topic).lower()}
    with api(address) as buffer:
        buffer.call("GET", receiver_path(receiver))
        ask(what, yes)
        with spinner(f"delete receiver {receiver} …"):
            buffer.call("DELETE", receiver_path(receiver), query=query)
    typer.echo(f"receiver {receiver} deleted")
