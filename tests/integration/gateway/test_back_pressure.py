"""Many senders while Kafka hangs or is away: each is answered, the gateway's memory is bounded, nothing is lost."""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from frozen import frozen
from gateway_process import GatewayProcess, Target, running

from app.local.kafka import LocalBroker

SENDERS = 50
BODY_BYTES = 900_000
BOUND_MIB = 2
ACKNOWLEDGED = 20
"""Events that Kafka has before and after it is away."""
ANSWER_SECONDS = 60
"""More than enough for an answer; a gateway that lets a sender wait would not give one while Kafka is away."""


@contextmanager
def away(broker: LocalBroker, how: str) -> Iterator[None]:
    """Kafka hangs, or has ended, within the block."""
    if how == "hangs":
        assert broker.pid is not None
        with frozen(broker.pid):
            yield
    else:
        broker.stop()
        yield
        broker.start()


class Senders:
    """Each sends one event after the other, with a name of its own, and goes on whatever the answer is."""

    def __init__(self, gateway: GatewayProcess, target: Target) -> None:
        self.acknowledged: set[str] = set()
        self.sent: set[str] = set()
        self.refused = [0] * SENDERS
        self._url = gateway.url(target)
        self._ended = False
        self._answered = asyncio.Event()

    async def run(self) -> None:
        async with (
            httpx.AsyncClient(timeout=ANSWER_SECONDS, limits=httpx.Limits(max_connections=SENDERS)) as client,
            asyncio.TaskGroup() as group,
        ):
            for number in range(SENDERS):
                group.create_task(self._send(client, number))

    def end(self) -> None:
        self._ended = True

    async def until_acknowledged(self, more: int) -> None:
        """Wait for so many more events."""
        wanted = len(self.acknowledged) + more
        await self._until(lambda: len(self.acknowledged) >= wanted)

    async def until_all_refused(self) -> None:
        """Wait until each sender has been told to come again."""
        self.refused = [0] * SENDERS
        await self._until(lambda: all(self.refused))

    async def _until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(2 * ANSWER_SECONDS):
            while not condition():
                self._answered.clear()
                await self._answered.wait()

    async def _send(self, client: httpx.AsyncClient, number: int) -> None:
        padding = b"." * BODY_BYTES
        while not self._ended:
            name = uuid.uuid4().hex
            self.sent.add(name)
            answer = await client.post(self._url, content=name.encode() + padding)
            if answer.status_code == 200:
                self.acknowledged.add(name)
                self._answered.set()
            else:
                assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
                self.refused[number] += 1
                self._answered.set()
                await asyncio.sleep(0.5)


def most_mib(gateway: GatewayProcess) -> float:
    """The most memory that the process has had."""
    assert gateway.process is not None
    status = Path(f"/proc/{gateway.process.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


@pytest.mark.parametrize("how", ["hangs", pytest.param("has ended", marks=pytest.mark.long)])
async def test_senders_are_told_to_come_again_and_what_was_acknowledged_is_there(how: str, tmp_path: Path) -> None:
    with LocalBroker(tmp_path / "kafka") as broker:
        made = GatewayProcess(
            broker.bootstrap_servers,
            f"test-{uuid.uuid4().hex[:12]}",
            tmp_path / "gateway.log",
            acknowledge_seconds=2,
            retry_after_seconds=1,
            max_inflight_bytes=BOUND_MIB * 1024 * 1024,
        )
        with running(made) as gateway:
            target = gateway.add_receiver("flights")
            at_rest = most_mib(gateway)
            senders = Senders(gateway, target)
            async with asyncio.TaskGroup() as group:
                group.create_task(senders.run())
                await senders.until_acknowledged(ACKNOWLEDGED)
                with away(broker, how):
                    await senders.until_all_refused()
                await senders.until_acknowledged(ACKNOWLEDGED)
                senders.end()

            stored = Counter(body[:32].decode() for body in gateway.bodies(target))
            assert senders.acknowledged <= stored.keys() <= senders.sent
            assert set(stored.values()) == {1}
            grown = most_mib(gateway) - at_rest
            assert grown < 10 * BOUND_MIB, "far less than the senders want it to hold"
