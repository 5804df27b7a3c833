"""One chaos run: start, load, faults, a rolling restart, drain, judgement, stop."""

from __future__ import annotations

import asyncio
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from app.kafka.view import ControlView
from app.local.kafka import LocalBroker
from app.local.storage import running
from app.model.receiver import Receiver
from chaos.exports import CHANGING, RECEIVERS, SHAPES, label
from chaos.faults import carry_out
from chaos.harvest import Stored, count_rows, read_found, read_ledger, read_stored, unsettled
from chaos.plan import INSTANCES, LONG, ROLES, Fault, Kind, Pace, make_plan
from chaos.stack import Ending, Stack
from chaos.traffic import CALM, Book, Changer, KafkaSender, Senders
from chaos.verdict import judge, judge_extent

_DRAIN_SECONDS = 300.0
"""Without any progress; a run ends, as failed, when nothing has moved for this long."""
_TELL_SECONDS = 10.0
_MOST_PROBLEMS = 40


@dataclass(frozen=True)
class Options:
    """`seconds` of faults, at about `events_per_second`; `folder` for data and logs; `settings` of the processes."""

    seed: int
    seconds: float
    folder: Path
    pace: Pace = LONG
    senders: int = 6
    events_per_second: float = 150.0
    kafka_events_per_second: float = 50.0
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass
class Report:
    """What a run did and found. It went well when there are no `problems`."""

    faults: Counter[Kind] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    events: int = 0
    acknowledged: int = 0
    rows: int = 0
    letters: int = 0
    answers: Counter[tuple[str, str]] = field(default_factory=Counter)
    changes: Counter[str] = field(default_factory=Counter)
    of_itself: list[Ending] = field(default_factory=list)
    """Processes that ended without being told to, which they may, and are started again."""


async def run(options: Options, tell: Callable[[str], None]) -> Report:
    """Run it; `tell` is given a line for whatever happens. What is wrong in the end is in the report's `problems`."""
    begun = time.monotonic()

    def said(text: str) -> None:
        tell(f"{time.monotonic() - begun:6.1f} s  {text}")

    options.folder.mkdir(parents=True, exist_ok=True)
    with running(options.folder / "storage") as emulator, LocalBroker(options.folder / "kafka") as broker:
        stack = Stack.make(broker, emulator, options.folder, **options.settings)
        stack.tell_ending = lambda ending: said(_ending(ending))
        stack.start()
        watch = asyncio.create_task(stack.watch(), name="watch")
        try:
            return await Run(options, stack, said).go()
        finally:
            watch.cancel()
            with suppress(asyncio.CancelledError):
                await watch
            stack.kill_all()
            broker.kill()  # nobody reads its data again
            emulator.kill()


