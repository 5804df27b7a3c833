"""A lane without Kafka behind it, and connections without sockets: what the lane decides, event by event."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import uvicorn
from confluent_kafka import KafkaError
from starlette.types import ASGIApp
from uvicorn.server import ServerState

from app.gateway.lane import Lane
from app.gateway.protocol import IngestProtocol, protocol_for
from app.gateway.publisher import RecordHeaders, Report
from app.kafka.view import ControlView
from app.model.cipher import Cipher
from app.model.receiver import Receiver
from app.settings import Settings

SECRET = "s" * 48
PATH = f"/v1/import/1/flights/{SECRET}"


@dataclass(frozen=True)
class ScriptedMessage:
    """What librdkafka says of an event that Kafka has: all are in partition 3."""

    number: int

    def partition(self) -> int:
        return 3

    def offset(self) -> int:
        return self.number


class ScriptedPublisher:
    """Stands where the producer is: keeps events until `report`, or refuses them as librdkafka would."""

    def __init__(self, settle: Callable[[], None]) -> None:
        self.sent: list[tuple[str, bytes, RecordHeaders]] = []
        self.fails_at: tuple[int, Exception] | None = None
        """How many events it takes before it raises this."""
        self._settle = settle
        self._reports: list[Report] = []
        self._reported = 0

    @property
    def values(self) -> list[bytes]:
        return [value for _, value, _ in self.sent]

    def send(self, topic: str, value: bytes, headers: RecordHeaders, report: Report) -> None:
        if self.fails_at is not None and len(self.sent) >= self.fails_at[0]:
            raise self.fails_at[1]
        self.sent.append((topic, value, headers))
        self._reports.append(report)

    def report(self, error: KafkaError | None = None, count: int | None = None) -> None:
        """Report on the oldest `count` events (all): durable, or failed with `error`."""
        now, self._reports = self._reports[:count], self._reports[len(self._reports[:count]) :]
        for report in now:
            report(error, ScriptedMessage(self._reported))  # type: ignore[arg-type]  # all that the lane looks at
            self._reported += 1
        self._settle()

    def poll(self) -> None:
        """Reports come from `report` only."""


class ScriptedLookups:
    """Stands where the read barrier is."""

    def __init__(self) -> None:
        self._waiting: list[Callable[[bool], None]] = []

    def ask(self, callback: Callable[[bool], None]) -> None:
        self._waiting.append(callback)

    def pass_barrier(self, met: bool = True) -> None:
        """What the view has now is all there was when the requests asked; or Kafka did not say so."""
        waiting, self._waiting = self._waiting, []
        for callback in waiting:
            callback(met)


class MemoryTransport(asyncio.Transport):
    """What the other side sees."""

    def __init__(self, protocol: IngestProtocol, address: str) -> None:
        super().__init__()
        self._peer = (address, 4711)
        self.written = b""
        self.reading = True
        self.ended = False
        self._closing = False
        self._protocol = protocol

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return {"peername": self._peer, "sockname": ("10.0.0.1", 8000)}.get(name, default)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self._closing
        self.written += bytes(data)

    def write_eof(self) -> None:
        self.ended = True

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            self._protocol.connection_lost(None)

    def abort(self) -> None:
        self.close()


class Connection:
    """One connection to a lane."""

    def __init__(self, protocol: IngestProtocol, address: str) -> None:
        self.protocol = protocol
        self.transport = MemoryTransport(protocol, address)
        protocol.connection_made(self.transport)

    def feed(self, data: bytes) -> None:
        self.protocol.data_received(data)

    @property
    def statuses(self) -> list[int]:
        """Of the answers so far."""
        return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", self.transport.written)]


def post(body: bytes = b"{}", *headers: str, path: str = PATH) -> bytes:
    """The bytes of one request."""
    lines = [f"POST {path} HTTP/1.1", "Host: x", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


def receiver(cipher: Cipher, secret: str = SECRET, *, receiver_id: str = "flights", split: bool = True) -> Receiver:
    return Receiver(
        uid=f"uid-{receiver_id}",
        project_id="1",
        receiver_id=receiver_id,
        name=receiver_id,
        description="",
        secret=cipher.encrypt(secret),
        topic=f"streams.events.1.{receiver_id}",
        topic_id="topic",
        partitions=4,
        created_ms=0,
        split=split,
    )


class Stage:
    """A lane with one receiver, "flights", and small limits. Made on the running loop."""

    def __init__(self) -> None:
        settings = Settings(
            _env_file=None,  # type: ignore[call-arg]  # pydantic-settings' own argument
            kafka_bootstrap_servers="127.0.0.1:1",
            encryption_key=[Cipher.new_key()],
            max_inflight_bytes=1024 * 1024,
            max_inflated_bytes=512 * 1024,
            max_events_per_request=2000,
            max_header_bytes=4096,
            max_header_count=20,
            trusted_proxies=["192.168.0.0/16"],
        )
        self.cipher = Cipher(settings.encryption_key)
        self.view = ControlView(settings)
        self.view.met_end_at = time.monotonic()
        self.lane = Lane(settings, self.view, self.cipher)
        self.lane.look_at_view()
        self.publisher = ScriptedPublisher(self.lane.settle)
        self.lane.publisher = self.publisher  # type: ignore[assignment]
        self.lookups = ScriptedLookups()
        self.lane.lookups = self.lookups  # type: ignore[assignment]
        self.lane.directory.take("receiver:1/flights", receiver(self.cipher))
        self._config = uvicorn.Config(
            _not_found, http=protocol_for(self.lane), ws="none", lifespan="off", log_config=None
        )
        self._config.load()
        self._state = ServerState()

    def serve(self, app: ASGIApp) -> None:
        """From now on this application answers what is not the lane's."""
        self._config.loaded_app = app  # type: ignore[assignment]  # uvicorn has a name of its own for the same

    def connect(self, address: str = "10.0.0.9") -> Connection:
        protocol = self._config.http_protocol_class
        return Connection(protocol(self._config, self._state, {}), address)  # type: ignore[arg-type, call-arg]


async def _not_found(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 404, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})
