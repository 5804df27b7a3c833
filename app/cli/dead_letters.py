"""`streams dead-letters`: the events that an export could not map, and why."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.replaying import DryRun, NoWait
from app.cli.terminal import Address, AsJson, Yes

if TYPE_CHECKING:
    from app.cli.buffer import BufferApi

PAGE = 100
"""The most that the API gives at once."""

Export = Annotated[str, typer.Argument(metavar="RECEIVER/EXPORT", help="Such as clicks/all.", show_default=False)]

dead_letters = typer.Typer(
    help="Dead letters: events that an export could not map, each with the reason and as it was received.",
    no_args_is_help=True,
)


@dead_letters.command("list")
def list_(
    export: Export,
    reason: Annotated[str | None, typer.Option(help="Only those with this reason, such as template.error.")] = None,
    since: Annotated[
        str | None, typer.Option(help="Only those published since: a time (2026-01-02T03:04:05Z) or an age (2h).")
    ] = None,
    until: Annotated[str | None, typer.Option(help="Only those published before: a time or an age.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, the newest.")] = 20,
    address: Address = None,
    as_json: AsJson = False,
) -> None:
    """List an export's dead letters, newest first. They are kept for 7 days.

    Try: `streams dead-letters list clicks/all --since 2h --reason template.error`
    """
    from app.cli.letters import letters_table, moment
    from app.cli.terminal import api, print_json, show, spinner

    query = {"reason": reason, "since": moment(since), "until": moment(until)}
    given = {name: value for name, value in query.items() if value is not None}
    with api(address) as buffer, spinner(f"look for dead letters of {export} …", as_json):
        letters, has_more = _take(buffer, _path(export), given, limit)
    if as_json:
        print_json({"deadLetters": letters})
        return
    if letters:
        show(letters_table(letters))
        typer.echo()
    more = "there are older ones (--limit)" if has_more else "there are no older ones"
    count = f"{len(letters):,} dead {'letter' if len(letters) == 1 else 'letters'} of {export}"
    typer.echo(f"{count}; {more}. `streams dead-letters show {export} ID` shows one with its event.")


@dead_letters.command("show")
def show_(
    export: Export,
    letter: Annotated[str, typer.Argument(help="Id of the dead letter, as the list has it.", show_default=False)],
    body: Annotated[bool, typer.Option("--body", help="Print the event's body alone, byte for byte.")] = False,
    address: Address = None,
    as_json: AsJson = False,
) -> None:
    """Show a dead letter with its whole event. What a terminal would obey in it is printed as escapes (`\\x1b`).

    Try: `streams dead-letters show clicks/all 2-1234 --body > event.json`
    """
    from urllib.parse import quote

    from app.cli.letters import letter_view
    from app.cli.terminal import api, give
    from app.model.errors import StreamsError

    with api(address) as buffer:
        answer = buffer.call("GET", f"{_path(export)}/{quote(letter, safe='')}")
    if not body:
        give(answer, letter_view, as_json)
        return
    event = answer["event"]
    if "body" not in event:
        source = answer["source"]
        place = f"topic {source['topic']}, partition {source['partition']}, offset {source['offset']}"
        raise StreamsError(f"The event was too large to be copied into its dead letter; it lies in {place}.")
    text = event["body"]
    data = base64.b64decode(text) if event["bodyEncoding"] == "base64" else text.encode()
    typer.get_binary_stream("stdout").write(data)


@dead_letters.command("requeue")
def requeue_(
    export: Export,
    reason: Annotated[str | None, typer.Option(help="Only those with this reason, such as template.error.")] = None,
    since: Annotated[str | None, typer.Option(help="Only those published since: a time or an age (2h).")] = None,
    until: Annotated[str | None, typer.Option(help="Only those published before: a time or an age.")] = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    no_wait: NoWait = False,
    address: Address = None,
    as_json: AsJson = False,
) -> None:
    """Map dead letters again, after the template was mended: in order, each once. Those that were requeued before are
    left out; what fails again is a dead letter again.

    Try: `streams dead-letters requeue clicks/all --reason template.error --dry-run`
    """
    from app.cli.buffer import named_export_path
    from app.cli.letters import moment
    from app.cli.replay_views import tried_view
    from app.cli.replaying import begin
    from app.cli.terminal import api, ask, give, show, spinner

    given = {"reason": reason, "since": moment(since), "until": moment(until)}
    body = {name: value for name, value in given.items() if value is not None}
    where = f"{_path(export)}/requeue"
    with api(address) as buffer:
        if dry_run or not (yes or as_json):
            with spinner("map the newest dead letters on trial …", as_json):
                tried = buffer.call("POST", where, body, query={"dryRun": "1"})
            if dry_run:
                give(tried, tried_view, as_json)
                return
            show(tried_view(tried), error=True)
        ask(f"Requeue the dead letters of {export}?", yes)
        begin(buffer, named_export_path(export), where, body, no_wait, as_json)


def _take(buffer: BufferApi, path: str, query: dict[str, str], limit: int) -> tuple[list[dict[str, Any]], bool]:
    """The newest letters, of as many pages as it takes; whether there may be more."""
    letters: list[dict[str, Any]] = []
    after: str | None = None
    while True:
        given = {**query, "limit": str(min(PAGE, limit - len(letters))), **({} if after is None else {"after": after})}
        answer = buffer.call("GET", path, query=given)
        letters += answer["deadLetters"]
        after = answer["page"].get("after")
        if after is None or len(letters) >= limit:
            return letters, after is not None


def _path(export: str) -> str:
    """Where the API has the dead letters of RECEIVER/EXPORT."""
    from app.cli.buffer import named_export_path

    return f"{named_export_path(export)}/dead-letters"
