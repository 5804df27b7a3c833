"""The emulator's S3: a moto server whose objects are files on disk.

moto keeps objects in memory and forgets them at exit. Here each object that was put is written to a file before the
answer goes out, and moto's copy is replaced by a window onto that file: so uploads survive a restart, memory does not
grow with them, and imports read from disk. Kept over a restart are key and bytes; headers (encryption, disposition) are
not. moto checks neither credentials nor the prefix policy that Storage's federation tokens carry: whoever reaches the
port may write anything.
"""

from __future__ import annotations

import logging
import os
import secrets
import signal
import socket
import threading
import urllib.parse
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.local.storage.records import StoredFile, now
from app.local.storage.stores import CREDENTIALS_HOURS, Json, dated_key

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment
    from werkzeug.serving import BaseWSGIServer

log = logging.getLogger(__name__)

BUCKET = "kbc-local-files"
REGION = "us-east-1"
_ACCOUNT = "123456789012"
_SUFFIX = ".object"
_IN_MEMORY_BYTES = 64 << 20
"""Up to this size moto need not write a body to a temporary file before we write it to its own."""


class Objects:
    """The S3 server and its files below `root`. One for each process: moto's state is global.

    `listener` is listening already. moto takes a second to import, so the server comes up in a thread of its own: until
    then senders wait in the listener's queue. `wrap` may put an application of its own before moto (faults).
    """

    provider, region = "aws", REGION
    url_prefix = f"s3://{BUCKET}/"

    def __init__(
        self, root: Path, listener: socket.socket, wrap: Callable[[WSGIApplication], WSGIApplication] = lambda app: app
    ) -> None:
        self._root = root
        self._listener = listener
        self._wrap = wrap
        host, port = listener.getsockname()[:2]
        self.url = f"http://{host}:{port}"
        self._started = threading.Event()
        self._server: BaseWSGIServer | None = None
        self._thread = threading.Thread(target=self._serve, name="s3", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop the server. The files stay."""
        self._started.wait()
        if self._server is not None:
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()

    def _serve(self) -> None:
        try:
            self._server = self._make_server()
        except Exception:
            log.exception("the S3 server could not start")
            signal.raise_signal(signal.SIGTERM)
            return
        finally:
            self._started.set()
        self._server.serve_forever()

    def _make_server(self) -> BaseWSGIServer:
        os.environ.setdefault("MOTO_S3_DEFAULT_KEY_BUFFER_SIZE", str(_IN_MEMORY_BYTES))
        from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
        from moto.s3.models import s3_backends
        from werkzeug.serving import make_server

        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._backend = s3_backends[_ACCOUNT]["aws"]
        self._backend.reset()
        self._backend.create_bucket(BUCKET, REGION)
        self._restore()
        host, port = self._listener.getsockname()[:2]
        return make_server(
            host,
            port,
            self._wrap(_DurablePuts(DomainDispatcherApplication(create_backend_app), self)),
            threaded=True,
            request_handler=MotoRequestHandler,
            fd=self._listener.fileno(),
        )

    def key(self, project_id: int, file_id: int, name: str, made: datetime) -> str:
        """Give a new file's key."""
        return dated_key(project_id, file_id, name, made)

    def address(self, key: str) -> str:
        """Give the URL of an object; moto lets one that looks signed read private objects."""
        return f"{self.url}/{BUCKET}/{key}?Signature=local"

    def upload_params(self, file: StoredFile) -> Json:
        """Give where and with what to upload a file's objects. moto takes any credentials."""
        params: Json = {"bucket": BUCKET, "acl": "private", "key": file.key, "credentials": _credentials()}
        if file.is_encrypted:
            params["x-amz-server-side-encryption"] = "AES256"
        return {"uploadParams": params}

    def download_params(self, file: StoredFile) -> Json:
        """Give where and with what to read a file's objects."""
        return {"s3Path": {"bucket": BUCKET, "key": file.key}, "credentials": _credentials()}

    def path(self, key: str) -> Path | None:
        """Give the file of an object, None when there is no such object."""
        path = self._path(BUCKET, key)
        return path if path.is_file() else None

    def keys(self, prefix: str) -> list[str]:
        """List the keys that begin with `prefix`, sorted."""
        self._started.wait()
        return sorted(key for key in list(self._backend.get_bucket(BUCKET).keys) if key.startswith(prefix))

    def delete_prefix(self, prefix: str) -> None:
        """Delete the objects whose keys begin with `prefix`."""
        self._started.wait()
        for key in self.keys(prefix):
            self._backend.delete_object(BUCKET, key)
            self._path(BUCKET, key).unlink(missing_ok=True)

    def keep(self, bucket: str, key: str) -> None:
        """Write an object that moto has just taken to its file, and let moto read it from there."""
        stored = self._backend.get_object(bucket, key)
        if stored is None:
            return
        path = self._path(bucket, key)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
        part.write_bytes(stored.value)
        part.replace(path)
        self._show(stored, path)

    def forget(self, bucket: str, key: str) -> None:
        """Remove the file of an object that moto has deleted."""
        self._path(bucket, key).unlink(missing_ok=True)

    def _restore(self) -> None:
        for bucket_dir in sorted(self._root.iterdir()) if self._root.is_dir() else []:
            bucket = bucket_dir.name
            if bucket != BUCKET:
                self._backend.create_bucket(bucket, REGION)
            for path in bucket_dir.rglob("*"):
                if path.name.endswith(".part"):
                    path.unlink()
                elif path.is_file():
                    segments = str(path.relative_to(bucket_dir)).removesuffix(_SUFFIX).split("/")
                    key = "/".join(urllib.parse.unquote(segment) for segment in segments)
                    self._show(self._backend.put_object(bucket, key, b""), path)

    def _show(self, stored: Any, path: Path) -> None:
        """Make a moto 5.2.5 FakeKey read `path`: its body is a file-like attribute, its ETag is computed when asked."""
        with stored.lock:
            stored._value_buffer.close()
            stored._value_buffer = _FileWindow(path)
            stored.contentsize = path.stat().st_size
            stored._etag = stored._etag if stored.contentsize and stored._etag else None

    def _path(self, bucket: str, key: str) -> Path:
        segments = [urllib.parse.quote(segment, safe="=, +").replace("..", "%2E%2E") for segment in key.split("/")]
        return self._root / bucket / Path(*segments[:-1]) / f"{segments[-1]}{_SUFFIX}"


def _credentials() -> Json:
    expires = (now() + timedelta(hours=CREDENTIALS_HOURS)).replace(microsecond=0)
    return {
        "AccessKeyId": f"ASIA{secrets.token_hex(8).upper()}",
        "SecretAccessKey": secrets.token_urlsafe(30),
        "SessionToken": secrets.token_urlsafe(60),
        "Expiration": expires.isoformat(),
    }


class _FileWindow:
    """What moto needs of an object's body buffer, on a file that is open only while it is read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._position = 0

    def seek(self, position: int) -> None:
        self._position = position

    def read(self, size: int = -1) -> bytes:
        with self._path.open("rb") as stream:
            stream.seek(self._position)
            block = stream.read(size)
        self._position += len(block)
        return block

    def close(self) -> None:
        """Nothing is open between two reads."""


class _DurablePuts:
    """WSGI in front of moto: keeps on disk what was put before the sender hears of it."""

    def __init__(self, app: WSGIApplication, objects: Objects) -> None:
        self._app = app
        self._objects = objects

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        method = environ["REQUEST_METHOD"]
        bucket, _, key = environ["PATH_INFO"].encode("latin-1").decode().lstrip("/").partition("/")
        query = urllib.parse.parse_qs(environ["QUERY_STRING"], keep_blank_values=True)
        if method == "POST" and "delete" in query:
            start_response("501 Not Implemented", [("Content-Length", "0")])
            return [b""]
        statuses: list[str] = []

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            statuses.append(status)
            return start_response(status, headers, exc_info)

        body = list(self._app(environ, start))
        if key and statuses[-1].startswith("2"):
            if (method == "PUT" and "partNumber" not in query) or (method == "POST" and "uploadId" in query):
                self._objects.keep(bucket, key)
            elif method == "DELETE":
                self._objects.forget(bucket, key)
        return body
