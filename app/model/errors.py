"""The one hierarchy of errors that a person may see.

The type says what kind of answer it is; `message` says what was wrong and what is allowed. Each edge (HTTP, command
line, task, dead letter) turns these into what its reader sees in one place of its own.
"""

from __future__ import annotations

MAX_ECHO = 100
"""Characters of a refused value that are repeated in a message, so that answers are bounded."""


def clipped(text: str) -> str:
    """The text as a message repeats it."""
    return f"{text[:MAX_ECHO]}…" if len(text) > MAX_ECHO else text


class StreamsError(Exception):
    """Any error of ours that a person can understand and mend; printed as one line, never as a stack trace.

    `exit_code` is what a command ends with, `status` the HTTP status, `name` the API's error name
    ("buffer.badRequest").
    """

    exit_code = 1
    status = 500
    name = "buffer.internalError"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class ConfigurationError(StreamsError):
    """A setting, a prerequisite or the surroundings (port, disk, Java) must be mended before we can run."""

    exit_code = 2


class KafkaUnavailable(StreamsError):
    """Kafka did not answer in time; nothing is acknowledged."""

    status = 503
    name = "buffer.kafkaUnavailable"


class RegistryUnavailable(StreamsError):
    """The schema registry did not give a schema that it may well have; what needs it waits."""

    status = 503
    name = "buffer.schemaRegistryUnavailable"


class Overloaded(StreamsError):
    """As much of this is under way as may be; the same request may succeed after a while."""

    status = 503
    name = "buffer.overloaded"


class BadRequest(StreamsError):
    """The request can never succeed as it is. Source of the names: Buffer API, errors."""

    status = 400
    name = "buffer.badRequest"

    def __init__(self, message: str, name: str = "buffer.badRequest") -> None:
        super().__init__(message)
        self.name = name


class Unauthorized(StreamsError):
    status = 401
    name = "storage.tokenInvalid"

    def __init__(self, message: str, name: str = "storage.tokenInvalid") -> None:
        super().__init__(message)
        self.name = name


class NotFound(StreamsError):
    """What the request names does not exist (here, for this project)."""

    status = 404

    def __init__(self, message: str, name: str) -> None:
        super().__init__(message)
        self.name = name


class Conflict(StreamsError):
    """It exists already, a limit is reached, or a task is under way on it."""

    status = 409

    def __init__(self, message: str, name: str) -> None:
        super().__init__(message)
        self.name = name


class PayloadTooLarge(StreamsError):
    status = 413
    name = "buffer.payloadTooLarge"


class UnsupportedMediaType(StreamsError):
    """The body is of a type, or coded in a way, that we cannot read."""

    status = 415
    name = "buffer.unsupportedMediaType"
