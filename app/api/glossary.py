"""What the fields and parameters of the API mean, as the OpenAPI document says it.

By name, because a word means the same wherever it stands; a line "Schema.field" goes before one for the field alone.
What a schema of a payload enforces stands there; here is what the code behind it checks of a field, and in
`openapi_bodies` what it checks of several together. Source: Buffer API, request and response schemas, identifiers,
conditions.
"""

from __future__ import annotations

from typing import Any

from app.api.signing import HEADER_NAME
from app.model.event import Reason
from app.model.ids import ID_PATTERN
from app.model.ledger import Phase
from app.model.replay import ReplayKind
from app.model.signature import MAX_SECRET_LENGTH, MIN_SECRET_LENGTH
from app.model.task import TaskStatus, TaskType
from app.settings import Settings

_ID = f"^{ID_PATTERN}$"
_DATE = r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$"
_TABLE_ID = r"^(in|out|sys)\.[A-Za-z0-9_-]{1,96}\.[A-Za-z0-9_-]{1,96}$"
_BATCH_ID = "000000000012345-0000042"
_REPLAY_ID = "019b0a5d-ac96-774b-bcce-b302099a8057"
_TASK_ID = "clicks/receiver.create/2026-01-02T03:04:05.678Z_aB3xY"


def _text(description: str, example: object, **more: Any) -> dict[str, Any]:
    return {"description": description, "examples": [example], **more}


