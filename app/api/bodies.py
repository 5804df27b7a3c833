"""A request's body as events: inflated, in UTF-8, taken apart, each with its headers and perhaps the id that follows
from the request.

The gateway does it in steps (`app.gateway.dispatch`), validations and dry runs at once. What it gives is what the
gateway writes into Kafka. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from app.api.charset import in_utf8
from app.api.cloudevents import CloudEvent, binary, is_binary, structured
from app.api.idempotency import HEADER, id_of_cloudevent, ids_of, names_places
from app.api.inflate import coding_of, inflate
from app.api.media import BodyKind, body_kind, charset_of
from app.api.split import Steps, split_array, split_body
from app.model.conditions import format_size
from app.model.errors import BadRequest, PayloadTooLarge, StreamsError, UnsupportedMediaType
from app.model.event import Headers
from app.settings import Settings

_CLOUDEVENTS_A_STEP = 200


@dataclass(frozen=True, slots=True)
class Sent:
    """A request to a receiver ("<project>/<receiver>"). `fields` are its event headers in order, `found` the last of
    each by name. `split`: its body may be many events, and CloudEvents are taken apart.
    """

    receiver: str
    fields: Headers
    found: Mapping[str, bytes]
    split: bool


@dataclass(slots=True)
class Taken:
    """The events of a request, in order. Each has `shared` headers, or `own` ones where they differ. `ids` are there
    when they follow from the request. `faults` says by index which are no events, and why; their bodies do not count.
    """

    bodies: list[bytes]
    shared: Headers
    own: Sequence[Headers] | None = None
    ids: Iterator[str] | None = None
    faults: dict[int, StreamsError] = field(default_factory=dict)

    def headers(self, index: int) -> Headers:
        return self.shared if self.own is None else self.own[index]


def readings(found: Mapping[str, bytes], settings: Settings) -> Iterator[Callable[[bytes], Iterator[bytes]]]:
    """How to read a body before it is taken apart, one after the other: without its Content-Encoding, then in UTF-8.

    Each gives the parts of what it reads. Raises what `coding_of` raises; they raise what `inflate` and `in_utf8` do.
    """
    most_bytes = settings.max_inflated_bytes
    coding = coding_of(found.get("Content-Encoding"))
    if coding is not None:
        yield lambda body: inflate(body, coding, most_bytes)
    charset = charset_of(found.get("Content-Type"))
    if charset is not None:
        yield lambda body: in_utf8(body, charset, most_bytes)


def plain_body(body: bytes, found: Mapping[str, bytes], settings: Settings) -> bytes:
    """The body to take apart. Raises what `readings` and they raise."""
    for read in readings(found, settings):
        body = b"".join(read(body))
    return body


def take_apart(body: bytes, sent: Sent, settings: Settings, *, each: bool = False) -> Steps[Taken]:
    """The events of a body as `plain_body` gives it.

    Raises BadRequest, PayloadTooLarge or UnsupportedMediaType. With `each`, what is wrong with one of several events
    is told in `faults` and harms no other.
    """
    taken = yield from _take_apart(body, sent, settings)
    largest = settings.max_body_bytes
    if len(body) > largest:
        size = format_size(largest)
        for index, event in enumerate(taken.bodies):
            if len(event) > largest:
                taken.faults[index] = PayloadTooLarge(f"Payload too large, the maximum size of an event is {size}.")
    if taken.faults and not (each and len(taken.bodies) > 1):
        raise _named(*min(taken.faults.items()), len(taken.bodies))
    key = sent.found.get(HEADER)
    if key is not None:
        taken.ids = ids_of(key, sent.receiver, len(taken.bodies))
        if names_places(key):  # as long as the list may be, and of all events: no event should carry it
            taken.shared = _without_key(taken.shared)
            taken.own = None if taken.own is None else [_without_key(headers) for headers in taken.own]
    return taken


def _take_apart(body: bytes, sent: Sent, settings: Settings) -> Steps[Taken]:
    kind = body_kind(sent.found.get("Content-Type"))
    if sent.split and kind is BodyKind.CLOUDEVENT:
        return _of_one(structured(body, sent.fields), sent)
    if sent.split and kind is BodyKind.CLOUDEVENTS:
        return (yield from _of_batch(body, sent, settings))
    if sent.split and kind is BodyKind.UNKNOWN_CLOUDEVENT:
        raise UnsupportedMediaType(
            "CloudEvents are taken in JSON: application/cloudevents+json, application/cloudevents-batch+json, "
            "or with their attributes as headers"
        )
    if is_binary(sent.found):
        return _of_one(binary(body, sent.fields), sent)
    bodies = (yield from split_body(body, kind, settings.max_events_per_request)) if sent.split else None
    return Taken([body] if bodies is None else bodies, sent.fields)


def _of_one(event: CloudEvent, sent: Sent) -> Taken:
    return Taken([event.body], event.headers, ids=iter([id_of_cloudevent(sent.receiver, event.source, event.id)]))


def _of_batch(body: bytes, sent: Sent, settings: Settings) -> Steps[Taken]:
    try:
        texts = yield from split_array(body, settings.max_events_per_request)
    except ValueError as error:
        raise BadRequest(f"The batch of CloudEvents is not a valid JSON array: {error}") from error
    own: list[Headers] = []
    ids: list[str] = []
    taken = Taken(texts, sent.fields, own, iter(ids))
    for index, text in enumerate(texts):
        try:
            event = structured(text, sent.fields)
        except StreamsError as error:
            taken.faults[index] = error
            event = CloudEvent(b"", sent.fields, "", "")
        texts[index] = event.body
        own.append(event.headers)
        ids.append(id_of_cloudevent(sent.receiver, event.source, event.id))
        if index % _CLOUDEVENTS_A_STEP == _CLOUDEVENTS_A_STEP - 1:
            yield
    return taken


def _named(index: int, error: StreamsError, events: int) -> StreamsError:
    """The error of one of several events says of which."""
    if events > 1:
        error.message = f"Event at index {index}: {error.message}"
        error.args = (error.message,)
    return error


def _without_key(headers: Headers) -> Headers:
    return [field for field in headers if field[0] != HEADER]
