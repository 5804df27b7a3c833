"""Which errors each operation may answer with, and how each error reads: the table that the OpenAPI document shows.

An operation that is missing here, or answers with an error that is not in its line, fails a test
(`tests/unit/api/test_openapi.py`, the fuzz tests). Source of names and messages: Buffer API, errors.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

_MESSAGES: dict[int, dict[str, str]] = {
    400: {
        "buffer.badRequest": 'Column "page" template is invalid: 1:1-8 Unknown variable: invalid.',
        "buffer.decodePayload": "Invalid JSON: Expecting value at character 8.",
        "buffer.invalidEnumValue": 'Value of body.columns[0].template.language must be one of "jsonnet" but got '
        'value "lua".',
        "buffer.invalidLength": 'Length of body.name must be greater or equal than 1 but got value "" (len=0)',
        "buffer.invalidRange": "Body.conditions.count must be greater or equal than 1 but got value 0.",
        "buffer.missingField": '"X-StorageApi-Token" is missing from header.',
        "buffer.multipleErrors": '- Failed to format record for export "all":\n  - path "page" not found in the body.\n'
        '- Failed to format record for export "second":\n  - path "page" not found in the body.',
        "buffer.missingPayload": "Missing required payload.",
        "storage.accessDenied": 'Storage refused to refresh the token of the export "all": Access denied.',
        "storage.notFound": 'Storage refused to refresh the token of the export "all": The bucket does not exist.',
        "storage.refused": 'Storage refused to refresh the token of the export "all": The name is too long.',
    },
    401: {
        "buffer.invalidSignature": 'The header "X-Hub-Signature-256" is missing; this receiver takes signed requests '
        "only.",
        "buffer.invalidToken": 'The bearer token is not the secret of the receiver "clicks".',
        "buffer.masterTokenRequired": "Please provide a master token of a project administrator.",
        "storage.tokenInvalid": "Invalid access token.",
    },
    404: {
        "buffer.batchNotFound": 'Batch "000000000012345-0000042" not found in the export.',
        "buffer.deadLetterNotFound": 'Dead letter "2-1234" not found in the export.',
        "buffer.endpointNotFound": 'No endpoint found for path "/v1/receivers/a/b".',
        "buffer.exportNotFound": 'Export "all" not found in the receiver.',
        "buffer.receiverNotFound": 'Receiver "clicks" not found in the project.',
        "buffer.replayNotFound": 'Replay "019b0a5d-ac96-774b-bcce-b302099a8057" not found in the export.',
        "buffer.taskNotFound": 'Task "clicks/receiver.create/2026-01-02T03:04:05.678Z_aB3xY" not found in the project.',
    },
    408: {"buffer.requestTimeout": "The request did not arrive in time."},
    409: {
        "buffer.batchNotRetriable": 'Batch "000000000012345-0000042" is imported; only one that is failed, expired or '
        "unclear can be retried.",
        "buffer.exportAlreadyExists": 'Export "all" already exists in the receiver.',
        "buffer.exportNotSuspended": 'Export "all" is not suspended.',
        "buffer.exportSuspended": 'Export "all" is suspended. Resume it first, or drop the events that wait '
        "(discard=true).",
        "buffer.suspensionCountLimitReached": 'Export "all" was suspended 100 times lately, and must not be '
        "more often.",
        "buffer.exportCountLimitReached": "Export count limit reached in the receiver, the maximum is 20.",
        "buffer.mappingRevisionCountLimitReached": "Mapping revision count limit reached in the export, the maximum is "
        "100.",
        "buffer.receiverAlreadyExists": 'Receiver "clicks" already exists in the project.',
        "buffer.receiverCountLimitReached": "Receiver count limit reached in the project, the maximum is 100.",
        "buffer.replayCountLimitReached": "Replay count limit reached in the export, the maximum is 10 at a time.",
        "buffer.replayFinished": 'Replay "019b0a5d-ac96-774b-bcce-b302099a8057" is finished.',
        "buffer.replayNotCancellable": 'Replay "019b0a5d-ac96-774b-bcce-b302099a8057" maps what came while the export '
        "was suspended; those events would be lost, so it cannot be cancelled. It ends with the export when that is "
        "deleted with discard=true.",
        "buffer.topicInUse": 'Topic "orders" is read by the receiver "shop" already.',
        "buffer.tableInUse": 'Table "in.c-web.clicks" is the target of the export "clicks/all"; exports share a table '
        'only when all of them are incremental ("incremental": true).',
        "buffer.taskAlreadyRunning": 'Task "export.create" is already running on the export "all"; wait for it to '
        'finish: "clicks/all/export.create/2026-01-02T03:04:05.678Z_aB3xY".',
    },
    413: {"buffer.payloadTooLarge": "Payload too large, the maximum size is 1MB."},
    415: {
        "buffer.unsupportedMediaType": 'Unsupported content type "text/plain", supported types: application/json and '
        "application/x-www-form-urlencoded."
    },
    431: {"buffer.headersTooLarge": "Headers too large, the maximum is 200 headers of 64KB together."},
    500: {
        "buffer.internalError": "Application error. Please contact our support support@keboola.com with exception id "
        "(keboola-buffer-aB3xYaB3xYaB3xY) attached.",
        "buffer.taskFailed": "Application error; the log of control says more under the id of this task.",
    },
    503: {
        "buffer.kafkaUnavailable": "Kafka did not answer in time; send the request again later.",
        "buffer.misconfigured": "The receiver's secret cannot be decrypted; the operator finds the cause in the "
        "gateway's log.",
        "buffer.overloaded": "Too many bytes wait for Kafka on this gateway; send the request again later.",
        "buffer.schemaRegistryUnavailable": "The schema registry did not give all schemas within 5 s.",
        "storage.unavailable": "Storage did not verify the token. Storage did not answer within 10 s.",
    },
    504: {
        "buffer.validationTimeout": "The exports' templates did not come to an end within 5 s together, so there is no "
        "verdict.",
        "buffer.taskFailed": 'Storage did not refresh the token of the export "all" in time. Storage did not answer '
        "within 60 s.",
        "buffer.taskTimeout": "The task has not finished within 30 s and goes on. Follow it at "
        '"https://streams.example.com/v1/tasks/clicks/receiver.delete/2026-01-02T03:04:05.678Z_aB3xY".',
    },
    507: {
        "buffer.insufficientStorage": 'No free space in the buffer: receiver "clicks" has "100.3 MB" buffered for '
        'upload, limit is "100.0 MB".',
    },
}

_ANY = ("buffer.badRequest", "buffer.requestTimeout", "buffer.payloadTooLarge", "buffer.headersTooLarge")
"""What the gateway answers to any request that is no HTTP, is too slow or too large."""
_OPEN = (*_ANY, "buffer.internalError", "buffer.kafkaUnavailable")
_VALIDATION = (
    "buffer.internalError",
    "buffer.invalidEnumValue",
    "buffer.multipleErrors",
    "buffer.unsupportedMediaType",
    "buffer.validationTimeout",
)
"""What is answered to events that are only validated."""
_IMPORT = (
    *_ANY,
    "buffer.receiverNotFound",
    "buffer.endpointNotFound",
    "buffer.invalidSignature",
    "buffer.invalidToken",
    "buffer.overloaded",
    "buffer.kafkaUnavailable",
    "buffer.misconfigured",
    "buffer.insufficientStorage",
    *_VALIDATION,
)
_TOKEN = (
    *_OPEN,
    "buffer.missingField",
    "storage.tokenInvalid",
    "buffer.masterTokenRequired",
    "storage.unavailable",
)
_BODY = (
    "buffer.missingPayload",
    "buffer.decodePayload",
    "buffer.missingField",
    "buffer.invalidLength",
    "buffer.invalidEnumValue",
    "buffer.badRequest",
)
_CHANGE = (*_TOKEN, "buffer.taskAlreadyRunning")
_WAIT = (*_CHANGE, "buffer.taskFailed", "buffer.taskTimeout")
"""A call that waits for its task also answers with what went wrong in it."""
_RECEIVER = ("buffer.receiverNotFound", "buffer.endpointNotFound")
"""An id with a slash in it is another path."""
_TASK = ("buffer.taskNotFound", "buffer.endpointNotFound", "buffer.invalidLength")
_EXPORT = (*_RECEIVER, "buffer.exportNotFound")
_REFUSED = ("storage.accessDenied", "storage.notFound", "storage.refused")
"""What Storage may refuse while a call waits; of other calls the task says it."""
_READ = ("buffer.overloaded",)
"""A call that reads from Kafka waits for no place."""
_TRIAL = (
    *_TOKEN,
    "buffer.invalidRange",
    *_RECEIVER,
    "buffer.overloaded",
    "buffer.schemaRegistryUnavailable",
    "buffer.validationTimeout",
)
"""What a dry run may answer."""
_REPLAY = (
    *_CHANGE,
    *_BODY,
    *_READ,
    "buffer.tableInUse",
    "buffer.replayCountLimitReached",
    "buffer.schemaRegistryUnavailable",
    "buffer.validationTimeout",
)
"""What begins a replay, or tries it."""
_NEW_EXPORT = ("buffer.exportCountLimitReached", "buffer.tableInUse")

OPERATIONS: dict[str, tuple[str, ...]] = {
    "redirectToIndex": _OPEN,
    "getIndex": _OPEN,
    "healthCheck": _ANY,
    "ready": (*_ANY, "buffer.kafkaUnavailable"),
    "importEvents": _IMPORT,
    "importEventsByToken": _IMPORT,
    "createReceiver": (
        *_CHANGE,
        *_BODY,
        "buffer.invalidRange",
        *_NEW_EXPORT,
        "buffer.receiverAlreadyExists",
        "buffer.receiverCountLimitReached",
        "buffer.topicInUse",
    ),
    "listReceivers": _TOKEN,
    "getReceiver": (*_TOKEN, *_RECEIVER),
    "updateReceiver": (*_WAIT, *_BODY, *_RECEIVER),
    "rotateSecret": (*_WAIT, *_RECEIVER),
    "refreshTokens": (*_WAIT, *_RECEIVER, *_REFUSED),
    "deleteReceiver": (*_WAIT, *_RECEIVER, "buffer.exportSuspended"),
    "createExport": (
        *_CHANGE,
        *_BODY,
        "buffer.invalidRange",
        *_RECEIVER,
        *_NEW_EXPORT,
        "buffer.exportAlreadyExists",
    ),
    "listExports": (*_TOKEN, *_RECEIVER),
    "getExport": (*_TOKEN, *_EXPORT),
    "updateExport": (
        *_CHANGE,
        *_BODY,
        "buffer.invalidRange",
        *_EXPORT,
        "buffer.tableInUse",
        "buffer.mappingRevisionCountLimitReached",
        "buffer.exportSuspended",
    ),
    "deleteExport": (*_WAIT, *_EXPORT, "buffer.exportSuspended"),
    "pauseExport": (
        *_CHANGE,
        *_EXPORT,
        "buffer.badRequest",
        "buffer.exportSuspended",
        "buffer.suspensionCountLimitReached",
    ),
    "resumeExport": (
        *_CHANGE,
        *_EXPORT,
        "buffer.badRequest",
        "buffer.exportNotSuspended",
        "buffer.replayCountLimitReached",
        "buffer.tableInUse",
    ),
    "listDeadLetters": (
        *_TOKEN,
        *_EXPORT,
        *_READ,
        "buffer.badRequest",
        "buffer.invalidEnumValue",
        "buffer.invalidRange",
    ),
    "requeueDeadLetters": (*_REPLAY, *_EXPORT),
    "getDeadLetter": (*_TOKEN, *_EXPORT, *_READ, "buffer.deadLetterNotFound"),
    "listBatches": (*_TOKEN, *_EXPORT, *_READ, "buffer.invalidEnumValue", "buffer.invalidRange", "buffer.badRequest"),
    "getBatch": (*_TOKEN, *_EXPORT, *_READ, "buffer.batchNotFound"),
    "getBatchFile": (*_TOKEN, *_EXPORT, *_READ, "buffer.batchNotFound"),
    "retryBatch": (*_CHANGE, *_EXPORT, *_READ, "buffer.batchNotFound", "buffer.batchNotRetriable"),
    "createReplay": (*_REPLAY, *_EXPORT),
    "listReplays": (*_TOKEN, *_EXPORT),
    "getReplay": (*_TOKEN, *_EXPORT, *_READ, "buffer.replayNotFound"),
    "cancelReplay": (
        *_WAIT,
        *_EXPORT,
        "buffer.replayNotFound",
        "buffer.replayFinished",
        "buffer.replayNotCancellable",
    ),
    "testExport": (*_TRIAL, *_EXPORT, "buffer.unsupportedMediaType"),
    "testMapping": (*_TRIAL, *_BODY),
    "getTask": (*_TOKEN, *_TASK),
    "getTaskOfReceiver": (*_TOKEN, *_TASK),
}
"""Error names by operation id. A new route needs one line here."""


def error_responses(operation_id: str) -> dict[str, Any]:
    """The OpenAPI responses of an operation's errors, by status: the names that it may have, an example of each."""
    wanted = set(OPERATIONS.get(operation_id, ()))
    found = {status: sorted(wanted & names.keys()) for status, names in _MESSAGES.items()}
    return {str(status): _response(status, names) for status, names in found.items() if names}


