"""`POST /v1/import/...?validate=1`: says whether every export of the receiver could map the events. Nothing is stored.

An event has the headers, address and body that the lane would write to Kafka (app.gateway.ingest), and is split from
its request in the same way, so the verdict is what the mapper will find.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from app.api.bodies import Sent, Taken, plain_body, take_apart
from app.api.errors import crash_answer, envelope
from app.api.split import at_once
from app.api.trials import Crowded, Trials, taken_batch
from app.gateway.answers import STALE, TIMED_OUT, Refusal, not_signed
from app.gateway.directory import AUTHORIZATION, Endpoint
from app.gateway.query import check_validation, read_wishes
from app.gateway.verdict import verdict
from app.mapping.child_process import ChildGone
from app.mapping.children import PoolClosed
from app.mapping.headers import HeaderSet
from app.model.errors import BadRequest, KafkaUnavailable, StreamsError
from app.model.event import Headers

if TYPE_CHECKING:
    from app.gateway.lane import Lane
    from app.kafka.view import ControlView
    from app.model.receiver import Export

_log = logging.getLogger(__name__)
CROWDED = Refusal(
    503,
    "buffer.overloaded",
    "Too many validations are under way on this gateway; send the request again later.",
    again=True,
)
NO_CHILD = Refusal(
    503,
    "buffer.overloaded",
    "The process in which this gateway maps for validations does not run; send the request again later.",
    again=True,
)


class _Refused(Exception):
    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


class Validation:
    """Answers the requests that `app.gateway.query.wants_validation` picks."""

    def __init__(self, lane: Lane, view: ControlView, trials: Trials) -> None:
        self._lane, self._view, self._trials = lane, view, trials

    async def answer(self, request: Request) -> Response:
        """200 without a body, or the envelope, also when the request meets a defect of ours."""
        request_id = request.scope["request_id"]
        try:
            answer = self._render(await self._judge(request), request_id)
        except _Refused as error:
            answer = self._render(error.refusal, request_id)
        except Exception:
            _log.exception("validation %s failed", request_id)  # the path is not said: it has the secret
            answer = crash_answer(request_id)
        if answer.status_code != 200:
            answer.headers["Access-Control-Expose-Headers"] = "X-Request-Id, Retry-After"
        answer.headers["Access-Control-Allow-Origin"] = "*"
        self._lane.counters.validations[answer.status_code] += 1
        return answer

    def _render(self, refusal: Refusal | None, request_id: str) -> Response:
        if refusal is None:
            return Response()
        again = self._lane.settings.retry_after_seconds if refusal.again else None
        answer = envelope(request_id, refusal.status, refusal.name, refusal.message, again)
        if refusal.unproven:
            self._lane.counters.unproven[refusal.unproven] += 1
        if refusal.challenge:
            answer.headers["WWW-Authenticate"] = refusal.challenge
        return answer

    async def _judge(self, request: Request) -> Refusal | None:
        lane, path = self._lane, request.scope["raw_path"]
        try:
            check_validation(path + b"?" + request.scope["query_string"])
        except BadRequest as error:
            return _refusal(error)
        if lane.stale:
            return STALE
        await self._known(request)
        try:
            with self._trials.place():
                endpoint, exports = await self._exports(request)
                body, fields = await self._body(request), self._fields(request)
                if endpoint.verifier is not None:
                    fault = endpoint.verifier.check(dict(fields), body, time.time())
                    if fault is not None:
                        return not_signed(fault)
                    if endpoint.verifier.challenge(body) is not None:
                        return None  # it would be no event
                taken = self._events(body, fields, endpoint, request.scope["query_string"])
                batch = taken_batch(taken, self._sender(request, fields))
                misfits = await self._trials.misfits(exports, batch)
        except Crowded:
            return CROWDED
        except (ChildGone, PoolClosed):
            return NO_CHILD
        except TimeoutError:
            return too_slow(lane.settings.synchronous_seconds)
        content_type = HeaderSet(batch.headers[0] if batch.headers else fields).values.get("Content-Type", "")
        return verdict(misfits, content_type, len(batch))

    async def _known(self, request: Request) -> None:
        """Who has no right secret waits for a read barrier that costs Kafka no more than one a second."""
        if self._find(request) is not None:
            return
        met: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._lane.lookups.ask(lambda answered: None if met.done() else met.set_result(answered))
        if not await met:
            raise _Refused(STALE)
        if self._find(request) is None:
            raise _Refused(self._missing(request))

    def _find(self, request: Request) -> Endpoint | None:
        directory, path, authorization = self._lane.directory, request.scope["raw_path"], _authorization(request)
        endpoint = directory.find(path)
        if endpoint is None and authorization is not None:
            endpoint = directory.find_by_token(path, authorization)
        return endpoint

    def _missing(self, request: Request) -> Refusal:
        return self._lane.directory.missing(request.scope["raw_path"], _authorization(request))

    def _fields(self, request: Request) -> list[tuple[str, bytes]]:
        """The event's headers: without the one that has the receiver's secret, if one has it."""
        by_token = self._lane.directory.find(request.scope["raw_path"]) is None
        named = ((self._lane.names[raw], value) for raw, value in request.headers.raw)
        return [(name, value) for name, value in named if name and not (by_token and name == AUTHORIZATION)]

    async def _exports(self, request: Request) -> tuple[Endpoint, list[Export]]:
        """The receiver and its exports as all finished tasks have left them."""
        try:
            await self._view.caught_up(self._lane.settings.acknowledge_seconds)
        except KafkaUnavailable:
            raise _Refused(STALE) from None
        endpoint = self._find(request)
        if endpoint is None:
            raise _Refused(self._missing(request))
        catalog = self._view.catalog
        return endpoint, catalog.exports_of(catalog.receivers_by_topic[endpoint.topic])

    async def _body(self, request: Request) -> bytes:
        length, limit = request.headers.get("content-length", "0"), self._lane.max_body_bytes
        body = bytearray()
        if int(length) <= limit:
            try:
                async for data in request.stream():
                    body += data
                    if len(body) > limit:
                        break
                else:
                    return bytes(body)
            except ClientDisconnect:
                raise _Refused(TIMED_OUT) from None  # nobody reads it
        raise _Refused(self._lane.too_large)

    def _events(self, body: bytes, fields: Headers, endpoint: Endpoint, query: bytes) -> Taken:
        settings, found = self._lane.settings, dict(fields)
        try:
            wish = read_wishes(query).split
            sent = Sent(endpoint.entity, fields, found, endpoint.split if wish is None else wish)
            taken = at_once(take_apart(plain_body(body, found, settings), sent, settings))
        except StreamsError as error:
            raise _Refused(_refusal(error)) from None
        if len(taken.bodies) > settings.max_validation_events:
            raise _Refused(too_many_to_validate(settings.max_validation_events))
        return taken

    def _sender(self, request: Request, fields: Headers) -> str:
        return self._lane.proxies.origin(request.client.host if request.client else "", dict(fields))


def _authorization(request: Request) -> bytes | None:
    found = request.headers.get(AUTHORIZATION)
    return None if found is None else found.encode("latin-1")


def too_many_to_validate(most: int) -> Refusal:
    text = f"Too many events to validate, the maximum is {most} in one request; without validate more are accepted."
    return Refusal(413, "buffer.payloadTooLarge", text)


def too_slow(seconds: float) -> Refusal:
    text = f"The exports' templates did not come to an end within {seconds:g} s together, so there is no verdict."
    return Refusal(504, "buffer.validationTimeout", text)


def _refusal(error: StreamsError) -> Refusal:
    return Refusal(error.status, error.name, error.message)
