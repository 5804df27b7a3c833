"""Where events may be sent: the receivers of the control log by the path of their import URL.

A secret is decrypted once, when its record arrives. It is compared in constant time; the table that is searched by hash
is keyed by the path without it.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from hmac import compare_digest
from urllib.parse import unquote_to_bytes

from app.gateway.answers import (
    UNREADABLE_SECRET,
    Refusal,
    endpoint_not_found,
    receiver_not_found,
    secret_not_found,
)
from app.gateway.usage import Usage
from app.kafka.codec import ControlValue
from app.model.cipher import Cipher
from app.model.errors import ConfigurationError
from app.model.receiver import Receiver

IMPORT = b"/v1/import/"
_SLASHES = 5
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One receiver as the lane needs it."""

    uid: str
    receiver_id: str
    encrypted: bytes
    secret: bytes
    topic: str
    split: bool
    usage: Usage


class Directory:
    """Follows the control log: hand `take` to `ControlView.listen` before the view starts."""

    def __init__(self, cipher: Cipher) -> None:
        self._cipher = cipher
        self._endpoints: dict[bytes, Endpoint] = {}
        self._unreadable: set[bytes] = set()
        """Paths of receivers whose secret none of our keys decrypts."""
        self._usages: dict[str, Usage] = {}
        self.endings = 0
        """How often an endpoint has changed or ended: while this stays the same, what was found is still there."""

    def take(self, key: str, value: ControlValue | None) -> None:
        """Called on the event loop after each change in the control log."""
        kind, _, entity = key.partition(":")
        if kind != "receiver":
            return
        path = IMPORT + entity.encode()
        before = self._endpoints.pop(path, None)
        self.endings += before is not None
        self._unreadable.discard(path)
        if not isinstance(value, Receiver):
            if before is not None:
                self._usages.pop(before.uid, None)
            return
        if before is not None and (before.uid, before.encrypted) == (value.uid, value.secret):
            secret: bytes | None = before.secret
        else:
            secret = self._decrypt(value)
        if secret is None:
            self._unreadable.add(path)
        else:
            self._endpoints[path] = Endpoint(
                value.uid,
                value.receiver_id,
                value.secret,
                secret,
                value.topic,
                value.split,
                self.usage(value.uid),
            )

    def usage(self, receiver_uid: str) -> Usage:
        """What the receiver has used of its quota: the same one as long as the receiver lives."""
        return self._usages.setdefault(receiver_uid, Usage())

    def find(self, url: bytes) -> Endpoint | None:
        """The endpoint that this URL (path and query) names with the right secret."""
        if b"?" in url:
            url = url.partition(b"?")[0]
        if b"%" in url:
            url = unquote_to_bytes(url)
        path, _, secret = url.rpartition(b"/")
        endpoint = self._endpoints.get(path)
        return endpoint if endpoint is not None and compare_digest(endpoint.secret, secret) else None

    def missing(self, url: bytes) -> Refusal:
        """What to answer when `find` found nothing, after a read barrier."""
        path = unquote_to_bytes(url.partition(b"?")[0])
        parts = path.split(b"/")
        if len(parts) != _SLASHES + 1 or not all(parts[1:]):
            return endpoint_not_found(path.decode("utf-8", "replace"))
        entity, receiver_id = path.rpartition(b"/")[0], parts[4].decode("utf-8", "replace")
        if entity in self._unreadable:
            return UNREADABLE_SECRET
        return secret_not_found(receiver_id) if entity in self._endpoints else receiver_not_found(receiver_id)

    def _decrypt(self, receiver: Receiver) -> bytes | None:
        try:
            return self._cipher.decrypt(receiver.secret).encode()
        except ConfigurationError as error:
            _log.error("receiver %s/%s: %s", receiver.project_id, receiver.receiver_id, error.message)
            return None