def fields(settings: Settings) -> dict[str, dict[str, Any]]:
    """JSON Schema keywords for the fields of all schemas, by "field" or "Schema.field"."""
    address = settings.public_address
    return {
        # Receivers and exports
        "id": _text(
            "Lower case letters, digits and dashes. What is given is normalised so; without it, the name is.",
            "clicks",
        ),
        "Receiver.id": _text("The receiver's id.", "clicks", pattern=_ID),
        "Export.id": _text("The export's id.", "all", pattern=_ID),
        "receiverId": _text("The id of the receiver.", "clicks", pattern=_ID),
        "exportId": _text("The id of the export.", "all", pattern=_ID),
        "name": _text("A name for people.", "Clicks"),
        "description": _text("A text for people.", "Clicks of the shop."),
        "split": _text(
            "Whether a JSON array is an event for each element and NDJSON one for each line, and CloudEvents are taken "
            "apart. With `off` a body is one event as it came; `?split=` of the import URL goes before it.",
            "on",
        ),
        "Receiver.split": _text("Bodies are not split; missing where they are.", "off", enum=["off"]),
        "Receiver.url": _text(
            "Where events are sent to (POST). It holds the receiver's secret; missing where that cannot be decrypted.",
            f"{address}/v1/import/1234/clicks/{'0aZ' * 16}",
            format="uri",
        ),
        "problem": _text(
            "Why there is no URL: the receiver's secret was encrypted with a key that the gateway does not have.",
            "A secret in the control log was encrypted with a key that STREAMS_ENCRYPTION_KEY does not list.",
        ),
        "auth": _text(
            "Where senders put the receiver's secret: in the URL (a bearer token is taken too), or in a bearer token "
            "alone.",
            "url",
        ),
        "Receiver.auth": _text("There where the secret is a bearer token alone.", "bearer"),
        "Receiver.token": _text("The bearer token for senders, where it is not part of the URL.", "0aZ" * 16),
        "previousSecretUntil": _text(
            "Until when the secret before the last rotation is taken too (UTC).",
            "2026-01-03T03:04:05.678Z",
            pattern=_DATE,
        ),
        # Signatures
        "signature": {"description": "How requests must be signed; without it they need not be."},
        "ReceiverPatch.signature": {
            "description": "Replaces how requests must be signed; without `secrets` those that are there stay, which "
            "cannot be where the scheme becomes `standard-webhooks`. Null: they need not be signed."
        },
        "scheme": _text("Who signs, or `hmac` for a form that the other fields describe.", "github"),
        "secrets": {
            "description": "One secret, or two while they are rotated: what either has signed is accepted. Of 8 to 512 "
            "characters; they are kept encrypted and never shown. A receiver that is made needs them.",
            "examples": [["a secret of the sender's"]],
            "items": {"type": "string", "minLength": MIN_SECRET_LENGTH, "maxLength": MAX_SECRET_LENGTH},
            "uniqueItems": True,
        },
        "fingerprints": _text(
            "Of each secret ten digits that tell it from others; the same secret always has the same in this receiver.",
            ["3fa9c1d204"],
        ),
        "tolerance": _text(
            "How far the signed time may be from now, 1s to 24h, for schemes that sign it; 5m by default.",
            "5m0s",
            format="go-duration",
        ),
        "header": _text("The header with the signature.", "X-Signature", pattern=HEADER_NAME),
        "algorithm": _text("The hash function; sha256 by default.", "sha256"),
        "Signature.encoding": _text("How the signature is written.", "hex"),
        "SignaturePayload.encoding": _text("How the signature is written; hex by default.", "hex"),
        "prefix": _text("What stands before the signature in its header.", "sha256="),
        "timestampHeader": _text(
            "The header with the time of signing, in seconds of Unix time.", "X-Timestamp", pattern=HEADER_NAME
        ),
        "SignaturePayload.content": _text(
            "What is signed: text, `{timestamp}` where there is a timestampHeader, and `{body}` at the end; by default "
            "`{body}`, or `{timestamp}.{body}`.",
            "{timestamp}.{body}",
            pattern=r"\{body\}$",
        ),
        "Signature.content": _text("What is signed.", "{timestamp}.{body}"),
        "ReceiverPayload.source": {"description": "A topic that is there already, whose records are the events."},
        "Receiver.source": {
            "description": "A topic that is there already, whose records are the events; the receiver has no URL then."
        },
        "SourcePayload.topic": _text("The topic's name. Either this or `topics`.", "orders"),
        "SourcePayload.topics": _text(
            "All topics that this pattern means, also those that are made later: `*` stands for any characters, `?` "
            "for one. Either this or `topic`.",
            "shop.*",
        ),
        "ReceiverSource.topic": _text("The topic's name.", "orders"),
        "ReceiverSource.topics": _text("The pattern of the topics' names.", "shop.*"),
        "ReceiverSource.read": _text("The topics that are read now.", ["shop.orders", "shop.returns"]),
        "SourcePayload.from": _text(
            "Where to begin to read: `earliest`, `latest` (if nothing is said), or a time with its zone.", "earliest"
        ),
        "exports": {"description": "Exports of the receiver: each maps every event to a row of its table."},
        "Receivers.receivers": {"description": "All of the project, by id."},
        "Exports.exports": {"description": "All of the receiver, by id."},
        # Mapping
        "mapping": {"description": "How an event becomes a row; replaced as a whole."},
        "tableId": _text("The table: stage, bucket and name.", "in.c-web.clicks", pattern=_TABLE_ID),
        "incremental": _text("Add rows to the table; false replaces the whole table with each import.", True),
        "columns": {
            "description": "The table's columns in order; their names are unique.",
            "maxItems": settings.max_columns,
        },
        "ColumnPayload.name": _text("The column's name in the table.", "page"),
        "Column.name": _text("The column's name in the table.", "page"),
        "ColumnPayload.type": _text("What the column holds.", "template"),
        "Column.type": _text("What the column holds.", "template"),
        "primaryKey": _text("Whether the column is part of the table's primary key.", False),
        "template": {"description": "How the value is made; for the type `template` alone."},
        "path": _text(
            "Where in the body the value is; for the type `path` alone. An empty path is the whole body.",
            "user.emails[0]",
        ),
        "defaultValue": _text(
            "The value for bodies without the path; without it such events become dead letters. For the type `path` "
            "alone.",
            "unknown",
        ),
        "rawString": _text(
            "Whether a value that is a string becomes the cell as it is, without JSON's quotes and escapes; for the "
            "types `template` and `path` alone.",
            True,
        ),
        "filter": {
            "description": "Gives true for an event that is to be mapped, false for one that is skipped on purpose: "
            "neither row nor dead letter."
        },
        "ExportPatch.filter": {"description": "Replaces the filter; null removes it."},
        "language": _text("The template's language.", "jsonnet"),
        "content": _text(
            "Jsonnet, with the functions Ip, Now, Header, HeaderStr, Body and BodyStr.",
            'Body("page")',
            format="jsonnet",
        ),
        # Conditions
        "conditions": {
            "description": "When gathered rows are imported: as soon as one of the conditions is met. Replaced as a "
            "whole; what is missing takes its default."
        },
        "count": _text("Rows.", 1000, minimum=settings.min_count, maximum=settings.max_count),
        "size": _text("Size of the rows as CSV, 100B to 50MB: an integer and B, kB or MB.", "5MB", format="size"),
        "time": _text("Age of the first row, 30s to 24h, in hours, minutes and seconds.", "5m0s", format="go-duration"),
        # Tasks
        "Task.id": _text("The task's id; it contains slashes.", _TASK_ID),
        "Task.type": _text("What the task does.", "receiver.create", enum=[kind.value for kind in TaskType]),
        "Task.url": _text("Where the task can be followed.", f"{address}/v1/tasks/{_TASK_ID}", format="uri"),
        "status": _text("How far it is.", "success", enum=[status.value for status in TaskStatus]),
        "isFinished": _text("Whether it has ended, well or not.", True),
        "createdAt": _text("When it began (UTC).", "2026-01-02T03:04:05.678Z", pattern=_DATE),
        "cancelledAt": _text("Since when no more of it is mapped (UTC).", "2026-01-02T03:05:06.789Z", pattern=_DATE),
        "finishedAt": _text("When it ended (UTC).", "2026-01-02T03:04:06.789Z", pattern=_DATE),
        "duration": _text("Milliseconds that it took.", 1111, minimum=0),
        "waitsFor": _text(
            "What somebody has to do first: make the receiver's topic, where topics are the operators'.",
            "Topics are the operators' here (STREAMS_TOPICS=managed), and topic streams.events.1234.clicks missing …",
        ),
        "result": _text("What was done, when it succeeded.", "receiver created"),
        "Task.error": _text("Why it failed.", "Storage refused to create the table."),
        "outputs": {"description": "What the task was for, when it succeeded."},
        "warnings": _text(
            "What was ignored in the request; only in the answer to it.",
            ['Unknown field "colour" in body is ignored.'],
        ),
        # Dead letters
        "DeadLetters.deadLetters": {"description": "Letters, newest first."},
        "DeadLetter.id": _text("The letter's id, of the export.", "2-1234", pattern=r"^\d+-\d+$"),
        "reason": _text("Why the event is no row.", "template.error", enum=[reason.value for reason in Reason]),
        "column": _text("The column at fault; not there when it is the whole row, or none is known.", "page"),
        "DeadLetter.message": _text("What went wrong.", 'path "page" not found in the body'),
        "revision": _text("The revision of the export's mapping, from 1.", 1, minimum=1),
        "receivedAt": _text("When the event was received (UTC).", "2026-01-02T03:04:05.678Z", pattern=_DATE),
        "publishedAt": _text("When it became a dead letter (UTC).", "2026-01-02T03:04:06.789Z", pattern=_DATE),
        "source": {"description": "Where the event lies in Kafka."},
        "topic": _text("The receiver's topic.", "streams.events.1234.clicks"),
        "topicId": _text("The topic's id; one made again has another.", "fwEQGDS8QoSEmZDZ_gnVDw"),
        "partition": _text("Partition of the topic.", 0, minimum=0),
        "offset": _text("Offset in the partition.", 1234, minimum=0),
        "lane": _text("`live`, or the id of a replay.", "live"),
        "event": {"description": "The event as it was received."},
        "DeadLetterEvent.id": _text("The event's id, as in a column `id`.", "01890a5d-ac96-774b-bcce-b302099a8057"),
        "ip": _text("The sender's address; empty where it is not known.", "203.0.113.7"),
        "headers": {"description": "Headers in order. A list of letters has the first 4 KiB of them."},
        "DeadLetterHeader.name": _text("The header's name.", "Content-Type"),
        "value": _text("The header's value.", "application/json"),
        "encoding": _text("How `value` is given: base64 when it is no UTF-8.", "utf-8", enum=["utf-8", "base64"]),
        "headersTruncated": _text("Whether there are more headers than are shown.", False),
        "body": _text(
            "The body. A list of letters has its first 1024 bytes. Not there where the event was too large to be "
            "copied; `source` says where it lies.",
            '{"user": 7}',
        ),
        "bodyEncoding": _text("How `body` is given: base64 when it is no UTF-8.", "utf-8", enum=["utf-8", "base64"]),
        "bodySize": _text("Bytes of the whole body.", 11, minimum=0),
        "bodyTruncated": _text("Whether `body` is not the whole body.", False),
        "page": {"description": "Where the page stands."},
        "limit": _text("Letters that the page may have.", 100),
        "after": _text("To be given as `after` to go on; not there when there are no more letters.", "Mi0xMjM0"),
        # Suspensions
        "suspension": {"description": "There while the export is suspended: its events wait in Kafka."},
        "Suspension.state": _text(
            "`suspending` and `resuming` are over within moments.",
            "suspended",
            enum=["suspending", "suspended", "resuming"],
        ),
        "Suspension.since": _text("Since when (UTC).", "2026-01-02T03:04:05.678Z", pattern=_DATE),
        "Suspension.reason": _text(
            "Why it was suspended by itself; not there when a person did it.",
            "Nothing of it could be mapped for 60 s. What it failed with last: max stack frames exceeded.",
        ),
        # Batches
        "batches": {"description": "Batches, newest first."},
        "hasMore": _text("Whether there are, or may be, older ones.", False),
        "Batch.id": _text("The batch's id; ids grow with time.", _BATCH_ID),
        "phase": _text("How far it is.", "imported", enum=[phase.value for phase in Phase]),
        "rows": _text("Rows.", 1000, minimum=0),
        "Batch.csvBytes": _text("Bytes of the rows as CSV.", 64_000, minimum=0),
        "storedBytes": _text("Bytes of its file, compressed.", 16_000, minimum=0),
        "slices": _text("Slices of its file.", 3, minimum=0),
        "BatchFile.columns": _text("The columns of its rows, in order.", ["id", "page"]),
        "BatchFile.slices": {"description": "Slices of the file, in order."},
        "BatchSlice.name": _text("What stands behind the file's key.", "00000-89abcdef01234567.gz"),
        "BatchSlice.csvBytes": _text("Bytes of the rows as CSV.", 64_000, minimum=0),
        "BatchSlice.storedBytes": _text("Bytes of the slice, compressed.", 16_000, minimum=0),
        "sources": {"description": "Between which offsets the events of its rows lie."},
        "first": _text("Offset of the first event.", 1234, minimum=0),
        "BatchSource.last": _text("Offset of the last event.", 2233, minimum=0),
        "openedAt": _text("When its first row came (UTC).", "2026-01-02T03:04:05.678Z", pattern=_DATE),
        "closedAt": _text("When its window ended (UTC).", "2026-01-02T03:05:05.678Z", pattern=_DATE),
        "closedBy": _text("What ended it: a condition, `mapping`, `deletion` or `credentials`.", "time"),
        "fileId": _text("The file in Storage.", "1234567"),
        "runId": _text("The run id in Storage.", "1234568"),
        "attempts": {"description": "Imports that were begun; of very many, the last ones."},
        "startedAt": _text("When it began (UTC).", "2026-01-02T03:05:06.789Z", pattern=_DATE),
        "jobId": _text("The job in Storage.", "1234569"),
        "refusal": _text("Why Storage made no job.", "Access denied."),
        "failures": _text("How many attempts failed.", 0, minimum=0),
        "Batch.error": _text("Why the last one failed.", "Some columns are missing. (csvImport.columnsNotMatch)"),
        "retryAt": _text("When it is tried again (UTC).", "2026-01-02T03:07:06.789Z", pattern=_DATE),
        "retriedAt": _text("When it was last tried again by hand (UTC).", "2026-01-12T03:07:06.789Z", pattern=_DATE),
        "expiredAt": _text("When it was given up first (UTC).", "2026-01-09T03:07:06.789Z", pattern=_DATE),
        "importedAt": _text("When it was in the table (UTC).", "2026-01-02T03:05:09.876Z", pattern=_DATE),
        # Replays
        "from": _text(
            "Events received at this time or later: ISO 8601; without a zone UTC.",
            "2026-01-02T03:04:05Z",
            format="date-time",
        ),
        "to": _text(
            "Events received before this time, given as `from` is.", "2026-01-02T04:00:00Z", format="date-time"
        ),
        "replays": {"description": "Replays, newest first."},
        "Replay.id": _text("The replay's id; also the lane of its rows.", _REPLAY_ID),
        "kind": _text("Why it was begun.", "replay", enum=[kind.value for kind in ReplayKind]),
        "state": _text(
            "How far it is.", "mapping", enum=["mapping", "importing", "finished", "cancelling", "cancelled"]
        ),
        "since": _text(
            "Only letters published at this time or later, as the list's `since`.",
            "2026-01-02T03:04:05Z",
            format="date-time",
        ),
        "until": _text("Only letters published before this time.", "2026-01-02T04:00:00Z", format="date-time"),
        "RequeuePayload.reason": _text(
            "Only letters with this reason.", "template.error", enum=[reason.value for reason in Reason]
        ),
        "Replay.reason": _text("Of a requeue: only letters with this reason.", "template.error"),
        "Replay.topic": _text("What is read.", "streams.events.1234.clicks"),
        "ranges": {"description": "Which offsets, by partition; found out once, at the beginning."},
        "end": _text("The offset after the last one.", 2234, minimum=0),
        "mappedTo": _text("All before this offset is mapped.", 2000, minimum=0),
        "offsets": _text("Offsets in all ranges: at least as many as events.", 1000, minimum=0),
        "mapped": _text("How many of them are mapped.", 766, minimum=0),
        "deletedBefore": _text("Partitions of which retention has deleted what was before.", [2]),
        "tried": _text("Events that were mapped on trial.", 1000, minimum=0),
        "isWhole": _text("Whether they are all there are; else they are the first, of dead letters the newest.", True),
        "TriedReplay.rows": _text("How many of them become rows.", 990, minimum=0),
        "TriedReplay.failures": _text("How many become dead letters.", 7, minimum=0),
        "TriedReplay.skipped": _text("How many are left out on purpose.", 3, minimum=0),
        "mended": _text("How many of the rows are of events that are dead letters now.", 12, minimum=0),
        "Replay.rows": _text("Rows that it brought into the table.", 990, minimum=0),
        "Replay.failures": _text("Events that became dead letters.", 7, minimum=0),
        "Replay.skipped": _text("Offsets that are no event, or that were left out on purpose.", 3, minimum=0),
        "Replay.note": _text(
            "Why not all of it was mapped.",
            "Topic streams.events.1234.clicks is gone: what was not mapped before is left out.",
        ),
        # Dry runs
        "DryRunPayload.mapping": {"description": "How an event would become a row; it is not saved."},
        "DraftMappingPayload.tableId": _text("The table; it need not be named.", "in.c-web.clicks", pattern=_TABLE_ID),
        "DryRunPayload.event": {"description": "An event to try the mapping on."},
        "EventPayload.headers": _text("The event's headers by name.", {"X-Request-Id": "abc"}),
        "DryRunPayload.events": {"description": "Events to try the mapping on."},
        "DryRunPayload.receiverId": _text("The receiver whose newest events are taken, with `last`.", "clicks"),
        "last": _text("How many of the newest events are taken, over all partitions.", 10),
        "EventPayload.body": _text(
            "A text is the body itself; anything else stands for its JSON. Without it the body is empty.",
            {"page": "/pricing"},
        ),
        "contentType": _text("The event's Content-Type; without it a body is JSON.", "application/json"),
        "DryRun.events": {"description": "What became of each event, in order; real ones from the oldest on."},
        "totals": {"description": "How many events had which end."},
        "DryRun.warnings": _text("What was ignored in the request.", ['Unknown field "colour" in body is ignored.']),
        "index": _text("The event's place, from 0.", 0, minimum=0),
        "TriedEvent.columns": {"description": "The row, column by column; only where there is one."},
        "TriedEvent.csvBytes": _text("Size of the row as it would be imported, its line end included.", 21, minimum=1),
        "TriedEvent.errors": {"description": "Why there is no row, column by column."},
        "skipped": _text("The event is left out on purpose, and is no error.", True),
        "Value.name": _text("The column's name.", "page"),
        "Value.value": _text("The value, cut at 16 kB, or shorter where there are very many.", '"/pricing"'),
        "valueBytes": _text("Size of the whole value, where it is cut.", 1_000_000, minimum=1),
        "Fault.message": _text("What is wrong.", 'path "page" not found in the body'),
        "Totals.events": _text("Events.", 3, minimum=0),
        "Totals.rows": _text("Events that became a row.", 2, minimum=0),
        "Totals.errors": _text("Events that did not.", 1, minimum=0),
        "Totals.skipped": _text("Events left out on purpose.", 0, minimum=0),
        "Totals.csvBytes": _text("Size of all rows.", 42, minimum=0),
        # Index and errors
        "api": _text("Always buffer.", "buffer", const="buffer"),
        "documentation": _text("Where the documentation is.", f"{address}/v1/documentation", format="uri"),
        "statusCode": _text("The HTTP status.", 404),
        "error": _text("The error's name.", "buffer.receiverNotFound"),
        "message": _text("What was wrong and what is allowed.", 'Receiver "clicks" not found in the project.'),
        "exceptionId": _text(
            "Names the request in the log; for statuses from 500 on.", "keboola-buffer-aB3xYaB3xYaB3xY"
        ),
    }


