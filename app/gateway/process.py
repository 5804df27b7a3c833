"""`streams gateway`: one process, one event loop, one listening socket.

It listens at once and is not ready until Kafka answers and the view of the control log has met its end. SIGTERM and
SIGINT stop it: no new connection, requests under way are answered, what Kafka has not acknowledged is waited for.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Iterator

import uvicorn
import uvloop

from app.api.commands import CommandSender
from app.api.service import create_api
from app.api.trials import Trials
from app.gateway.lane import Lane
from app.gateway.protocol import protocol_for
from app.gateway.quota import Quota
from app.gateway.routes import Gateway
from app.gateway.traced import TracedLane
from app.gateway.validation import Validation
from app.kafka.client import connect_admin
from app.kafka.plan import Process, ensure_topics, topics_of
from app.kafka.schemas import open_schemas
from app.kafka.view import ControlView
from app.limits import raise_file_limit
from app.logs import configure_logging
from app.memory import settle_memory
from app.model.cipher import Cipher
from app.model.errors import ConfigurationError, KafkaUnavailable
from app.observe.pulse import watched_loop
from app.observe.tracing import is_on, tracing
from app.settings import Settings

_BACKLOG = 2048
_LOOK_SECONDS = 1.0
_COLLECT_AFTER_OBJECTS = 20_000
"""Fewer than elsewhere: a look at more would be felt by the requests that wait for it."""
_log = logging.getLogger(__name__)


def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT. Raises ConfigurationError when it cannot start."""
    configure_logging(settings, "gateway")
    raise_file_limit()
    with tracing("gateway"):
        uvloop.run(serve(settings))


async def serve(settings: Settings) -> None:
    """Serve on the running loop until a signal comes or the task is cancelled."""
    cipher = Cipher(settings.encryption_key)
    view = ControlView(settings)
    lane = (TracedLane if is_on() else Lane)(settings, view, cipher)
    async with open_schemas(settings) as schemas:
        await _serve(settings, view, lane, Trials(settings, schemas))


async def _serve(settings: Settings, view: ControlView, lane: Lane, trials: Trials) -> None:
    gateway = Gateway(lane, Validation(lane, view, trials))
    try:
        with _listen(settings) as listener, watched_loop(settings.watchdog_seconds):
            server = _Server(_uvicorn_config(settings, lane, gateway))
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(lane.sweep(), name="gateway-sweep"),
                    group.create_task(lane.lookups.serve(), name="gateway-lookups"),
                    group.create_task(trials.tend(), name="gateway-trials"),
                    group.create_task(_open(settings, view, lane, trials, gateway), name="gateway-api"),
                ]
                if settings.receiver_quota_mib:
                    quota = Quota(settings, view, lane.directory)
                    tasks.append(group.create_task(quota.follow(), name="gateway-quota"))
                await server.serve(sockets=[listener])
                await lane.publisher.close(settings.graceful_stop_seconds)
                for task in tasks:
                    task.cancel()
    finally:
        await view.close()


async def _open(settings: Settings, view: ControlView, lane: Lane, trials: Trials, gateway: Gateway) -> None:
    """Reach Kafka, however long it takes, then keep the view fresh and the API open."""
    if settings.topics == "managed":
        await _await_topics(settings)
    await lane.freshness.start()
    async with contextlib.AsyncExitStack() as stack:
        commands = await _enter_sender(stack, settings)
        gateway.api = create_api(settings, view, commands, trials)
        settle_memory(_COLLECT_AFTER_OBJECTS)
        _log.info("ready on %s:%d", settings.listen_address, settings.gateway_port)
        await lane.freshness.follow()


async def _await_topics(settings: Settings) -> None:
    """Until the operators' topics are as they must be; what is not is said, once."""
    told = ""
    while True:
        try:
            admin = await asyncio.to_thread(connect_admin, settings)
            await asyncio.to_thread(ensure_topics, admin, settings, topics_of(settings, Process.GATEWAY))
            return
        except (ConfigurationError, KafkaUnavailable) as error:
            if error.message != told:
                told = error.message
                _log.warning("not ready: %s", told)
        await asyncio.sleep(_LOOK_SECONDS)


async def _enter_sender(stack: contextlib.AsyncExitStack, settings: Settings) -> CommandSender:
    while True:
        try:
            return await stack.enter_async_context(CommandSender(settings))
        except KafkaUnavailable as error:
            _log.warning("not ready: %s", error.message)


def _uvicorn_config(settings: Settings, lane: Lane, gateway: Gateway) -> uvicorn.Config:
    return uvicorn.Config(
        gateway,
        http=protocol_for(lane),
        ws="none",
        loop="uvloop",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        timeout_graceful_shutdown=max(1, round(settings.graceful_stop_seconds)),
    )


@contextlib.contextmanager
def _listen(settings: Settings) -> Iterator[socket.socket]:
    address = (settings.listen_address, settings.gateway_port)
    family = socket.AF_INET6 if ":" in settings.listen_address else socket.AF_INET
    try:
        listener = socket.create_server(address, family=family, backlog=_BACKLOG, dualstack_ipv6=False)
    except OSError as error:
        raise ConfigurationError(
            f"The gateway cannot listen on {address[0]}:{address[1]}: {error.strerror}. "
            "Stop what uses the port, or set STREAMS_GATEWAY_PORT or STREAMS_LISTEN_ADDRESS."
        ) from error
    with listener:
        listener.setblocking(False)
        yield listener


class _Server(uvicorn.Server):
    """uvicorn's server, which would raise the signal again before we have closed what is ours."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        signals = (signal.SIGTERM, signal.SIGINT)
        for number in signals:
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            yield
        finally:
            for number in signals:
                loop.remove_signal_handler(number)
