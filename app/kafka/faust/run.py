"""Running an app: its own event loop, signals, the watchdog, an orderly stop.

Instead of faust.Worker, which sets up logging and signals its own way and spends 1 to 2 s of every stop waiting.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

import uvloop

from app.kafka.faust.app import ChunkApp


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run a process's main coroutine on uvloop until it returns."""
    uvloop.run(main)


async def serve(app: ChunkApp) -> None:
    """Start the app and serve until SIGTERM or SIGINT; then drain, commit and stop.

    Raises what crashed the app. When it cannot go on and does not end by itself, also in a stop, the watchdog ends the
    process (exit code 70).
    """
    loop, told = asyncio.get_running_loop(), asyncio.Event()
    watchdog = app.watchdog
    watchdog.start()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    starting = asyncio.create_task(app.start(), name="faust-start")
    stopped = asyncio.create_task(app.wait_until_stopped(), name="faust-stopped")
    signalled = asyncio.create_task(told.wait(), name="signal")
    try:
        await asyncio.wait({starting, signalled}, return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            starting.result()
            await asyncio.wait({stopped, signalled}, return_when=asyncio.FIRST_COMPLETED)
        watchdog.stop_begins()
        if not app.crashed:
            await app.drain()
    finally:
        watchdog.stop_begins()
        for task in (starting, stopped, signalled):
            task.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await task
        await app.stop()
        watchdog.close()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
    if app.crash_reason is not None:
        raise app.crash_reason
