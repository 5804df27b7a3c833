"""Files: prepare, list, detail, delete, tags."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from datetime import timedelta

from app.local.storage.errors import ApiError, denied, invalid
from app.local.storage.records import Operation, StoredFile, now
from app.local.storage.routes.call import Answer, Call
from app.local.storage.scopes import may_see_file
from app.local.storage.stores import CREDENTIALS_HOURS, Json
from app.local.storage.views import file_view

DEFAULT_FILES = 100
MAX_FILES = 1000
_TERM = re.compile(r"(tags|name|id):(.+)")


def prepare(call: Call) -> Answer:
    """Make a file resource and say where to upload its objects. Tags are kept once each."""
    params = call.params
    name = params.required("name")
    made = now()
    tags = tuple(dict.fromkeys(str(tag) for tag in params.array("tags")))

    def make(file_id: int) -> StoredFile:
        safe = re.sub(r"[^A-Za-z0-9_.-]", "_", name)[:100]
        return StoredFile(
            id=file_id,
            name=name,
            key=call.storage.objects.key(call.storage.config.project_id, file_id, safe, made),
            created=made,
            size_bytes=params.optional_number("sizeBytes"),
            is_sliced=params.flag("isSliced"),
            is_encrypted=params.flag("isEncrypted", default=True),
            is_permanent=params.flag("isPermanent"),
            tags=tags,
            run_id=call.run_id,
            token_id=call.token.id,
        )

    file = call.storage.metadata.add_file(make)
    return Answer(201, _view(call, file) | call.storage.objects.upload_params(file))


def index(call: Call) -> Answer:
    """List files, newest first, that the token may see. `tags` is OR; `q` with AND is AND."""
    params = call.params
    tags = set(map(str, params.array("tags")))
    run_id = params.text("runId")
    since, most = params.optional_number("sinceId"), params.optional_number("maxId")
    matches = _query(params.text("q"))
    offset = params.number("offset", 0)
    limit = params.number("limit", DEFAULT_FILES, least=1, most=MAX_FILES)
    found = [
        file
        for file in call.storage.metadata.files()
        if may_see_file(call.token, file)
        and (not tags or tags.intersection(file.tags))
        and (not run_id or file.run_id == run_id)
        and (since is None or file.id > since)
        and (most is None or file.id < most)
        and matches(file)
    ]
    return Answer(200, [_view(call, file) for file in found[offset : offset + limit]])


def detail(call: Call) -> Answer:
    """Describe a file, with `federationToken` also how to read its objects."""
    file = _visible(call)
    view = _view(call, file)
    return Answer(
        200, view | call.storage.objects.download_params(file) if call.params.flag("federationToken") else view
    )


def delete(call: Call) -> Answer:
    """Delete a file and its objects, with `async` as a job."""
    file = _visible(call)
    job = call.submit(Operation.FILE_DELETE, f"file {file.id}", {}, file_id=file.id)
    return call.accepted(job) if call.params.flag("async") else call.finished(job)


def add_tag(call: Call) -> Answer:
    """Put a tag on a file."""
    file = _visible(call)
    tag = call.params.required("tag")
    call.storage.metadata.put_file(file.model_copy(update={"tags": tuple(dict.fromkeys([*file.tags, tag]))}))
    return Answer(204)


def remove_tag(call: Call) -> Answer:
    """Take a tag off a file."""
    file = _visible(call)
    kept = tuple(tag for tag in file.tags if tag != call.path["tag"])
    call.storage.metadata.put_file(file.model_copy(update={"tags": kept}))
    return Answer(204)


def refresh(call: Call) -> Answer:
    """Renew upload credentials, which only files on Google's storage need, until their twelve hours are over."""
    file, objects = _visible(call), call.storage.objects
    if objects.provider != "gcp":
        raise invalid(f"File {file.id} is not on GCS; only files on GCS can be refreshed.")
    if now() - file.created > timedelta(hours=CREDENTIALS_HOURS):
        raise ApiError(422, "storage.validation", f"File {file.id} is too old to be refreshed.")
    return Answer(200, _view(call, file) | objects.upload_params(file))


def _visible(call: Call) -> StoredFile:
    file = call.file()
    if not may_see_file(call.token, file):
        raise denied()
    return file


def _view(call: Call, file: StoredFile) -> Json:
    storage = call.storage
    return file_view(file, storage.metadata.token(file.token_id), storage.config, storage.objects)


def _query(text: str) -> Callable[[StoredFile], bool]:
    """Read the part of Storage's query language that is used: terms `tags:"x"`, `name:x`, `id:n`, joined by AND."""
    if not text.strip():
        return lambda file: True
    try:
        terms = [term for term in shlex.split(text) if term != "AND"]
    except ValueError as error:
        raise invalid(f"Invalid query {text!r}: {error}", "query.syntax") from error
    wanted: list[tuple[str, str]] = []
    for term in terms:
        match = _TERM.fullmatch(term)
        if match is None:
            raise invalid(
                f'Invalid term {term!r}: the local emulator knows tags:"x", name:x and id:n, joined by AND.',
                "query.syntax",
            )
        wanted.append((match[1], match[2]))

    def matches(file: StoredFile) -> bool:
        has = {"tags": file.tags, "name": (file.name,), "id": (str(file.id),)}
        return all(value in has[field] for field, value in wanted)

    return matches
