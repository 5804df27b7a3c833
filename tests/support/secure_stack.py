"""The four processes on a broker with TLS, SCRAM and ACLs, each a user of its own, and all that they do with Kafka."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from secure_kafka import SecureKafka, environment_of
from warm import Running, start_streams

from app.kafka.plan import Process
from app.local.ports import free_port
from app.local.storage import Emulator
from app.model.cipher import Cipher

DEADLINE_SECONDS = 120.0
HOPELESS_SECONDS = 20.0
PROCESSES = (Process.CONTROL, Process.GATEWAY, Process.MAPPER, Process.SINK)
FAILING = 'if Body("n") == 0 then error "no" else Body("n")'


class Stuck(AssertionError):
    """Something (`what`) did not come about in time, or failed, or a process ended first."""

    def __init__(self, what: str, why: str) -> None:
        super().__init__(f"{what}: {why}")
        self.what = what


@dataclass
class SecureStack:
    """One installation. `common` is what all processes are told; each has its user's security beside.

    `hopeless` names what need not be waited for for long.
    """

    kafka: SecureKafka
    storage: Emulator
    folder: Path
    prefix: str
    deadline_seconds: float = DEADLINE_SECONDS
    hopeless: str = ""
    common: dict[str, str] = field(init=False)
    processes: dict[Process, Running] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.bucket = f"in.c-{self.prefix}"
        values = {
            "KAFKA_BOOTSTRAP_SERVERS": self.kafka.bootstrap_servers,
            "STORAGE_API_HOST": self.storage.url,
            "STORAGE_S3_ENDPOINT": self.storage.s3_url,
            "STORAGE_EVENTS": "off",
            "ENCRYPTION_KEY": Cipher.new_key(),
            "TOPIC_PREFIX": self.prefix,
            "TOPICS": "managed",
            "ROWS_PARTITIONS": "1",
            "COMMAND_PARTITIONS": "1",
            "DEAD_LETTER_PARTITIONS": "1",
            "RECEIVER_PARTITIONS": "1",
            "MIN_TIME_SECONDS": "1",
            "MAPPING_CHILDREN": "1",
            "WATCHDOG_SECONDS": "300",  # the sink is made to sleep
            "RETRY_UNAVAILABLE_SECONDS": "1",
            **{f"{process.value.upper()}_PORT": str(free_port()) for process in PROCESSES},
        }
        self.url = values["PUBLIC_ADDRESS"] = f"http://127.0.0.1:{values['GATEWAY_PORT']}"
        self.common = environment_of(values)

    def user(self, process: Process) -> str:
        return f"{self.prefix}-{process}"

    def environment(self, process: Process) -> dict[str, str]:
        return {**self.common, **environment_of(self.kafka.security_of(self.user(process)))}

    def start(self, *processes: Process) -> None:
        for process in processes:
            with (self.folder / f"{process}.log").open("ab") as log:
                given = {**os.environ, **self.environment(process)}
                self.processes[process] = start_streams(process, given, log, self.folder)  # where no .env is

    def stop(self) -> None:
        """At once: nobody goes on with what they did."""
        for process in self.processes.values():
            process.kill()
            process.wait()
        self.processes.clear()

    def logs(self) -> str:
        return "\n".join(f"--- {path.name}\n{path.read_text()[-3000:]}" for path in sorted(self.folder.glob("*.log")))

    async def until(self, condition: Callable[[], Awaitable[bool] | bool], what: str) -> None:
        """Raises Stuck when it does not come in time, or a process ends instead, which then is not ready."""
        began, patience = time.monotonic(), HOPELESS_SECONDS if what == self.hopeless else self.deadline_seconds
        while True:
            met = condition()
            if met if isinstance(met, bool) else await met:
                return
            waited = time.monotonic() - began
            ended = [name for name, process in self.processes.items() if process.poll() is not None]
            if ended or waited > patience:
                raise Stuck(
                    f"{ended[0]} is ready" if ended else what,
                    f"not after {waited:.0f} s; ended: {ended}\n{self.logs()}",
                )
            await asyncio.sleep(0.1)

    async def until_ready(self) -> None:
        """One after the other, and last the one of which nothing is hoped."""
        for process in sorted(self.processes, key=lambda process: f"{process} is ready" == self.hopeless):
            await self.until(lambda it=process: self._is_ready(it), f"{process} is ready")  # type: ignore[misc]  # mypy knows no defaults of lambdas

    async def _is_ready(self, process: Process) -> bool:
        port = self.common[f"STREAMS_{process.value.upper()}_PORT"]
        async with httpx.AsyncClient(timeout=10) as client:
            try:
                return (await client.get(f"http://127.0.0.1:{port}/ready")).status_code == 200
            except httpx.TransportError:
                return False

    async def call(self, method: str, path: str, body: Any = None, what: str = "") -> Any:
        """The answer's JSON. Raises Stuck for one that is no success; without `what`, by the end of the path."""
        headers = {"X-StorageApi-Token": self.storage.master_token}
        what = what or f"{method} /{path.split('?')[0].rpartition('/')[2]}"
        try:
            async with httpx.AsyncClient(base_url=self.url, headers=headers, timeout=self.deadline_seconds) as client:
                answer = await client.request(method, path, json=body)
        except httpx.TransportError as error:
            raise Stuck(what, f"{error!r}\n{self.logs()}") from error
        if answer.status_code >= 400:
            raise Stuck(what, f"{answer.status_code} {answer.text}\n{self.logs()}")
        return answer.json() if answer.content else None

    async def finish(self, task: dict[str, Any]) -> None:
        """Wait until a task has succeeded."""
        found = dict(task)

        async def is_finished() -> bool:
            found.update(await self.call("GET", task["url"]))
            return bool(found["isFinished"])

        what = f"success of {task['type']}"
        await self.until(is_finished, what)
        if found["status"] != "success":
            raise Stuck(what, f"{found}\n{self.logs()}")

    async def begin_receiver(self, receiver_id: str) -> dict[str, Any]:
        """The task that makes a receiver whose export fails for {"n": 0}."""
        columns = [
            {"name": "id", "type": "id", "primaryKey": True},
            {"name": "n", "type": "template", "template": {"language": "jsonnet", "content": FAILING}},
        ]
        mapping = {"tableId": f"{self.bucket}.{receiver_id}", "columns": columns}
        conditions = {"count": 1000, "size": "1MB", "time": "1s"}
        export = {"id": "e", "name": "e", "mapping": mapping, "conditions": conditions}
        body = {"id": receiver_id, "name": receiver_id, "exports": [export]}
        task: dict[str, Any] = await self.call("POST", "/v1/receivers", body)
        return task

    async def use_everything(self, receiver_id: str) -> None:
        """Events into a table, a dead letter, dry runs, a replay, a requeue, lists: all that needs Kafka.

        Raises Stuck when any of it does not work.
        """
        path = f"/v1/receivers/{receiver_id}"
        url = (await self.call("GET", path))["url"]
        begun = datetime.now(UTC).isoformat(timespec="milliseconds")
        async with httpx.AsyncClient(timeout=60) as client:
            answer = await client.post(url, json=[{"n": number} for number in range(5)])
        if answer.status_code != 200:
            raise Stuck("events accepted", f"{answer.status_code} {answer.text}\n{self.logs()}")
        await self.until(lambda: self._rows(receiver_id) == [1, 2, 3, 4], "four rows")
        export = f"{path}/exports/e"

        async def letter_is_listed() -> bool:
            return len((await self.call("GET", f"{export}/dead-letters"))["deadLetters"]) == 1

        async def batch_is_listed() -> bool:
            return "imported" in [batch["phase"] for batch in (await self.call("GET", f"{export}/batches"))["batches"]]

        await self.until(letter_is_listed, "the dead letter")
        await self.until(batch_is_listed, "the batch")
        tried = await self.call("POST", f"{export}/test?last=5")
        if len(tried["events"]) != 5:
            raise Stuck("five events on trial", f"{tried}")
        await self._replay(export, begun)
        await self.finish(await self.call("POST", f"{export}/dead-letters/requeue", {}))
        await self._until_over(export)

    async def _replay(self, export: str, begun: str) -> None:
        """How far it is, is asked while it cannot be over: the sink sleeps."""
        ended = datetime.now(UTC).isoformat(timespec="milliseconds")
        sink = self.processes[Process.SINK]
        sink.send_signal(signal.SIGSTOP)
        try:
            body = {"from": begun, "to": ended, "tableId": f"{self.bucket}.again"}
            await self.finish(await self.call("POST", f"{export}/replay", body))
            (replay,) = (await self.call("GET", f"{export}/replays"))["replays"]
            what = "how far the replay is"
            if "mapped" not in await self.call("GET", f"{export}/replays/{replay['id']}", what=what):
                raise Stuck(what, self.logs())
        finally:
            sink.send_signal(signal.SIGCONT)
        await self._until_over(export)
        await self.until(lambda: self._rows("again") == [1, 2, 3, 4], "four rows of the replay")

    async def _until_over(self, export: str) -> None:
        async def are_over() -> bool:
            replays = (await self.call("GET", f"{export}/replays"))["replays"]
            return all("finishedAt" in replay for replay in replays)

        await self.until(are_over, "the end of all replays")

    def _rows(self, table: str) -> list[int]:
        try:
            found = self.storage.sql(f'select n from "{self.bucket}"."{table}" order by n')
        except ValueError:
            return []
        return [int(n) for (n,) in found]
