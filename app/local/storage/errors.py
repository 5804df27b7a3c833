"""The errors the emulator answers with, in Storage's form: `error`, `code`, `exceptionId`."""

from __future__ import annotations

import secrets
from typing import Any


class ApiError(Exception):
    """A request that is refused: HTTP status, Storage's string code and a message for people."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


class JobFailed(Exception):
    """A job that ends in `error`: code, message, and what Storage puts into `results` beside them."""

    def __init__(self, code: str, message: str, results: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.results = results


def exception_id() -> str:
    """Make an id of an error, as support would ask for."""
    return f"keboola-local-{secrets.token_hex(8)}"


def error_body(code: str, message: str) -> dict[str, Any]:
    """Give the body of an error answer."""
    return {"error": message, "code": code, "exceptionId": exception_id(), "status": "error", "context": {}}


def invalid(message: str, code: str = "storage.validation") -> ApiError:
    """Give the error for arguments that are wrong (400)."""
    return ApiError(400, code, message)


def denied() -> ApiError:
    """Give the error for a token without the permission (403)."""
    return ApiError(403, "accessDenied", "You don't have access to the resource.")


def token_invalid() -> ApiError:
    """Give the error for a token that is unknown, dead or expired (401). The token is never echoed."""
    return ApiError(401, "storage.tokenInvalid", "Invalid access token")


def bucket_missing(bucket_id: str) -> ApiError:
    """Give the error for an unknown bucket (404)."""
    return ApiError(404, "storage.buckets.notFound", f"Bucket {bucket_id} not found")


def table_missing(table_id: str) -> ApiError:
    """Give the error for an unknown table (404)."""
    return ApiError(404, "storage.tables.notFound", f"The table {table_id!r} was not found")


def file_missing(file_id: int | str) -> ApiError:
    """Give the error for an unknown file (404)."""
    return ApiError(404, "storage.files.notFound", f"File {file_id} not found")


def job_missing(job_id: int | str) -> ApiError:
    """Give the error for an unknown job (404)."""
    return ApiError(404, "storage.jobs.notFound", f"Job {job_id} not found")
