"""Raw records as a column-wise batch of events. Pure; a few list comprehensions a chunk, nothing else an event."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from app.model.event import ID_HEADER, IP_HEADER, RESERVED_PREFIX, EventBatch, Headers
from app.model.ids import derived_event_id

if TYPE_CHECKING:  # Faust is not for every process that reads events
    from app.kafka.faust import Record

_NO_HEADERS: Headers = []


def to_batch(records: Sequence[Record], topic_id: str, partition: int, *, ids: bool) -> EventBatch:
    """The events of a chunk's records; tombstones (no value) are not events and are left out.

    An event without the header `streams.id` gets the id that follows from its place, so that it has the same one
    whenever it is mapped; with `ids` false that is left out ("") for the sake of speed: see `event_id`. One without
    `streams.ip` has the ip "".
    """
    bodies = [record.value for record in records]
    if None in bodies:
        records = [record for record in records if record.value is not None]
        bodies = [record.value for record in records]
    offsets = [record.offset for record in records]
    raw = [record.headers for record in records]
    given, ips, headers = _split(raw)
    if ids and "" in given:
        pairs = zip(given, offsets, strict=True)
        given = [event_id or derived_event_id(topic_id, partition, offset) for event_id, offset in pairs]
    times = [record.timestamp for record in records]
    return EventBatch(offsets, times, given, ips, cast(list[bytes], bodies), headers)


def event_id(batch: EventBatch, index: int, topic_id: str, partition: int) -> str:
    """The id of one event, also in a batch that was made without ids."""
    return batch.ids[index] or derived_event_id(topic_id, partition, batch.offsets[index])


def _split(raw: Sequence[Sequence[tuple[str, bytes | None]]]) -> tuple[list[str], list[str], list[Headers]]:
    """Ids, ips and the events' own headers, one each an event. The first value of a reserved header wins, a missing
    value is empty.
    """
    ids, ips, own = [""] * len(raw), [""] * len(raw), [_NO_HEADERS] * len(raw)
    if not any(raw):
        return ids, ips, own
    known_ips: dict[bytes, str] = {}
    for index, headers in enumerate(raw):
        if not headers:
            continue
        event_id = ip = None
        if len(headers) >= 2 and headers[0][0] == ID_HEADER and headers[1][0] == IP_HEADER:
            event_id, ip = headers[0][1], headers[1][1]  # as the gateway writes them
            headers = headers[2:] if len(headers) > 2 else _NO_HEADERS
        plain = True
        for name, value in headers:
            if value is None or name.startswith(RESERVED_PREFIX):
                plain = False
                if name == ID_HEADER and event_id is None:
                    event_id = value or b""
                elif name == IP_HEADER and ip is None:
                    ip = value or b""
        if event_id:
            ids[index] = event_id.decode("utf-8", "replace")
        if ip:
            text = known_ips.get(ip)
            if text is None:
                text = known_ips[ip] = ip.decode("utf-8", "replace")
            ips[index] = text
        if plain:
            own[index] = cast(Headers, headers)
        else:
            own[index] = [(name, value or b"") for name, value in headers if not name.startswith(RESERVED_PREFIX)]
    return ids, ips, own