class Run:
    """The parts of a run in their order."""

    def __init__(self, options: Options, stack: Stack, said: Callable[[str], None]) -> None:
        self._options, self._stack, self._said = options, stack, said
        self._report, self._book = Report(), Book()

    async def go(self) -> Report:
        await self._stack.until_ready()
        self._said("all processes serve")
        receivers = await self._create()
        async with self._load(receivers):
            await self._chaos()
            await self._calm()
            await self._rolling_restart()
        self._said(f"{self._book.acknowledged} events are acknowledged; waiting until all is where it belongs")
        stored = await self._drained(receivers)
        await self._judge(stored)
        await self._stop()
        return self._report

    async def _create(self) -> dict[str, Receiver]:
        """The receivers with their exports, as the control log has them."""
        headers = {"X-StorageApi-Token": self._stack.emulator.master_token}
        async with httpx.AsyncClient(base_url=self._stack.gateways[0], headers=headers, timeout=120) as client:
            for receiver in RECEIVERS:
                exports = [
                    shape.payload(label(1)) if shape is CHANGING else shape.payload()
                    for shape in SHAPES
                    if shape.receiver == receiver
                ]
                answer = await client.post("/v1/receivers", json={"id": receiver, "name": receiver, "exports": exports})
                assert answer.status_code in (200, 202), answer.text
                task = answer.json()
                async with asyncio.timeout(_DRAIN_SECONDS):
                    while not task["isFinished"]:
                        await asyncio.sleep(0.2)
                        task = (await client.get(task["url"])).json()
                assert task["status"] == "success", task
            self._paths = {
                receiver: httpx.URL((await client.get(f"/v1/receivers/{receiver}")).json()["url"]).path
                for receiver in RECEIVERS
            }
        async with ControlView(self._stack.settings) as view:
            return {one.receiver_id: one for one in view.catalog.receivers.values()}

    @asynccontextmanager
    async def _load(self, receivers: dict[str, Receiver]) -> AsyncIterator[None]:
        """Events all the time, by both ways in, and a mapping that changes."""
        options, book, stack = self._options, self._book, self._stack
        urls = {name: [gateway + path for gateway in stack.gateways] for name, path in self._paths.items()}
        topics = {name: receiver.topic for name, receiver in receivers.items()}
        senders = Senders(book, urls, options.seed)
        producer = KafkaSender(book, stack.broker.bootstrap_servers, topics, options.seed)
        changer = Changer(book, stack.gateways, stack.emulator.master_token, options.seed)
        async with asyncio.TaskGroup() as group:
            group.create_task(senders.run(options.senders, options.events_per_second))
            group.create_task(producer.run(options.kafka_events_per_second))
            group.create_task(changer.run(options.seconds / 8))
            telling = group.create_task(self._tell_counts())
            try:
                yield
            finally:
                for one in (senders, producer, changer):
                    one.stop()
                telling.cancel()
        self._report.changes = changer.outcomes

    async def _chaos(self) -> None:
        plan = make_plan(self._options.seed, self._options.seconds, self._options.pace)
        self._said(f"{len(plan)} faults in {self._options.seconds:.0f} s")
        begun = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for fault in plan:
                await asyncio.sleep(max(0.0, begun + fault.at - time.monotonic()))
                group.create_task(self._hit(fault))
        await asyncio.sleep(max(0.0, begun + self._options.seconds - time.monotonic()))

    async def _hit(self, fault: Fault) -> None:
        self._said(str(fault))
        if await carry_out(fault, self._stack, self._options.pace):
            self._report.faults[fault.kind] += 1
        if fault.lasts:
            self._said(f"{fault.target}: {fault.kind} is over")

    async def _calm(self) -> None:
        """The faults are over: right clocks, and all serve again."""
        await asyncio.to_thread(self._stack.emulator.clear_faults)
        for instance in self._stack.instances.values():
            if instance.shift_seconds:
                instance.shift_seconds = 0
                instance.tell(signal.SIGKILL)
        await asyncio.sleep(1)
        await self._stack.until_ready()
        self._said("the faults are over, and all processes serve")

    async def _rolling_restart(self) -> None:
        """As in an upgrade, under load: one of each two processes is told to stop and starts again, then the other."""
        await asyncio.sleep(self._options.settings.get("acknowledge_seconds", 5) + 1)  # answers from before
        self._book.phase = CALM
        for number in (1, 2):
            names = [f"{role}-{number}" for role in ROLES]
            for ending in await asyncio.gather(*map(self._stack.stopped, names)):
                self._check(ending)
            await asyncio.sleep(1)
            await self._stack.until_ready(*names)
        self._said("each process was told to stop and has started again")
        self._book.phase = "end"
        bad = [f"{how} ({n})" for (phase, how), n in self._book.answers.items() if phase == CALM and how[0] == "5"]
        if bad:
            self._report.problems.append(f"gateways answered in the rolling restart: {', '.join(sorted(bad))}")

    def _check(self, ending: Ending) -> None:
        if ending.code != 0 or ending.told is not signal.SIGTERM:
            self._report.problems.append(f"a stop in calm did not go well: {_ending(ending)}")

    async def _drained(self, receivers: dict[str, Receiver]) -> dict[str, Stored]:
        """Wait until the ledger covers all that Kafka has and every batch is imported; what Kafka has."""
        settings, emulator = self._stack.settings, self._stack.emulator
        topic_ids = {name: receiver.topic_id for name, receiver in receivers.items()}
        async with ControlView(settings) as view:
            exports = list(view.catalog.exports_by_uid.values())
        counts: object = None
        since = told = time.monotonic()
        while True:
            stored = {name: await asyncio.to_thread(read_stored, settings, name) for name in receivers}
            ledger = await asyncio.to_thread(read_ledger, settings)
            open_now = unsettled(exports, topic_ids, stored, ledger)
            if not open_now:
                return stored
            now = time.monotonic()
            before, counts = counts, (await asyncio.to_thread(count_rows, emulator), open_now)
            since = since if counts == before else now
            if now - since > _DRAIN_SECONDS:
                self._report.problems += [f"nothing has moved for {_DRAIN_SECONDS:.0f} s: {one}" for one in open_now]
                return stored
            if now - told > _TELL_SECONDS:
                told = now
                self._said(f"{len(open_now)} things are under way, such as {open_now[0]}")
            await asyncio.sleep(1)

    async def _judge(self, stored: dict[str, Stored]) -> None:
        found = await asyncio.to_thread(read_found, self._stack.settings, self._stack.emulator)
        report, book = self._report, self._book
        problems = await asyncio.to_thread(judge, book, stored, found)
        report.problems += problems[:_MOST_PROBLEMS]
        if len(problems) > _MOST_PROBLEMS:
            report.problems.append(f"and {len(problems) - _MOST_PROBLEMS} more")
        report.events, report.acknowledged, report.answers = len(book.events), book.acknowledged, book.answers
        report.rows = sum(one.rows.total() for one in found.values())
        report.letters = sum(one.letters.total() for one in found.values())
        report.problems += judge_extent(report.faults.total(), report.acknowledged, report.rows, report.letters)
        report.of_itself = [ending for ending in self._stack.endings if ending.told is None]

    async def _stop(self) -> None:
        self._stack.restarting = False
        for ending in await asyncio.gather(*map(self._stack.stopped, INSTANCES)):
            self._check(ending)

    async def _tell_counts(self) -> None:
        while True:
            await asyncio.sleep(_TELL_SECONDS)
            with suppress(ValueError, OSError):
                rows = sum((await asyncio.to_thread(count_rows, self._stack.emulator)).values())
                self._said(f"{self._book.acknowledged} events acknowledged, {rows} rows imported")


def _ending(ending: Ending) -> str:
    told = f"after {ending.told.name}" if ending.told is not None else f"of itself ({ending.words[-200:]})"
    return f"{ending.name} ended with {ending.code} {told}"
