"""`streams exports`: the tables that a receiver's events go to."""

from __future__ import annotations

from typing import Annotated

import typer

from app.cli.receivers import Receiver
from app.cli.samples import ContentType, Header
from app.cli.terminal import Address, AsJson, Discard, DryRun, File, NoWait, Prune, Yes

Export = Annotated[str, typer.Argument(help="Id of the export.", show_default=False)]

exports = typer.Typer(
    help="Exports: how a receiver's events become rows of a table, and when they are imported.\n\n"
    "A file of exports has the API's shape: `streams exports apply clicks -f exports.yaml`.",
    no_args_is_help=True,
)


@exports.command("list")
def list_(receiver: Receiver, address: Address = None, as_json: AsJson = False) -> None:
    """List a receiver's exports.

    Try: `streams exports list clicks`
    """
    from app.cli.buffer import receiver_path
    from app.cli.display import exports_table
    from app.cli.terminal import api, give_list

    with api(address) as buffer:
        answer = buffer.call("GET", f"{receiver_path(receiver)}/exports")
    none = f"No exports yet: `streams exports create {receiver} -f export.yaml` makes one."
    give_list(answer, "exports", exports_table, none, as_json)


@exports.command("show")
def show_(receiver: Receiver, export: Export, address: Address = None, as_json: AsJson = False) -> None:
    """Show an export with its columns and conditions.

    Try: `streams exports show clicks all`
    """
    from app.cli.buffer import export_path
    from app.cli.display import export_view
    from app.cli.terminal import api, give

    with api(address) as buffer:
        answer = buffer.call("GET", export_path(receiver, export))
    give(answer, export_view, as_json)


@exports.command()
def create(
    receiver: Receiver, file: File, address: Address = None, no_wait: NoWait = False, as_json: AsJson = False
) -> None:
    """Create the exports of a file; they take the events that come after.

    Try: `streams exports create clicks -f export.yaml` with

        name: Pages
        mapping:
          tableId: in.c-web.pages
          columns:
            - {name: id, type: id, primaryKey: true}
            - {name: page, type: template, template: {language: jsonnet, content: Body("page")}}
        conditions: {size: 10MB, time: 1m}
    """
    from app.cli.files import read_exports
    from app.cli.performing import create as create_all
    from app.cli.plan import Action, Step
    from app.cli.terminal import api, warn

    wanted, warnings = read_exports(file)
    warn(warnings)
    with api(address) as buffer:
        steps = [Step(Action.CREATE, receiver, draft.export_id, draft) for draft in wanted]
        create_all(buffer, steps, as_json, not no_wait)


@exports.command()
def apply(
    receiver: Receiver,
    file: File,
    address: Address = None,
    prune: Prune = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Create or change exports of a receiver to match a file; shows the difference first.

    A changed mapping is in force for the events that come after. Try: `streams exports apply clicks -f exports.yaml`
    """
    from app.cli.applying import plan_for_exports
    from app.cli.buffer import export_path
    from app.cli.files import read_exports
    from app.cli.performing import apply as apply_plan
    from app.cli.terminal import api, print_answers, warn

    wanted, warnings = read_exports(file)
    warn(warnings)
    with api(address) as buffer:
        plan = plan_for_exports(buffer, receiver, wanted, prune)
        if apply_plan(buffer, plan, as_json, yes, dry_run) and as_json:
            answers = [buffer.call("GET", export_path(receiver, draft.export_id)) for draft in wanted]
            print_answers(answers)


@exports.command("test")
def try_(
    receiver: Receiver,
    export: Export,
    last: Annotated[
        int | None, typer.Option(min=1, max=100, help="Take so many of the newest real events.", show_default=False)
    ] = None,
    event: Annotated[
        str | None, typer.Option("--file", "-f", help="A file with a body; - is standard input.", show_default=False)
    ] = None,
    header: Header = None,
    content_type: ContentType = None,
    address: Address = None,
    as_json: AsJson = False,
) -> None:
    """Show what an export makes of the receiver's newest events, or of those in a file. Nothing is stored.

    Ends with 1 when an event cannot be mapped. `streams try` does it with a file of exports, without the API.
    Try: `streams exports test clicks all --last 10`
    """
    from app.cli.buffer import export_path
    from app.cli.display import dry_run_view
    from app.cli.files import BadFile
    from app.cli.samples import headers_for, read_body
    from app.cli.terminal import api, print_json, show

    if (last is None) is (event is None):
        raise BadFile("Say either --last or --file.")
    sample = None if event is None else (read_body(event), headers_for(event, header or [], content_type))
    query = None if last is None else {"last": str(last)}
    with api(address) as buffer:
        answer = buffer.call("POST", f"{export_path(receiver, export)}/test", query=query, sample=sample)
    if as_json:
        print_json(answer)
    else:
        show(dry_run_view(answer, f"export {receiver}/{export}"))
    if answer["totals"]["errors"]:
        raise typer.Exit(1)


@exports.command()
def pause(
    receiver: Receiver, export: Export, address: Address = None, no_wait: NoWait = False, as_json: AsJson = False
) -> None:
    """Suspend an export: its events wait in Kafka until it is resumed; other exports go on.

    They wait for as long as Kafka keeps events (7 days, unless set otherwise).
    Try: `streams exports pause clicks all`
    """
    _switch("pause", receiver, export, address, no_wait, as_json)


@exports.command()
def resume(
    receiver: Receiver, export: Export, address: Address = None, no_wait: NoWait = False, as_json: AsJson = False
) -> None:
    """Resume an export: new events are mapped as they come, those that waited beside them, each exactly once.

    `streams replay show` says how far the replay is that maps those that waited.
    Try: `streams exports resume clicks all`
    """
    _switch("resume", receiver, export, address, no_wait, as_json)


@exports.command()
def delete(
    receiver: Receiver, export: Export, discard: Discard = False, yes: Yes = False, address: Address = None
) -> None:
    """Delete an export. Its table stays.

    What was accepted is still brought into the table, unless there is --discard.
    Try: `streams exports delete clicks all --yes`
    """
    from app.cli.buffer import export_path
    from app.cli.terminal import api, ask, spinner

    name = f"{receiver}/{export}"
    with api(address) as buffer:
        buffer.call("GET", export_path(receiver, export))
        ask(f"Delete export {name}{' and drop what is not imported yet' if discard else ''}?", yes)
        with spinner(f"delete export {name} …"):
            buffer.call("DELETE", export_path(receiver, export), query={"discard": str(discard).lower()})
    typer.echo(f"export {name} deleted")


def _switch(what: str, receiver: str, export: str, address: str | None, no_wait: bool, as_json: bool) -> None:
    from app.cli.buffer import export_path
    from app.cli.display import task_view
    from app.cli.terminal import api, give, spinner

    with api(address) as buffer, spinner(f"{what} export {receiver}/{export} …", as_json):
        task = buffer.call("POST", f"{export_path(receiver, export)}/{what}")
        if not no_wait:
            task = buffer.wait(task)
    give(task, task_view, as_json)
