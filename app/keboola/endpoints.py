"""kbcstorage's endpoints, made safe: one attempt, timeouts, run id by call; and the calls that kbcstorage lacks.

All that relies on private names of kbcstorage 0.12 is here: `Endpoint.requests`, `_auth_header`, `_get`, `_post`,
`_put`, `_delete`. Files and tables are endpoints of our own, because kbcstorage's import boto3, Azure's and Google's
SDKs (53 MB), and because its `load_raw` sends a list of columns as a primary key.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from kbcstorage.base import Endpoint
from kbcstorage.buckets import Buckets as KbcBuckets
from kbcstorage.jobs import Jobs as KbcJobs
from kbcstorage.tokens import Tokens as KbcTokens

from app.keboola.calls import OneAttempt

_RUN_ID = "X-KBC-RunId"


def _make_safe(endpoint: Any, calls: OneAttempt) -> None:
    """Let an endpoint call once, and let each call say its run id instead of the process's environment."""
    endpoint.requests = calls
    endpoint._auth_header.pop(_RUN_ID, None)


def _run(run_id: str | None) -> dict[str, str]:
    return {} if run_id is None else {_RUN_ID: run_id}


class Tokens(KbcTokens):  # type: ignore[misc]  # kbcstorage ships no types
    """Tokens: `verify` is kbcstorage's."""

    def __init__(self, url: str, token: str, calls: OneAttempt) -> None:
        super().__init__(url, token)
        _make_safe(self, calls)

    def list(self) -> Any:
        """GET tokens."""
        return self._get(self.base_url)

    def create(self, body: dict[str, Any]) -> Any:
        """POST tokens."""
        return self._post(self.base_url, json=body)

    def refresh(self, token_id: str) -> Any:
        """POST tokens/{id}/refresh."""
        return self._post(f"{self.base_url}/{token_id}/refresh")

    def delete(self, token_id: str) -> None:
        """DELETE tokens/{id}."""
        self._delete(f"{self.base_url}/{token_id}")

    def ticket(self) -> Any:
        """POST tickets."""
        return self._post(f"{self.root_url}/v2/storage/tickets")

    def event(self, body: dict[str, Any], run_id: str | None) -> Any:
        """POST events."""
        return self._post(f"{self.root_url}/v2/storage/events", json=body, headers=_run(run_id))


class Buckets(KbcBuckets):  # type: ignore[misc]  # kbcstorage ships no types
    """Buckets: `detail` is kbcstorage's."""

    def __init__(self, url: str, token: str, calls: OneAttempt) -> None:
        super().__init__(url, token)
        _make_safe(self, calls)

    def create_named(self, body: dict[str, Any]) -> Any:
        """POST buckets, with a display name, which kbcstorage's `create` cannot give."""
        return self._post(self.base_url, json=body)

    def delete_async(self, bucket_id: str, *, force: bool) -> Any:
        """DELETE buckets/{id} as a job; kbcstorage's `delete` waits for it without a deadline."""
        return self._delete(f"{self.base_url}/{bucket_id}", params={"force": int(force), "async": 1})

    def define_table(self, bucket_id: str, body: dict[str, Any]) -> Any:
        """POST buckets/{id}/tables-definition."""
        return self._post(f"{self.base_url}/{bucket_id}/tables-definition", json=body)


class Tables(Endpoint):  # type: ignore[misc]  # kbcstorage ships no types
    """Tables."""

    def __init__(self, url: str, token: str, calls: OneAttempt) -> None:
        super().__init__(url, "tables", token)
        _make_safe(self, calls)

    def detail(self, table_id: str) -> Any:
        """GET tables/{id}."""
        return self._get(f"{self.base_url}/{table_id}")

    def delete_async(self, table_id: str) -> Any:
        """DELETE tables/{id} as a job."""
        return self._delete(f"{self.base_url}/{table_id}", params={"force": 1, "async": 1})

    def preview(self, table_id: str, params: dict[str, Any]) -> Any:
        """GET tables/{id}/data-preview."""
        return self._get(f"{self.base_url}/{table_id}/data-preview", params=params)

    def load(self, table_id: str, body: dict[str, Any], run_id: str | None) -> Any:
        """POST tables/{id}/import-async, once."""
        return self._post(f"{self.base_url}/{table_id}/import-async", json=body, headers=_run(run_id))


class Files(Endpoint):  # type: ignore[misc]  # kbcstorage ships no types
    """Files."""

    def __init__(self, url: str, token: str, calls: OneAttempt) -> None:
        super().__init__(url, "files", token)
        _make_safe(self, calls)

    def prepare(self, body: dict[str, Any], run_id: str | None) -> Any:
        """POST files/prepare."""
        return self._post(f"{self.base_url}/prepare", json=body, headers=_run(run_id))

    def detail(self, file_id: int, *, credentials: bool = False) -> Any:
        """GET files/{id}."""
        return self._get(f"{self.base_url}/{file_id}", params={"federationToken": 1} if credentials else {})

    def refresh(self, file_id: int) -> Any:
        """PUT files/{id}/refresh (GCS only)."""
        return self._put(f"{self.base_url}/{file_id}/refresh")

    def delete_async(self, file_id: int) -> Any:
        """DELETE files/{id} as a job."""
        return self._delete(f"{self.base_url}/{file_id}", params={"async": 1})


class Jobs(KbcJobs):  # type: ignore[misc]  # kbcstorage ships no types
    """Jobs: `detail` is kbcstorage's."""

    def __init__(self, url: str, token: str, calls: OneAttempt) -> None:
        super().__init__(url, token)
        _make_safe(self, calls)

    def page(self, created_from: datetime | None, limit: int, offset: int) -> Any:
        """GET jobs, newest first."""
        params: dict[str, Any] = {"limit": limit, "offset": offset}
        if created_from is not None:
            params["created_time_from"] = created_from.strftime("%Y-%m-%dT%H:%M:%S%z")
        return self._get(self.base_url, params=params)
