"""Where events may be sent: the receivers of the control log by the path of their import URL.

A secret is decrypted once, when its record arrives. It is compared in constant time; the table that is searched by hash
is keyed by the path without it.
"""

from __future__ import annotations

import hmac
import logging
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from app.gateway.answers import Refusal, endpoint_not_found, receiver_not_found, secret_not_found
from app.kafka.codec import ControlValue
from app.model.cipher import Cipher
from app.model.errors import ConfigurationError
from app.model.receiver import Receiver

IMPORT = b"/v1/import/"
_SLASHES = 5
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One receiver as the lane needs it. `secret` is None when none of our keys decrypts it."""

    uid: str
    encrypted: bytes
    secret: bytes | None
    topic: str
    split: bool


class Directory:
    """Follows the control log: hand `take` to `ControlView.listen` before the view starts."""

    def __init__(self, cipher: Cipher) -> None:
        self._cipher = cipher
        self._endpoints: dict[bytes, Endpoint] = {}

    def take(self, key: str, value: ControlValue | None) -> None:
        """Called on the event loop after each change in the control log."""
        kind, _, entity = key.partition(":")
        if kind != "receiver":
            return
        path = IMPORT + entity.encode()
        if isinstance(value, Receiver):
            self._endpoints[path] = self._endpoint(value, self._endpoints.get(path))
        else:
            self._endpoints.pop(path, None)

    def find(self, url: bytes) -> Endpoint | None:
        """The endpoint that this URL (path and query) names with the right secret."""
        if b"?" in url:
            url = url.partition(b"?")[0]
        if b"%" in url:
            url = unquote_to_bytes(url)
        path, _, secret = url.rpartition(b"/")
        endpoint = self._endpoints.get(path)
        if endpoint is None or endpoint.secret is None or hmac.compare_digest(endpoint.secret, secret):
            return endpoint
        return None

    def missing(self, url: bytes) -> Refusal:
        """What to answer when `find` found nothing, after a read barrier."""
        path = unquote_to_bytes(url.partition(b"?")[0])
        parts = path.split(b"/")
        if len(parts) != _SLASHES + 1 or not all(parts[1:]):
            return endpoint_not_found(path.decode("utf-8", "replace"))
        known = path.rpartition(b"/")[0] in self._endpoints
        receiver_id = parts[4].decode("utf-8", "replace")
        return secret_not_found(receiver_id) if known else receiver_not_found(receiver_id)

    def _endpoint(self, receiver: Receiver, before: Endpoint | None) -> Endpoint:
        if before is not None and (before.uid, before.encrypted) == (receiver.uid, receiver.secret):
            secret = before.secret
        else:
            secret = self._decrypt(receiver)
        return Endpoint(receiver.uid, receiver.secret, secret, receiver.topic, receiver.split)

    def _decrypt(self, receiver: Receiver) -> bytes | None:
        try:
            return self._cipher.decrypt(receiver.secret).encode()
        except ConfigurationError as error:
            _log.error("receiver %s/%s: %s", receiver.project_id, receiver.receiver_id, error.message)
            return None
