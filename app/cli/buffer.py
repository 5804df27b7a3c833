"""The Buffer API as the command line speaks to it: whom it calls, with which token, and what an error means.

Every failure is a StreamsError of one line that says what to do about it; the token is never part of one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any
from urllib.parse import quote, urlsplit

import httpx

from app.model.errors import BadRequest, ConfigurationError, StreamsError, clipped
from app.settings import Settings

CALL_SECONDS = 60.0
"""Longer than the API waits for a task of a synchronous call."""
WAIT_SECONDS = 1000.0
"""How long a task is waited for; the API ends its own after `task_timeout_seconds`, before which it may have waited for
`topic_wait_seconds`.
"""
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.05, 1.0

_HINTS = {
    "storage.tokenInvalid": "Set STREAMS_STORAGE_TOKEN to a master token of the project.",
    "buffer.masterTokenRequired": "Set STREAMS_STORAGE_TOKEN to a master token of the project.",
    "buffer.receiverNotFound": "`streams receivers list` shows those that there are.",
    "buffer.exportNotFound": "`streams exports list RECEIVER` shows those that there are.",
    "buffer.batchNotFound": "`streams batches list RECEIVER/EXPORT` shows those that there are.",
    "buffer.deadLetterNotFound": "`streams dead-letters list RECEIVER/EXPORT` shows those that there are.",
    "buffer.taskNotFound": "Tasks are forgotten an hour after their success, two days after an error.",
    "buffer.receiverAlreadyExists": "`streams receivers apply` changes one that is there.",
    "buffer.exportAlreadyExists": "`streams exports apply` changes one that is there.",
    "buffer.exportSuspended": "`streams exports resume RECEIVER EXPORT` lets it go on.",
    "buffer.taskAlreadyRunning": "Try again when it has finished.",
}


class ApiRefused(StreamsError):
    """The API's answer was an error. `status` and `name` are the API's."""

    def __init__(self, message: str, status: int, name: str) -> None:
        super().__init__(message)
        self.status, self.name = status, name


class TaskEnded(StreamsError):
    """A task ended in error, or not in time."""


class BufferApi:
    """Calls the API at `address` as the owner of `token`."""

    def __init__(self, address: str, token: str) -> None:
        """No proxy is asked on the way to this machine itself."""
        self.address, self.token = address, token
        self._http = httpx.Client(
            base_url=address,
            headers={"X-StorageApi-Token": token},
            timeout=CALL_SECONDS,
            trust_env=urlsplit(address).hostname not in ("127.0.0.1", "localhost", "::1"),
        )

    def __enter__(self) -> BufferApi:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def call(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, str] | None = None,
        sample: tuple[bytes, Mapping[str, str]] | None = None,
    ) -> dict[str, Any]:
        """The answer's object; empty for an answer without a body. `sample` is a body as it is, with its headers.

        Raises ApiRefused or ConfigurationError.
        """
        content, headers = sample or (None, None)
        try:
            answer = self._http.request(method, path, json=body, params=query, content=content, headers=headers)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
            raise ConfigurationError(
                f"Nothing answers at {self.address} ({_one_line(str(error))}): start it (`streams local up` on this "
                "machine), or say where it is by --address or STREAMS_PUBLIC_ADDRESS."
            ) from error
        except httpx.TransportError as error:
            raise StreamsError(
                f"The API at {self.address} did not answer ({type(error).__name__}). What was asked may be done all "
                "the same: look before you try again."
            ) from error
        found = _object_of(answer)
        if not answer.is_success or found is None:
            raise self._refusal(answer, found)
        return found

    def wait(
        self, task: Mapping[str, Any], seconds: float = WAIT_SECONDS, say: Callable[[str], None] = lambda words: None
    ) -> dict[str, Any]:
        """The task once it has succeeded. Raises TaskEnded with its error, or when it is not finished in time.

        `say` is told what the task itself waits for, each time that it is something else.

        A task that the API has just begun may be unknown to another gateway while control is away, and the API may be
        unavailable for a moment: both are waited for.
        """
        found, pause, deadline = dict(task), _FIRST_PAUSE_SECONDS, time.monotonic() + seconds
        waits_for = None
        while not found.get("isFinished"):
            if time.monotonic() > deadline:
                raise TaskEnded(
                    f"The task has not finished within {seconds:g} s and goes on: `streams tasks wait {task['id']}`."
                )
            time.sleep(pause)
            pause = min(pause * 1.5, _LONGEST_PAUSE_SECONDS)
            try:
                found = self.call("GET", task_path(str(task["id"])))
            except ApiRefused as refusal:
                if refusal.status not in (404, 503):
                    raise
            if found.get("waitsFor") not in (None, waits_for):
                waits_for = found["waitsFor"]
                say(_one_line(str(waits_for)))
        if found["status"] == "error":
            raise TaskEnded(f"{found['type']} failed: {_one_line(str(found.get('error')))}")
        return found

    def _refusal(self, answer: httpx.Response, found: dict[str, Any] | None) -> StreamsError:
        if not found or "message" not in found or "error" not in found:
            return ConfigurationError(
                f"What answers at {self.address} is no Buffer API (HTTP {answer.status_code}): check --address or "
                "STREAMS_PUBLIC_ADDRESS."
            )
        name = str(found["error"])
        text = _one_line(f"{found['message']} {_HINTS.get(name, '')}")
        if answer.status_code == 401 and name not in _HINTS:
            text = f"{text} {_HINTS['storage.tokenInvalid']}"
        return ApiRefused(text, answer.status_code, name)


def connect(settings: Settings, address: str | None = None) -> BufferApi:
    """The API at this address, or as the settings say; without a token in the settings, the local stack's own.

    The local stack's token goes to the local stack only. Raises ConfigurationError when there is no token.
    """
    local = local_address(settings)
    if address is None and "public_address" not in settings.model_fields_set and local is not None:
        address = local
    address = (address or settings.public_address).rstrip("/")
    if "://" not in address:
        address = f"https://{address}"
    if settings.storage_token:
        return BufferApi(address, settings.storage_token)
    if address != local:
        raise ConfigurationError(
            f"Set STREAMS_STORAGE_TOKEN (or a line in .env) to a master token of the project, to call {address}. For "
            "a local stack that runs on this machine it is known."
        )
    from app.local.storage.config import MASTER_TOKEN

    return BufferApi(address, MASTER_TOKEN)


def receiver_path(receiver_id: str) -> str:
    return f"/v1/receivers/{quote(receiver_id, safe='')}"


def export_path(receiver_id: str, export_id: str) -> str:
    return f"{receiver_path(receiver_id)}/exports/{quote(export_id, safe='')}"


def named_export_path(name: str) -> str:
    """Of RECEIVER/EXPORT. Raises BadRequest for what names no export."""
    receiver_id, slash, export_id = name.partition("/")
    if not (receiver_id and slash and export_id):
        raise BadRequest(
            f'Name an export as RECEIVER/EXPORT, such as clicks/all, not "{clipped(name)}": '
            "`streams receivers list` and `streams exports list RECEIVER` show which there are."
        )
    return export_path(receiver_id, export_id)


def task_path(task_id: str) -> str:
    """A task's id has slashes; its URL is taken as its id."""
    return f"/v1/tasks/{quote(task_id.rpartition('/v1/tasks/')[2], safe='/:')}"


def local_address(settings: Settings) -> str | None:
    """Where the local stack's API is; None when none runs."""
    from app.local.state import running_stack

    state = running_stack(settings.local_dir)
    return state.address.rstrip("/") if state else None


def _object_of(answer: httpx.Response) -> dict[str, Any] | None:
    """None for what is no object."""
    if not answer.content and answer.is_success:
        return {}
    try:
        found = answer.json()
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _one_line(text: str) -> str:
    return " ".join(text.split())
