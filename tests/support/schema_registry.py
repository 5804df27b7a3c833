"""A schema registry of the tests' own, over real HTTP: what serializers and readers use of Confluent's REST API.

It can be told to demand a password, and to fail in the ways in which a registry fails.
"""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

_TEXT_OF_PROTOBUF = 'syntax = "proto3"; // what this registry would print, had it a printer'


class Trouble(Enum):
    REFUSES = "closes each connection without an answer"
    HANGS = "takes requests and never answers"
    FAILS = "answers 503"
    FORBIDS = "answers 403"


@dataclass
class SchemaRegistry:
    """Schemas by id (from 1) and by subject and version. `asked` are the paths of all requests."""

    url: str
    user_info: str | None = None
    trouble: Trouble | None = None
    asked: list[str] = field(default_factory=list)
    schemas: dict[int, dict[str, Any]] = field(default_factory=dict)
    subjects: dict[str, list[int]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)
    stopping: threading.Event = field(default_factory=threading.Event)

    def register(self, subject: str, schema: dict[str, Any]) -> int:
        """The id of the schema (as the REST API has it), which is now the newest of the subject."""
        with self.lock:
            kept = {key: schema[key] for key in ("schema", "schemaType", "references") if schema.get(key)}
            known = next((number for number, one in self.schemas.items() if one == kept), None)
            number = known or max(self.schemas, default=0) + 1
            self.schemas[number] = kept
            versions = self.subjects.setdefault(subject, [])
            if number not in versions:
                versions.append(number)
            return number

    def answer(self, method: str, path: str, query: dict[str, list[str]], body: Any) -> tuple[int, Any]:
        parts = [unquote(part) for part in path.strip("/").split("/")]
        form = query.get("format", [""])[0]
        match method, parts:
            case "POST", ["subjects", subject, "versions"]:
                number = self.register(subject, body)
                return 200, {"id": number, "subject": subject, "version": self._version(subject, number)}
            case "POST", ["subjects", subject]:
                for number in self.subjects.get(subject, ()):
                    if self.schemas[number].get("schema") == body["schema"]:
                        return 200, self._registered(subject, number, form)
                return 404, {"error_code": 40403, "message": "Schema not found"}
            case "GET", ["schemas", "ids", number]:
                if int(number) not in self.schemas:
                    return 404, {"error_code": 40403, "message": f"Schema {number} not found"}
                return 200, self._shown(int(number), form)
            case "GET", ["subjects", subject, "versions", version]:
                known = self.subjects.get(subject, [])
                at = len(known) if version == "latest" else int(version)
                if not 0 < at <= len(known):
                    return 404, {"error_code": 40402 if known else 40401, "message": "Not found"}
                return 200, self._registered(subject, known[at - 1], form)
        return 404, {"error_code": 404, "message": "HTTP 404 Not Found"}

    def _version(self, subject: str, number: int) -> int:
        return self.subjects[subject].index(number) + 1

    def _registered(self, subject: str, number: int, form: str) -> dict[str, Any]:
        known = {"subject": subject, "id": number, "version": self._version(subject, number)}
        return known | self._shown(number, form)

    def _shown(self, number: int, form: str) -> dict[str, Any]:
        """A Protobuf schema is a file descriptor only for who asks for that."""
        schema = self.schemas[number]
        if schema.get("schemaType") == "PROTOBUF" and form != "serialized":
            return schema | {"schema": _TEXT_OF_PROTOBUF}
        return schema


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    registry: SchemaRegistry

    def _serve(self) -> None:
        registry = self.registry
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        registry.asked.append(self.path)
        if registry.trouble is Trouble.HANGS:
            registry.stopping.wait()
        if registry.trouble in (Trouble.HANGS, Trouble.REFUSES):
            self.close_connection = True
            return
        url = urlsplit(self.path)
        status, answer = registry.answer(self.command, url.path, parse_qs(url.query), body)
        if registry.user_info is not None:
            wanted = "Basic " + base64.b64encode(registry.user_info.encode()).decode()
            if self.headers.get("Authorization") != wanted:
                status, answer = 401, {"error_code": 40101, "message": "User cannot be authenticated"}
        if registry.trouble is not None:
            status = 503 if registry.trouble is Trouble.FAILS else 403
            answer = {"error_code": 50301 if status == 503 else 40301, "message": "not now"}
        content = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/vnd.schemaregistry.v1+json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = _serve

    def log_message(self, *_: Any) -> None:
        """Nothing: tests look at `asked`."""


@contextmanager
def running_registry(user_info: str | None = None) -> Iterator[SchemaRegistry]:
    """One that is empty, on a port of its own. `user_info` ("name:password") is demanded of all who ask."""
    handler = type("_Bound", (_Handler,), {})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        server.block_on_close = False
        registry = SchemaRegistry(f"http://127.0.0.1:{server.server_port}", user_info)
        handler.registry = registry  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield registry
        finally:
            registry.stopping.set()
            server.shutdown()
            thread.join()
