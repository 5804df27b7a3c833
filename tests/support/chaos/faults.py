"""Carrying out one fault of the plan on a running stack."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import Any

from app.model.errors import ConfigurationError
from chaos.plan import Fault, Kind, Pace
from chaos.stack import Stack

_BROKER_SECONDS = 240.0
_STORAGE: dict[Kind, dict[str, Any]] = {
    Kind.ANSWER_500: {"effect": "status", "status": 500},
    Kind.ANSWER_503: {"effect": "status", "status": 503, "retry_after": 1},
    Kind.LOST_504: {"effect": "status_after", "status": 504},
    Kind.LOST_RESET: {"effect": "reset_after"},
    Kind.LATE: {"effect": "late", "status": 504, "method": "POST"},
    Kind.JOB_ERROR: {"effect": "job_error", "code": "csvImport.columnsNotMatch"},
    Kind.SILENCE: {"effect": "delay", "times": None},
    Kind.CREDENTIALS: {"effect": "status", "status": 403, "times": None, "method": "PUT"},
    Kind.SLICE_REFUSED: {"effect": "status", "status": 503, "method": "PUT"},
}
"""Rules of the emulator, but for path and number."""


async def carry_out(fault: Fault, stack: Stack, pace: Pace) -> bool:
    """Do it, and undo what has to be undone after its time; whether it hit something.

    Whatever was told to stop is started again by the stack's watch.
    """
    if fault.target in stack.instances:
        return await _on_process(fault, stack)
    if fault.target == "broker":
        async with stack.broker_is_hit:  # on a slow machine it may not be back when the next fault is due
            await _on_broker(fault, stack)
        return True
    rule = {"times": fault.times, "path": fault.target, **_STORAGE[fault.kind]}
    if fault.lasts:
        rule["for_seconds"] = fault.lasts
    if fault.kind is Kind.SILENCE:
        rule["seconds"] = fault.lasts
    if fault.kind is Kind.LATE:
        rule["seconds"] = pace.late
    await asyncio.to_thread(lambda: stack.emulator.fault(**rule))
    return True


async def _on_process(fault: Fault, stack: Stack) -> bool:
    instance = stack.instances[fault.target]
    match fault.kind:
        case Kind.KILL:
            return instance.tell(signal.SIGKILL)
        case Kind.STOP:
            return instance.tell(signal.SIGTERM)
        case Kind.CLOCK:
            instance.shift_seconds = 0 if instance.shift_seconds else fault.shift
            return instance.tell(signal.SIGKILL)
        case _:
            hit = instance.tell(signal.SIGSTOP)
            try:
                await asyncio.sleep(fault.lasts)
            finally:
                instance.tell(signal.SIGCONT)
            return hit


async def _on_broker(fault: Fault, stack: Stack) -> None:
    broker = stack.broker
    if fault.kind is Kind.BROKER_FROZEN:
        pid = broker.pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        try:
            await asyncio.sleep(fault.lasts)
        finally:
            os.kill(pid, signal.SIGCONT)
    else:
        broker.kill()
        await asyncio.sleep(fault.lasts)
        await restart_broker(stack)


async def restart_broker(stack: Stack) -> None:
    """Start the broker until it answers. Raises TimeoutError."""
    async with asyncio.timeout(_BROKER_SECONDS):
        while True:
            try:
                stack.broker.spawn()
                break
            except ConfigurationError:  # its port is held by a connection that ends soon
                await asyncio.sleep(1)
        await asyncio.to_thread(stack.broker.wait_ready, _BROKER_SECONDS)