PARAMETERS: dict[str, dict[str, Any]] = {
    "receiverId": {"description": "The receiver's id.", "example": "clicks", "schema": {"pattern": _ID}},
    "exportId": {"description": "The export's id.", "example": "all", "schema": {"pattern": _ID}},
    "batchId": {"description": "The batch's id.", "example": _BATCH_ID, "schema": {"minLength": 1}},
    "dryRun": {"description": "Only say what it would come to.", "example": True},
    "replayId": {"description": "The replay's id.", "example": _REPLAY_ID, "schema": {"minLength": 1}},
    "phase": {
        "description": "Only batches in this phase.",
        "schema": {"enum": [phase.value for phase in Phase]},
    },
    "letterId": {"description": "The id of the dead letter.", "example": "2-1234", "schema": {"minLength": 1}},
    "reason": {
        "description": "Only letters with this reason.",
        "schema": {"enum": [reason.value for reason in Reason]},
    },
    "since": {
        "description": "Only letters published at this time or later: ISO 8601; without a zone UTC, a date alone its "
        "midnight.",
        "example": "2026-01-02T03:04:05Z",
        "schema": {"format": "date-time"},
    },
    "until": {
        "description": "Only letters published before this time, given as `since` is.",
        "example": "2026-01-02T04:00:00Z",
        "schema": {"format": "date-time"},
    },
    "limit": {"description": "How many there may be in the answer."},
    "after": {"description": "Go on after a page: its `page.after`."},
    "last": {"example": 10},
    "overlap": {"example": "24h", "schema": {"format": "go-duration"}},
    "taskId": {
        "description": "The task's id. Its slashes may stay as they are, as in the task's `url`.",
        "example": _TASK_ID,
        "schema": {"minLength": 1},
    },
}
"""Keywords for path and query parameters, by their names in the document."""
