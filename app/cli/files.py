"""Files of receivers or exports: YAML or JSON, one document or several. Problems name the file and the place."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import yaml

from app.api.drafts import ExportDraft, ReceiverDraft
from app.cli.bodies import read_export, read_receiver
from app.cli.signatures import fill_in_secrets
from app.model.errors import BadRequest, StreamsError

D = TypeVar("D")


class BadFile(StreamsError):
    """A file that cannot be read or says what can never be done; nothing was sent."""

    exit_code = 2


def read_receivers(path: str) -> tuple[list[ReceiverDraft], list[str]]:
    """The receivers of a file ("-" is standard input) and warnings. Raises BadFile."""

    def read(body: object) -> tuple[ReceiverDraft, list[str]]:
        return read_receiver(fill_in_secrets(body, os.environ))

    return _read(path, "receivers", read, lambda draft: draft.receiver_id)


def read_exports(path: str) -> tuple[list[ExportDraft], list[str]]:
    """The exports of a file ("-" is standard input) and warnings. Raises BadFile."""
    return _read(path, "exports", read_export, lambda draft: draft.export_id)


def read_exports_or_receivers(path: str) -> tuple[list[ExportDraft], list[str]]:
    """The exports of a file of exports or of receivers ("-" is standard input) and warnings. Raises BadFile.

    What has a mapping is an export; an export's id may be there in several receivers.
    """

    def read(body: object) -> tuple[list[ExportDraft], list[str]]:
        if isinstance(body, dict) and "mapping" in body:
            export, warnings = read_export(body)
            return [export], warnings
        if isinstance(body, dict):  # how events are signed is nothing to the mapping, and the secrets may not be here
            body = {name: value for name, value in body.items() if name != "signature"}
        receiver, warnings = read_receiver(body)
        return list(receiver.exports), warnings

    found, warnings = _read(path, "exports", read, None)
    return [export for exports in found for export in exports], warnings


def parse_documents(text: str, kind: str) -> list[object]:
    """The bodies in a text: each YAML document is one, or a list of them, or the API's {kind: [...]}.

    JSON is read as JSON, because YAML refuses its tabs. Raises BadRequest with line and column.
    """
    try:
        documents = [json.loads(text)]
    except ValueError:
        try:
            documents = list(yaml.safe_load_all(text))
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark
            place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark is not None else ""
            raise BadRequest(f"{place}{error.problem or error.context}") from error
        except (yaml.YAMLError, ValueError) as error:
            raise BadRequest(" ".join(str(error).split())) from error
    return [body for document in documents if document is not None for body in _bodies(document, kind)]


def _bodies(document: object, kind: str) -> Iterator[object]:
    if isinstance(document, dict) and set(document) == {kind} and isinstance(document[kind], list):
        document = document[kind]
    if isinstance(document, list):
        yield from document
    else:
        yield document


def _read(
    path: str, kind: str, read: Callable[[object], tuple[D, list[str]]], id_of: Callable[[D], str] | None
) -> tuple[list[D], list[str]]:
    name = "standard input" if path == "-" else path
    drafts: list[D] = []
    warnings: list[str] = []
    try:
        bodies = parse_documents(_text(path), kind)
    except BadRequest as problem:
        raise BadFile(f"{name}: {problem.message}") from problem
    if not bodies:
        raise BadFile(f"{name}: there are no {kind} in it.")
    for number, body in enumerate(bodies, start=1):
        place = name if len(bodies) == 1 else f"{name}, document {number}"
        try:
            draft, said = read(body)
        except BadRequest as problem:
            raise BadFile(f"{place}: {problem.message}") from problem
        drafts.append(draft)
        warnings += [f"{place}: {warning}" for warning in said]
    ids = [] if id_of is None else [id_of(draft) for draft in drafts]
    for repeated in sorted({one for one in ids if ids.count(one) > 1}):
        raise BadFile(f'{name}: "{repeated}" is there more than once.')
    return drafts, warnings


def _text(path: str) -> str:
    try:
        return sys.stdin.read() if path == "-" else Path(path).read_text("utf-8")
    except OSError as error:
        raise BadFile(f"{path}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise BadFile(f"{path}: it is not UTF-8 text.") from error