def _response(status: int, names: list[str]) -> dict[str, Any]:
    narrowed: dict[str, Any] = {"statusCode": {"const": status}, "error": {"enum": names}}
    if status == 401:
        # What Storage refuses a token for has the name that Storage gives it.
        narrowed["error"] = {"anyOf": [{"enum": names}, {"pattern": r"^storage\."}]}
    if status >= 500:
        narrowed["exceptionId"] = {"pattern": "^keboola-buffer-"}
    schema = {"allOf": [{"$ref": "#/components/schemas/Error"}, {"properties": narrowed}]}
    if status >= 500:
        schema["allOf"].append({"required": ["exceptionId"]})
    headers = {"X-Request-Id": {"$ref": "#/components/headers/X-Request-Id"}}
    if status == 503:
        headers["Retry-After"] = {"$ref": "#/components/headers/Retry-After"}
    return {
        "description": f"{HTTPStatus(status).phrase}: {', '.join(f'`{name}`' for name in names)}",
        "headers": headers,
        "content": {
            "application/json": {
                "schema": schema,
                "examples": {name: {"value": _example(status, name)} for name in names},
            }
        },
    }


def _example(status: int, name: str) -> dict[str, Any]:
    example: dict[str, Any] = {"statusCode": status, "error": name, "message": _MESSAGES[status][name]}
    if status >= 500:
        example["exceptionId"] = "keboola-buffer-aB3xYaB3xYaB3xY"
    return example
