"""`streams try`: what mappings in a file make of events in files. Needs no Kafka, no API and no token."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.samples import ContentType, Header

if TYPE_CHECKING:
    from app.api.drafts import ExportDraft
    from app.api.outcomes import DryRunAnswer, Row
    from app.api.trials import Outcome, Trials
    from app.model.event import EventBatch
    from app.settings import Settings

_AT_ONCE = 1000
"""Events that are mapped together, as in a chunk of the mapper."""


def try_(
    mapping: Annotated[str, typer.Argument(metavar="MAPPING_FILE", help="YAML or JSON of exports or receivers.")],
    events: Annotated[list[str], typer.Argument(metavar="EVENT_FILE...", help="Bodies; - is standard input.")],
    export: Annotated[str | None, typer.Option(help="Only the export with this id.", show_default=False)] = None,
    header: Header = None,
    content_type: ContentType = None,
    ip: Annotated[str, typer.Option(help="Address of the sender.")] = "",
    as_csv: Annotated[bool, typer.Option("--csv", help="Print the CSV that would be imported.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what the API would answer, for scripts.")] = False,
) -> None:
    """Map events by the exports of a file, on this machine alone, and show the rows and the errors.

    Takes the file that `streams receivers apply` or `streams exports apply` takes; nothing is sent, nothing is stored.
    An event file holds one body; a JSON array and NDJSON are many events, as over HTTP. Ends with 1 when an event
    cannot be mapped. Templates run in a process of their own with the mapper's bounds (STREAMS_MAPPING_...).
    Try: `streams try receiver.yaml event.json -H "X-Shop: 1"`
    """
    import asyncio

    from app.cli.display import dry_run_view
    from app.cli.files import BadFile, read_exports_or_receivers
    from app.cli.terminal import print_json, show, warn
    from app.settings import load_settings

    drafts, warnings = read_exports_or_receivers(mapping)
    warn(warnings)
    if export is not None:
        drafts = [draft for draft in drafts if draft.export_id == export]
    if not drafts:
        raise BadFile(f"{mapping}: there is no export{'' if export is None else f' {export}'} in it.")
    if as_csv and len(drafts) > 1:
        raise BadFile(f"{mapping}: there are {len(drafts)} exports in it; say by --export whose CSV to print.")
    settings = load_settings()
    batch = _read_events(settings, events, header or [], content_type, ip)
    answers = asyncio.run(_map(settings, drafts, batch, as_csv))
    bodies: list[dict[str, Any]] = [
        {"exportId": draft.export_id, **answer.model_dump(mode="json", by_alias=True, exclude_none=True)}
        for draft, answer in zip(drafts, answers, strict=True)
    ]
    if as_json:
        print_json({"exports": bodies})
    for body in bodies if not as_json else ():
        show(dry_run_view(body, f"export {body['exportId']}", rows=not as_csv), error=as_csv)
    if any(answer.totals.errors for answer in answers):
        raise typer.Exit(1)


def _read_events(
    settings: Settings, paths: list[str], header: list[str], content_type: str | None, ip: str
) -> EventBatch:
    from app.api.bodies import Sent, plain_body, take_apart
    from app.api.samples import given_headers, joined
    from app.api.split import at_once
    from app.api.trials import taken_batch
    from app.cli.files import BadFile
    from app.cli.samples import headers_for, read_body
    from app.model.errors import StreamsError

    batches = []
    for path in paths:
        body, fields = read_body(path), given_headers(headers_for(path, header, content_type))
        found = dict(fields)
        try:
            body = plain_body(body, found, settings)
            taken = at_once(take_apart(body, Sent("0/try", fields, found, split=True), settings))
        except StreamsError as problem:
            raise BadFile(f"{path}: {problem.message.removesuffix('.')}.") from problem
        batches.append(taken_batch(taken, ip))
    return joined(batches)


async def _map(settings: Settings, drafts: list[ExportDraft], batch: EventBatch, as_csv: bool) -> list[DryRunAnswer]:
    """What each export makes of the events; the CSV is printed on the way."""
    import asyncio

    from app.api.outcomes import show_outcomes
    from app.api.trials import Trials
    from app.mapping.child_process import ChildGone
    from app.model.errors import StreamsError

    trials = Trials(settings)
    tending = asyncio.create_task(trials.tend())
    try:
        return [show_outcomes(draft.mapping, await _outcomes(trials, draft, batch, as_csv)) for draft in drafts]
    except TimeoutError as error:
        seconds = settings.synchronous_seconds
        raise StreamsError(f"The templates did not come to an end within {seconds:g} s together.") from error
    except ChildGone as error:
        raise StreamsError(str(error)) from error
    finally:
        tending.cancel()
        await asyncio.gather(tending, return_exceptions=True)


async def _outcomes(trials: Trials, draft: ExportDraft, batch: EventBatch, as_csv: bool) -> list[Outcome[Row]]:
    from app.api.outcomes import MAX_VALUE_BYTES, read_row
    from app.api.samples import joined

    printed = typer.get_binary_stream("stdout")

    def read(csv: bytes) -> Row:
        if as_csv:
            printed.write(csv)
        return read_row(csv, MAX_VALUE_BYTES)

    outcomes = []
    for start in range(0, len(batch), _AT_ONCE):
        part = joined([batch.part(start, start + _AT_ONCE)])
        outcomes += await trials.outcomes(draft.mapping, part, read)
    printed.flush()
    return outcomes
