"""Uploads to Google Cloud Storage by google-cloud-storage, with the access token of one prepared file. Importing this
imports the SDK.

The token lives for an hour and the SDK cannot renew it: `app.keboola.renewal` does. Of the SDK's errors, which
may name upload sessions (whoever knows one may write), only status and kind are repeated.
"""

from __future__ import annotations

from google.api_core.exceptions import GoogleAPICallError, GoogleAPIError
from google.auth.exceptions import GoogleAuthError
from google.auth.transport.requests import AuthorizedSession
from google.cloud.storage import Blob, Client
from google.cloud.storage.exceptions import DataCorruption, InvalidResponse
from google.cloud.storage.retry import DEFAULT_RETRY
from google.oauth2.credentials import Credentials
from requests import RequestException

from app.keboola.answers import PreparedFile
from app.keboola.errors import StorageError, StorageUnavailable, upload_error

_TIMEOUT_SECONDS = (5, 60)
_RETRY = DEFAULT_RETRY.with_delay(initial=0.5, maximum=2).with_timeout(5)
"""As good as three attempts; who uploads tries again later."""
_ERRORS = (GoogleAPIError, GoogleAuthError, InvalidResponse, DataCorruption, RequestException)


class GcsTarget:
    """The objects of one file, as `app.keboola.upload.FileTarget` has it. A client may be used by several threads."""

    def __init__(self, prepared: PreparedFile, endpoint_url: str | None) -> None:
        params = prepared.params
        self._key = str(params["key"])
        credentials = Credentials(token=str(params["access_token"]))  # type: ignore[no-untyped-call]  # as it ships
        # By itself google-auth 2.43.0 tries in vain to renew the token of a 401, and leaves the connection open.
        session = AuthorizedSession(credentials, refresh_status_codes=())  # type: ignore[no-untyped-call]  # too
        self._client = Client(
            project=str(params["projectId"]),
            credentials=credentials,
            client_options={"api_endpoint": endpoint_url} if endpoint_url else None,
            _http=session,
        )
        self._bucket = self._client.bucket(str(params["bucket"]))

    def put(self, name: str, data: bytes) -> None:
        """Write the object `key + name`."""
        try:
            self._of(name).upload_from_string(
                data, content_type="application/octet-stream", timeout=_TIMEOUT_SECONDS, retry=_RETRY
            )
        except _ERRORS as error:
            raise _translated(name, error) from None

    def get(self, name: str) -> bytes:
        """Read the object `key + name`."""
        try:
            return bytes(self._of(name).download_as_bytes(timeout=_TIMEOUT_SECONDS, retry=_RETRY))
        except _ERRORS as error:
            raise _translated(name, error) from None

    def url(self, name: str) -> str:
        """Give `gs://bucket/key`."""
        return f"gs://{self._bucket.name}/{self._key}{name}"

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _of(self, name: str) -> Blob:
        return self._bucket.blob(self._key + name)


def _translated(name: str, error: Exception) -> StorageError:
    if isinstance(error, GoogleAPICallError) and error.code:
        # 410: Google has dropped the session of a large upload; another begins anew.
        return upload_error("Google", name, int(error.code), type(error).__name__, busy=error.code == 410)
    if isinstance(error, InvalidResponse):
        return upload_error("Google", name, int(error.response.status_code), "InvalidResponse")
    return StorageUnavailable(f"Google could not be reached for {name}: {type(error).__name__}")
