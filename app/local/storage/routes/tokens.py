"""Tokens: verify, create, list, detail, update, refresh, delete; and tickets."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

from app.local.storage.errors import ApiError, denied, invalid
from app.local.storage.records import Permission, Token, now
from app.local.storage.routes.call import Answer, Call
from app.local.storage.scopes import hash_secret, mint
from app.local.storage.views import token_view, verified_view

MAX_DESCRIPTION = 255


def verify(call: Call) -> Answer:
    """Say whose the request's token is."""
    return Answer(
        200,
        verified_view(
            call.token, _creator(call, call.token), call.token_text, call.storage.config, call.storage.objects
        ),
    )


def create(call: Call) -> Answer:
    """Make a token. Its text is in this answer only."""
    params = call.params
    extras = ("bucketPermissions", "canManageBuckets", "canReadAllFileUploads", "componentAccess")
    if not call.token.can_manage_tokens and any(params.values.get(name) for name in extras):
        raise denied()
    expires_in = params.optional_number("expiresIn")
    if not call.token.can_manage_tokens and expires_in is None:
        raise denied()
    if expires_in is not None and expires_in < 1:
        raise invalid("Invalid request: expiresIn: this value should be at least 1 second.")
    description = _description(call)
    made = now()
    texts: list[str] = []

    def make(token_id: int) -> Token:
        texts.append(mint(call.storage.config.project_id, token_id))
        return Token(
            id=token_id,
            secret_sha256=hash_secret(texts[0]),
            description=description,
            created=made,
            refreshed=made,
            expires=None if expires_in is None else made + timedelta(seconds=expires_in),
            can_manage_buckets=params.flag("canManageBuckets"),
            can_read_all_file_uploads=params.flag("canReadAllFileUploads"),
            bucket_permissions=_permissions(params.mapping("bucketPermissions")),
            creator_id=call.token.id,
        )

    token = call.storage.metadata.add_token(make)
    return Answer(201, token_view(token, call.token) | {"token": texts[0]})


def index(call: Call) -> Answer:
    """List the project's tokens."""
    _need_manage(call)
    return Answer(200, [token_view(token, _creator(call, token)) for token in call.storage.metadata.tokens()])


def detail(call: Call) -> Answer:
    """Describe a token: any for who manages tokens, else only itself."""
    token = _named(call)
    if token.id != call.token.id:
        _need_manage(call)
    return Answer(200, token_view(token, _creator(call, token)))


def update(call: Call) -> Answer:
    """Replace a token's description and all its bucket permissions."""
    _need_manage(call)
    token = _named(call)
    changes: dict[str, Any] = {}
    if "description" in call.params.values:
        changes["description"] = _description(call)
    if "bucketPermissions" in call.params.values:
        changes["bucket_permissions"] = _permissions(call.params.mapping("bucketPermissions"))
    if "canReadAllFileUploads" in call.params.values:
        changes["can_read_all_file_uploads"] = call.params.flag("canReadAllFileUploads")
    token = token.model_copy(update=changes)
    call.storage.metadata.put_token(token)
    return Answer(200, token_view(token, _creator(call, token)))


def refresh(call: Call) -> Answer:
    """Give a token a new text; the old one is dead at once. Any token may refresh itself."""
    token = _named(call)
    if token.id != call.token.id:
        _need_manage(call)
    if token.is_master:
        raise invalid("The master token of the local stack is fixed and cannot be refreshed.")
    text = mint(call.storage.config.project_id, token.id)
    token = token.model_copy(update={"secret_sha256": hash_secret(text), "refreshed": now()})
    call.storage.metadata.put_token(token)
    return Answer(200, token_view(token, _creator(call, token)) | {"token": text})


def delete(call: Call) -> Answer:
    """Delete a token: it is dead at once."""
    token = _named(call)
    if token.id != call.token.id:
        _need_manage(call)
    if token.is_master:
        raise invalid("Master tokens cannot be deleted.", "storage.tokens.cannotDelete")
    call.storage.metadata.drop_token(token.id)
    return Answer(204)


def create_ticket(call: Call) -> Answer:
    """Give a number for a run id."""
    return Answer(200, {"id": call.storage.metadata.next_ticket()})


def _need_manage(call: Call) -> None:
    if not call.token.can_manage_tokens:
        raise denied()


def _named(call: Call) -> Token:
    text = call.path["token_id"]
    token = call.storage.metadata.token(int(text)) if re.fullmatch(r"\d{1,18}", text) else None
    if token is None:
        raise ApiError(404, "storage.tokens.notFound", f"Token {text} not found")
    return token


def _creator(call: Call, token: Token) -> Token | None:
    return None if token.creator_id is None else call.storage.metadata.token(token.creator_id)


def _description(call: Call) -> str:
    description = call.params.text("description")
    if len(description) > MAX_DESCRIPTION:
        raise invalid(f"The description has {len(description)} characters; at most {MAX_DESCRIPTION} are allowed.")
    return description


def _permissions(wanted: dict[str, Any]) -> dict[str, Permission]:
    permissions: dict[str, Permission] = {}
    for bucket_id, permission in wanted.items():
        if permission not in ("read", "write"):
            raise invalid(
                f"Invalid permission {permission!r} for bucket {bucket_id}: read or write is allowed.",
                "storage.tokens.invalidPermissions",
            )
        permissions[bucket_id] = permission
    return permissions
