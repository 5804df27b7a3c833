"""Buckets: create, list, detail, delete, and the tables in one."""

from __future__ import annotations

import re

from app.local.storage.errors import invalid
from app.local.storage.records import Bucket, Operation, now
from app.local.storage.routes.call import Answer, Call
from app.local.storage.scopes import need_manage_buckets, need_read, visible_buckets
from app.local.storage.stores import Json
from app.local.storage.views import bucket_view, table_view

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,95}")


def index(call: Call) -> Answer:
    """List the buckets that the token may read."""
    buckets = visible_buckets(call.token, call.storage.metadata.buckets())
    return Answer(200, [_view(call, bucket) for bucket in buckets])


def create(call: Call) -> Answer:
    """Make a bucket. Storage puts `c-` before its name."""
    need_manage_buckets(call.token)
    name = call.params.required("name")
    stage = call.params.text("stage", "in")
    if stage not in ("in", "out"):
        raise invalid(f"Invalid stage {stage!r}: in or out is allowed.")
    if not _NAME.fullmatch(name):
        raise invalid(
            f"Invalid bucket name {name!r}: letters, digits, dash and underscore are allowed, 96 characters at most."
        )
    storage = call.storage
    bucket_id = f"{stage}.c-{name}"
    with storage.warehouse.writing() as write:
        if any(bucket.id.lower() == bucket_id.lower() for bucket in storage.metadata.buckets()):
            raise invalid(f"The bucket {name} already exists.", "storage.buckets.alreadyExists")
        write.create_bucket(bucket_id)
        bucket = Bucket(
            id=bucket_id,
            name=f"c-{name}",
            display_name=call.params.text("displayName") or name,
            stage=stage,
            description=call.params.text("description"),
            created=now(),
        )
        storage.metadata.put_bucket(bucket)
    return Answer(201, _view(call, bucket))


def detail(call: Call) -> Answer:
    """Describe a bucket and its tables."""
    bucket = call.bucket()
    need_read(call.token, bucket.id)
    return Answer(200, _view(call, bucket))


def delete(call: Call) -> Answer:
    """Delete a bucket: with `force` with all its tables, with `async` as a job."""
    bucket = call.bucket()
    need_manage_buckets(call.token)
    force = call.params.flag("force")
    if not force and call.storage.metadata.tables(bucket.id):
        raise invalid("Only empty buckets can be deleted. There are some tables.", "buckets.deleteNotEmpty")
    job = call.submit(Operation.BUCKET_DELETE, bucket.id, {"force": force})
    return call.accepted(job) if call.params.flag("async") else call.finished(job)


def tables(call: Call) -> Answer:
    """List the tables of a bucket."""
    bucket = call.bucket()
    need_read(call.token, bucket.id)
    return Answer(200, _tables(call, bucket))


def _view(call: Call, bucket: Bucket) -> Json:
    return bucket_view(bucket, _tables(call, bucket), call.storage.url)


def _tables(call: Call, bucket: Bucket) -> list[Json]:
    storage = call.storage
    return [
        table_view(table, storage.warehouse.rows_count(table.id), storage.url)
        for table in storage.metadata.tables(bucket.id)
    ]
