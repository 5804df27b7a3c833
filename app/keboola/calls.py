"""One HTTP call to Storage: one attempt, a timeout, and our errors.

kbcstorage 0.12.0 has no timeout and repeats every 5xx, POST included, which makes two imports of one. Its endpoints
call an object `requests` for each request; `OneAttempt` takes its place. Reads share kept connections; each call that
changes something has a connection of its own, so that one the server has just closed cannot make its answer unclear.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import requests
from urllib3.exceptions import ConnectTimeoutError, MaxRetryError, NewConnectionError

from app.keboola.errors import (
    StorageAccessDenied,
    StorageError,
    StorageNotFound,
    StorageRefused,
    StorageTokenInvalid,
    StorageUnavailable,
    StorageUnclear,
)

_TRANSIENT = {409, 423, 425, 429}


@dataclass(frozen=True)
class Timeouts:
    """How long one call may take to connect and between two bytes of its answer."""

    connect_seconds: float = 5.0
    read_seconds: float = 30.0


class OneAttempt:
    """Stands in for kbcstorage's RetryRequests: the same methods, one attempt each, errors of ours."""

    def __init__(self, timeouts: Timeouts) -> None:
        self._timeout = (timeouts.connect_seconds, timeouts.read_seconds)
        self._session = requests.Session()

    def close(self) -> None:
        """Close the kept connections."""
        self._session.close()

    def get(self, url: str, **options: Any) -> requests.Response:
        """Read; may be repeated by the caller whatever happens."""
        with self._translated(changes=False):
            return _checked(self._session.get(url, timeout=self._timeout, **options), changes=False)

    def post(self, url: str, **options: Any) -> requests.Response:
        """Make or start something, once."""
        return self._change("POST", url, options)

    def put(self, url: str, **options: Any) -> requests.Response:
        """Change something, once."""
        return self._change("PUT", url, options)

    def delete(self, url: str, **options: Any) -> requests.Response:
        """Delete something, once."""
        return self._change("DELETE", url, options)

    def _change(self, method: str, url: str, options: dict[str, Any]) -> requests.Response:
        with self._translated(changes=True):
            response = requests.request(method, url, timeout=self._timeout, allow_redirects=False, **options)
            return _checked(response, changes=True)

    @contextmanager
    def _translated(self, *, changes: bool) -> Iterator[None]:
        connect_seconds, read_seconds = self._timeout
        try:
            yield
        except requests.ConnectTimeout as error:
            raise StorageUnavailable(f"Storage did not accept a connection within {connect_seconds:g} s.") from error
        except requests.RequestException as error:
            if _never_sent(error):
                raise StorageUnavailable(f"Storage could not be reached: {_cause(error)}.") from error
            if isinstance(error, requests.Timeout):
                raise _lost(f"Storage did not answer within {read_seconds:g} s.", None, changes) from error
            raise _lost(
                f"The connection to Storage broke before it answered: {_cause(error)}.", None, changes
            ) from error


def _never_sent(error: requests.RequestException) -> bool:
    """Say whether no connection was made, so that Storage cannot have seen the call."""
    if isinstance(error, requests.exceptions.SSLError):
        return True
    cause = error.args[0] if error.args else None
    return isinstance(cause, MaxRetryError) and isinstance(cause.reason, NewConnectionError | ConnectTimeoutError)


def _cause(error: BaseException) -> str:
    """What the system said first, without the addresses and object names that the libraries put around it."""
    while (earlier := error.__cause__ or error.__context__) is not None:
        error = earlier
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).rstrip(".")


def _checked(response: requests.Response, *, changes: bool) -> requests.Response:
    """Give a 2xx answer with JSON (or 204) back; raise the error that another one stands for."""
    if 200 <= response.status_code < 300:
        if response.status_code != 204:
            try:
                response.json()
            except ValueError as error:
                raise _lost(f"Storage answered {response.status_code} without JSON.", None, changes) from error
        return response
    raise _error_of(response, changes)


def _error_of(response: requests.Response, changes: bool) -> StorageError:
    status = response.status_code
    body = _body(response)
    said = _without_token(response.request, str(body.get("error") or body.get("reason") or ""))
    answered = f"Storage answered {status}{f': {said}' if said else ' without a message'}"
    trouble = answered if answered.endswith((".", "!", "?")) else answered + "."
    details: dict[str, Any] = {
        "code": str(body.get("code") or ""),
        "http_status": status,
        "exception_id": str(body.get("exceptionId") or ""),
    }
    message = said or f"HTTP {status} without a message"
    if status == 401:
        return StorageTokenInvalid(message, **details)
    if status == 403:
        return StorageAccessDenied(message, **details)
    if status == 404:
        return StorageNotFound(message, **details)
    if status in _TRANSIENT or (status == 503 and body.get("status") == "maintenance"):
        return StorageUnavailable(trouble, _retry_after(response))
    if status == 408 or (status >= 500 and status != 501):
        return _lost(trouble, _retry_after(response), changes)
    return StorageRefused(message, **details)


def _without_token(request: requests.PreparedRequest, text: str) -> str:
    """Storage does not repeat tokens in what it says; should something on the way do so, nobody is to read it."""
    token = request.headers.get("X-StorageApi-Token")
    return text.replace(token, "***") if isinstance(token, str) and token else text


def _lost(reason: str, retry_after_seconds: float | None, changes: bool) -> StorageError:
    return (StorageUnclear if changes else StorageUnavailable)(reason, retry_after_seconds)


def _body(response: requests.Response) -> dict[str, Any]:
    try:
        body = response.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _retry_after(response: requests.Response) -> float | None:
    text = response.headers.get("Retry-After", "")
    return float(text) if text.isdigit() else None
