"""Who a request comes from and what that token may do.

Scopes of Storage: the master token and `canManageBuckets` may do all with buckets; others need `read` or `write` on the
bucket. A file may be read by the token that made it, or with `canReadAllFileUploads`. A token sees its own jobs only,
unless it manages tokens: what Storage does there is not documented, and this is the stricter reading.
"""

from __future__ import annotations

import hashlib
import secrets

from app.local.storage.errors import denied, token_invalid
from app.local.storage.metadata import Metadata
from app.local.storage.records import Bucket, Job, StoredFile, Token, now


def hash_secret(token: str) -> str:
    """Give what is kept of a token's text."""
    return hashlib.sha256(token.encode()).hexdigest()


def mint(project_id: int, token_id: int) -> str:
    """Make a token's text: `<project>-<token id>-<secret>`."""
    return f"{project_id}-{token_id}-{secrets.token_urlsafe(24)}"


def authenticate(metadata: Metadata, token: str | None) -> Token:
    """Find the token a request was sent with. Raises ApiError 401; the text is never echoed."""
    found = metadata.token_by_secret(hash_secret(token)) if token else None
    if found is None or found.is_expired(now()):
        raise token_invalid()
    return found


def may_read(token: Token, bucket_id: str) -> bool:
    """Say whether the token may read a bucket's tables."""
    return token.can_manage_buckets or bucket_id in token.bucket_permissions


def may_write(token: Token, bucket_id: str) -> bool:
    """Say whether the token may change a bucket's tables."""
    return token.can_manage_buckets or token.bucket_permissions.get(bucket_id) == "write"


def need_read(token: Token, bucket_id: str) -> None:
    """Raise ApiError 403 unless the token may read the bucket."""
    if not may_read(token, bucket_id):
        raise denied()


def need_write(token: Token, bucket_id: str) -> None:
    """Raise ApiError 403 unless the token may write to the bucket."""
    if not may_write(token, bucket_id):
        raise denied()


def need_manage_buckets(token: Token) -> None:
    """Raise ApiError 403 unless the token may create and delete buckets."""
    if not token.can_manage_buckets:
        raise denied()


def may_see_file(token: Token, file: StoredFile) -> bool:
    """Say whether the token may read a file."""
    return token.can_read_all_file_uploads or file.token_id == token.id


def may_see_job(token: Token, job: Job) -> bool:
    """Say whether the token may see a job."""
    return token.can_manage_tokens or job.token_id == token.id


def visible_buckets(token: Token, buckets: list[Bucket]) -> list[Bucket]:
    """Keep the buckets the token may read."""
    return [bucket for bucket in buckets if may_read(token, bucket.id)]
