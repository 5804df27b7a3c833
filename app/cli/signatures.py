"""Signatures of receivers in files, and against what the API shows of them. Pure.

The API never shows a secret, so two of them are compared by their fingerprints. A file may leave the secrets out (then
those that are in force stay) or name variables of the environment instead of them, so that it may be shared.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from app.api.drafts import SignatureChange
from app.api.signing import signature_body
from app.model.errors import BadRequest
from app.model.signature import Signature, SigningSecret

_VARIABLE = re.compile(r"\$\{(\w+)\}")


def auth_of(bearer_only: bool) -> str:
    return "bearer" if bearer_only else "url"


def fill_in_secrets(body: object, environment: Mapping[str, str]) -> object:
    """The body of a receiver with its secrets that are "${NAME}" taken from the environment.

    Raises BadRequest for a variable that is not set.
    """
    signature = body.get("signature") if isinstance(body, dict) else None
    secrets = signature.get("secrets") if isinstance(signature, dict) else None
    if not isinstance(body, dict) or not isinstance(signature, dict) or not isinstance(secrets, list):
        return body
    filled = [_filled_in(secret, environment) for secret in secrets]
    return {**body, "signature": {**signature, "secrets": filled}}


def split_fingerprints(signature: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """A signature as the API shows it: as a body has it, and the fingerprints of its secrets."""
    fingerprints = signature.get("fingerprints")
    known = [str(one) for one in fingerprints] if isinstance(fingerprints, list) else []
    return {name: value for name, value in signature.items() if name != "fingerprints"}, known


def with_fingerprints(signature: Signature | None, fingerprints: list[str]) -> Signature | None:
    """The signature with secrets of which nothing else is known, if it has none."""
    if signature is None or signature.secrets:
        return signature
    return replace(signature, secrets=tuple(SigningSecret(one) for one in fingerprints))


def signature_with_secrets(signature: Signature | None) -> dict[str, Any] | None:
    """As a body has it. Secrets of which only the fingerprints are known are left out, and so stay as they are."""
    if signature is None:
        return None
    secrets = [secret.sealed.decode() for secret in signature.secrets if secret.sealed]
    return {**signature_body(signature), **({"secrets": secrets} if secrets else {})}


def signature_change(before: Signature | None, after: Signature | None) -> SignatureChange | None:
    """What is to be asked of the API; None when both mean the same."""
    return None if not list(signature_differences(before, after)) else SignatureChange(after)


def signature_differences(
    before: Signature | None, after: Signature | None
) -> Iterator[tuple[str, str | None, str | None]]:
    """Path, value before, value after: of secrets the fingerprints. Wanted without secrets, they do not differ."""
    if before is None or after is None:
        if before is not after:
            yield "signature", _scheme(before), _scheme(after)
        return
    there, wanted = signature_body(before), signature_body(after)
    for name in [*there, *(name for name in wanted if name not in there)]:
        if there.get(name) != wanted.get(name):
            yield f"signature.{name}", there.get(name), wanted.get(name)
    given = any(secret.sealed for secret in after.secrets)
    if given and _fingerprints(before) != _fingerprints(after):
        yield "signature.secrets", _fingerprints(before), _fingerprints(after)


def _scheme(signature: Signature | None) -> str | None:
    return None if signature is None else signature.scheme.value


def _fingerprints(signature: Signature) -> str:
    return ", ".join(secret.fingerprint for secret in signature.secrets)


def _filled_in(secret: object, environment: Mapping[str, str]) -> object:
    match = _VARIABLE.fullmatch(secret) if isinstance(secret, str) else None
    if match is None:
        return secret
    value = environment.get(match[1])
    if not value:
        raise BadRequest(f"the variable {match[1]}, which holds a secret of the signature, is not set")
    return value
