"""The one place that turns errors into answers: the envelope {statusCode, error, message, exceptionId?}.

Source: Buffer API, errors. Texts never hold a token or a secret: they are made of what the caller may see anyway.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.routing import Match, Route

from app.api.complaints import Complaint, first_complaints, told_together
from app.model.conditions import format_size
from app.model.errors import KafkaUnavailable, NotFound, Overloaded, PayloadTooLarge, StreamsError

_log = logging.getLogger(__name__)


def install_errors(api: FastAPI) -> None:
    """Render every error of the API as the envelope."""
    api.add_exception_handler(StreamsError, _on_streams_error)
    api.add_exception_handler(RequestValidationError, _on_validation_error)
    api.add_exception_handler(HTTPException, _on_http_error)


def envelope(request_id: str, status: int, name: str, message: str, retry_after: int | None = None) -> Response:
    """The answer to a request that failed; `message` is put into a sentence here."""
    body: dict[str, object] = {"statusCode": status, "error": name, "message": sentence(message)}
    if status >= 500:
        body["exceptionId"] = exception_id(request_id)
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    text = json.dumps(body, indent=2, ensure_ascii=False) + "\n"
    # What a message repeats of a request may have half a surrogate pair ("\ud800" in JSON), which UTF-8 cannot say.
    return Response(text.encode("utf-8", "replace"), status, headers, "application/json")


def crash_answer(request_id: str) -> Response:
    """The answer to a request that met a defect of ours; the cause is in the log under the same id."""
    message = (
        "Application error. Please contact our support support@keboola.com "
        f"with exception id ({exception_id(request_id)}) attached."
    )
    return envelope(request_id, 500, "buffer.internalError", message)


def exception_id(request_id: str) -> str:
    return f"keboola-buffer-{request_id}"


def sentence(text: str) -> str:
    """First letter upper case; a full stop after a letter, a digit or a quote."""
    text = text[:1].upper() + text[1:]
    return text + "." if text and (text[-1].isalnum() or text[-1] in "\"'`") else text


def request_id_of(request: Request) -> str:
    return str(request.scope.get("request_id", ""))


async def _on_streams_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, StreamsError)
    if error.status >= 500:
        _log.warning("request %s: %s", request_id_of(request), error.message)
    retry_after = getattr(error, "retry_after_seconds", None)
    if retry_after is None and isinstance(error, KafkaUnavailable | Overloaded):
        retry_after = request.app.state.context.settings.retry_after_seconds
    seconds = None if retry_after is None else max(1, round(retry_after))
    return envelope(request_id_of(request), error.status, error.name, error.message, seconds)


async def _on_validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    complaints: Sequence[Complaint] = first_complaints(error.errors())
    message = told_together([complaint.message for complaint in complaints])
    return envelope(request_id_of(request), 400, complaints[0].name, message)


def _allowed(request: Request) -> list[str]:
    """Methods of the request's path. Starlette's own header has those of the first route only (1.10)."""
    routes: Sequence[Route] = request.app.state.routes
    found = [route.methods or () for route in routes if route.matches(request.scope)[0] is not Match.NONE]
    return sorted({"OPTIONS"}.union(*found))


async def _on_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    path = request.url.path
    if error.status_code == 404:
        found: StreamsError = NotFound(f'No endpoint found for path "{path}".', "buffer.endpointNotFound")
    elif error.status_code == 413:
        limit = request.app.state.context.settings.max_body_bytes
        found = PayloadTooLarge(f"Payload too large, the maximum size is {format_size(limit)}.")
    elif error.status_code == 405:
        text = f'Method {request.method} is not allowed for path "{path}".'
        answer = envelope(request_id_of(request), 405, "buffer.methodNotAllowed", text)
        answer.headers["Allow"] = ", ".join(_allowed(request))
        return answer
    else:  # FastAPI refuses so what is no text, or is nested too deeply, to be read as JSON
        name = "buffer.decodePayload" if error.status_code == 400 else "buffer.badRequest"
        return envelope(request_id_of(request), error.status_code, name, str(error.detail))
    return envelope(request_id_of(request), found.status, found.name, found.message)
