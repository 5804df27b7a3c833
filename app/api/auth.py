"""Who is calling: the Storage token of a request, verified with Storage.

The project comes from the token, never from the URL. A verified token is remembered for a short time under a keyed hash
(the key is this process's own), so that neither a dump nor a log of the cache shows tokens.
Source: Buffer API, conventions.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
import time
from collections import OrderedDict
from dataclasses import dataclass, field

from app.keboola.answers import TokenInfo
from app.keboola.calls import Timeouts
from app.keboola.client import StorageClient
from app.keboola.errors import StorageAccessDenied, StorageRefused, StorageUnavailable
from app.model.errors import BadRequest, Unauthorized
from app.settings import Settings

MAX_CACHED = 10_000
VERIFY_READ_SECONDS = 10.0
"""A request waits no longer for Storage's answer, though its tasks may."""
_TOKENS_FAULT = (400, 401, 403)
"""With another refusal than these Storage says nothing of the token: its address may be wrong."""


@dataclass(frozen=True)
class Caller:
    """An administrator of a project."""

    project_id: str
    token: str = field(repr=False)


class TokenVerifier:
    """Verifies tokens; used on one event loop."""

    def __init__(self, settings: Settings) -> None:
        self._url = settings.storage_api_host
        self._timeouts = Timeouts(
            settings.storage_connect_seconds, min(VERIFY_READ_SECONDS, settings.storage_read_seconds)
        )
        self._seconds = settings.token_cache_seconds
        self._key = secrets.token_bytes(32)
        self._cache: OrderedDict[bytes, tuple[float, str]] = OrderedDict()

    async def identify(self, header: str) -> Caller:
        """The caller of a request with this X-StorageApi-Token ("Bearer x" counts as "x").

        Raises Unauthorized for a token that Storage refuses (with Storage's own name and message) or that is not a
        master token, StorageUnavailable when Storage does not say.
        """
        token = header.strip().split(" ", 1)[-1].strip()
        if not token:
            raise BadRequest('"X-StorageApi-Token" is missing from header', "buffer.missingField")
        digest = hmac.digest(self._key, token.encode(), hashlib.sha256)
        known = self._cache.get(digest)
        if known is not None and known[0] > time.monotonic():
            return Caller(known[1], token)
        info = await asyncio.to_thread(self._ask, token)
        if not info.is_master:
            raise Unauthorized(
                "Please provide a master token of a project administrator.", "buffer.masterTokenRequired"
            )
        project_id = str(info.project_id)
        self._cache[digest] = (time.monotonic() + self._seconds, project_id)
        self._cache.move_to_end(digest)
        while len(self._cache) > MAX_CACHED:
            self._cache.popitem(last=False)
        return Caller(project_id, token)

    def _ask(self, token: str) -> TokenInfo:
        try:
            with StorageClient(self._url, token, timeouts=self._timeouts) as storage:
                return storage.verify_token()
        except StorageUnavailable as trouble:
            raise StorageUnavailable(
                f"Storage did not verify the token. {trouble.reason}", trouble.retry_after_seconds
            ) from trouble
        except StorageRefused as refusal:
            if refusal.http_status not in _TOKENS_FAULT:
                reason = f"Storage does not verify tokens at this address: {refusal.reason}"
                raise StorageUnavailable(reason) from refusal
            name = refusal.code if refusal.code.startswith("storage.") else refusal.name
            denied = isinstance(refusal, StorageAccessDenied)
            reason = f"Storage does not let the token in: {refusal.reason}" if denied else refusal.reason
            raise Unauthorized(reason, name) from refusal
