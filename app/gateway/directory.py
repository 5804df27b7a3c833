"""Where events may be sent: the receivers of the control log by the path of their import URL.

Secrets are decrypted once, when their record arrives. They are compared in constant time; the tables that are searched
by hash are keyed by the path without them.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from hmac import compare_digest
from urllib.parse import unquote_to_bytes

from app.gateway.answers import (
    UNREADABLE_SECRET,
    Refusal,
    endpoint_not_found,
    receiver_not_found,
    secret_not_found,
    token_missing,
    token_wrong,
)
from app.gateway.signatures import Verifier
from app.gateway.usage import Usage
from app.kafka.codec import ControlValue
from app.model.cipher import Cipher
from app.model.errors import BadRequest, ConfigurationError
from app.model.receiver import PreviousSecret, Receiver
from app.model.signature import Signature, signing_key

IMPORT = b"/v1/import/"
AUTHORIZATION = "Authorization"
_BEARER = b"bearer "
_PARTS = 5
"""Of the path of an import URL without the secret, with what is before its first slash."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Secrets:
    """A receiver's secrets as bytes, and what they were decrypted from: `sealed`."""

    sealed: tuple[bytes, PreviousSecret | None, Signature | None]
    secret: bytes = field(repr=False)
    previous: bytes | None = field(default=None, repr=False)
    previous_until: float = 0.0
    """Unix time."""
    verifier: Verifier | None = None

    def match(self, secret: bytes) -> bool:
        """Whether a sender with this secret may send now. A rotation leaves two of them for a while."""
        if compare_digest(self.secret, secret):
            return True
        return self.previous is not None and compare_digest(self.previous, secret) and time.time() < self.previous_until


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One receiver as the lane needs it. `entity` is "<project>/<receiver>"; `verifier` is there where requests must be
    signed.
    """

    uid: str
    entity: str
    receiver_id: str
    secret: bytes = field(repr=False)
    topic: str
    split: bool
    usage: Usage
    verifier: Verifier | None
    secrets: Secrets = field(repr=False)


class Directory:
    """Follows the control log: hand `take` to `ControlView.listen` before the view starts."""

    def __init__(self, cipher: Cipher) -> None:
        self._cipher = cipher
        self._endpoints: dict[bytes, Endpoint] = {}
        self._in_url: dict[bytes, Endpoint] = {}
        """Those whose secret may be in the URL."""
        self._unreadable: set[bytes] = set()
        """Paths of receivers with a secret that none of our keys decrypts."""
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
        self._in_url.pop(path, None)
        self.endings += before is not None
        self._unreadable.discard(path)
        if not isinstance(value, Receiver):
            if before is not None:
                self._usages.pop(before.uid, None)
            return
        if value.is_bound:
            return  # what comes in its topic is written by others
        secrets = self._decrypt(value, before)
        if secrets is None:
            self._unreadable.add(path)
            return
        endpoint = Endpoint(
            value.uid,
            entity,
            value.receiver_id,
            secrets.secret,
            value.topic,
            value.split,
            self.usage(value.uid),
            secrets.verifier,
            secrets,
        )
        self._endpoints[path] = endpoint
        if not value.bearer_only:
            self._in_url[path] = endpoint

    def usage(self, receiver_uid: str) -> Usage:
        """What the receiver has used of its quota: the same one as long as the receiver lives."""
        return self._usages.setdefault(receiver_uid, Usage())

    def find(self, url: bytes) -> Endpoint | None:
        """The endpoint that this URL (path and query) names with the right secret."""
        path, _, secret = _plain(url).rpartition(b"/")
        endpoint = self._in_url.get(path)
        if endpoint is None or compare_digest(endpoint.secret, secret):
            return endpoint
        return endpoint if endpoint.secrets.match(secret) else None

    def find_by_token(self, url: bytes, authorization: bytes) -> Endpoint | None:
        """The endpoint that this URL names without a secret, which is in the Authorization header instead."""
        endpoint = self._endpoints.get(_plain(url))
        return endpoint if endpoint is not None and endpoint.secrets.match(_token(authorization)) else None

    def has(self, endpoint: Endpoint) -> bool:
        """Whether the receiver of an endpoint that was found is still there, whatever it demands of senders now."""
        now = self._endpoints.get(IMPORT + endpoint.entity.encode())
        return now is not None and now.uid == endpoint.uid

    def missing(self, url: bytes, authorization: bytes | None = None) -> Refusal:
        """What to answer when nothing was found, after a read barrier. `authorization`: the header, if there is one."""
        path = _plain(url)
        parts = path.split(b"/")
        in_url = len(parts) == _PARTS + 1
        entity = path.rpartition(b"/")[0] if in_url else path
        endpoint = self._endpoints.get(entity)
        known = endpoint is not None or entity in self._unreadable
        asks = in_url or known or authorization is not None
        if not (in_url or len(parts) == _PARTS) or not all(parts[1:]) or not asks:
            return endpoint_not_found(path.decode("utf-8", "replace"))
        receiver_id = parts[_PARTS - 1].decode("utf-8", "replace")
        if entity in self._unreadable:
            return UNREADABLE_SECRET
        if endpoint is None:
            return receiver_not_found(receiver_id)
        if in_url and entity in self._in_url:
            return secret_not_found(receiver_id)
        return token_missing(receiver_id) if in_url or not _token(authorization or b"") else token_wrong(receiver_id)

    def _decrypt(self, receiver: Receiver, before: Endpoint | None) -> Secrets | None:
        """None when a secret without which nobody could be let in, or everybody would be, cannot be decrypted."""
        sealed = (receiver.secret, receiver.previous, receiver.signature)
        if before is not None and before.uid == receiver.uid and before.secrets.sealed == sealed:
            return before.secrets
        try:
            secret = self._cipher.decrypt(receiver.secret).encode()
            verifier = self._verifier(receiver.signature)
        except (ConfigurationError, BadRequest) as error:
            _log.error("receiver %s/%s: %s", receiver.project_id, receiver.receiver_id, error.message)
            return None
        previous = self._previous(receiver)
        until = receiver.previous.until_ms / 1000 if receiver.previous is not None else 0.0
        return Secrets(sealed, secret, previous, until, verifier)

    def _previous(self, receiver: Receiver) -> bytes | None:
        if receiver.previous is None:
            return None
        try:
            return self._cipher.decrypt(receiver.previous.secret).encode()
        except ConfigurationError as error:
            _log.warning(
                "receiver %s/%s, the secret before this one: %s",
                *(receiver.project_id, receiver.receiver_id, error.message),
            )
            return None

    def _verifier(self, signature: Signature | None) -> Verifier | None:
        if signature is None:
            return None
        keys = [signing_key(signature.scheme, self._cipher.decrypt(secret.sealed)) for secret in signature.secrets]
        return Verifier(signature, keys)


def _plain(url: bytes) -> bytes:
    """The path of a URL, without its query, as the directory knows it."""
    if b"?" in url:
        url = url.partition(b"?")[0]
    return unquote_to_bytes(url) if b"%" in url else url


def _token(authorization: bytes) -> bytes:
    """Of "Bearer <token>"; empty for anything else. No secret is empty."""
    if authorization[: len(_BEARER)].lower() != _BEARER:
        return b""
    return authorization[len(_BEARER) :].strip()
