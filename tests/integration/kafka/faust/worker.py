"""A process with a ChunkApp, steered over stdin and telling over stdout what happens to it, one JSON line each.

    python worker.py '{"settings": {...}, "topics": [...], "anchor": "...", "chunk_records": 100}'

Commands: subscribe [topic, ...] | done true/false | hold [topic, partition] | let_go [...] | rewind [...] | commit_now
| look
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import nullcontext
from typing import Any

from app.kafka.client import connect_admin
from app.kafka.faust import Chunk, ChunkApp, Item, Partition, Tick, create_app, run, serve
from app.kafka.watch import ConsumerWatch
from app.settings import Settings


def tell(what: str, **details: Any) -> None:
    sys.stdout.write(json.dumps({"what": what, **details}) + "\n")
    sys.stdout.flush()


class Worker:
    def __init__(self, app: ChunkApp, topics: list[str], watch: ConsumerWatch) -> None:
        self.app, self.topics, self.does_done, self.watch = app, topics, True, watch

    async def consume(self, items: AsyncIterator[Item]) -> None:
        async for item in items:
            if isinstance(item, Tick):
                tell("tick")
            elif isinstance(item, Chunk):
                if self.does_done:
                    self.app.done(item.topic, item.partition, item.end, item.generation, "note")
                tell(
                    "chunk",
                    topic=item.topic,
                    partition=item.partition,
                    base=item.base,
                    end=item.end,
                    offsets=[record.offset for record in item.records],
                    values=[(record.value or b"").decode() for record in item.records],
                    generation=item.generation,
                    lost=item.lost,
                    size=item.size_bytes,
                )

    async def assigned(self, partitions: frozenset[Partition]) -> None:
        tell("assigned", partitions=sorted(partitions), generation=self.app.generation)

    async def revoked(self, partitions: frozenset[Partition]) -> None:
        tell("revoked", partitions=sorted(partitions))

    async def obey(self) -> None:
        """Commands from stdin, in order."""
        reader = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while line := await reader.readline():
            command, value = json.loads(line)
            match command:
                case "subscribe":
                    self.topics[:] = value
                case "done":
                    self.does_done = value
                case "hold":
                    self.app.hold_back([Partition(*value)])
                    tell("held")
                case "let_go":
                    self.app.let_go([Partition(*value)])
                case "rewind":
                    await self.app.rewind([Partition(*value)])
                case "commit_now":
                    tell("commit_now", answer=await self.app.commit_now())
                case "look":
                    watch = self.watch
                    await asyncio.to_thread(watch.look)
                    lags = {lag.source.partition: [lag.records, lag.left_seconds] for lag in watch.lags.partitions}
                    oldest = {place.source.partition: place.oldest_ms for place in self.app.progress()}
                    tell(
                        "look",
                        oldest=oldest,
                        lags=lags,
                        still=watch.lags.still_seconds,
                        why_not_ready=watch.why_not_ready(),
                    )
                case "committed":
                    found = await self.app.committed([Partition(*value)])
                    tell("committed", answer=[list(committed) for committed in found.values()])
            tell("obeyed", command=command)


async def main(told: dict[str, Any]) -> None:
    settings = Settings(**told["settings"])
    app = create_app(
        settings,
        "test",
        chunk_records=told.get("chunk_records", 100),
        chunk_bytes=told.get("chunk_bytes", 1 << 20),
    )
    watch = ConsumerWatch(settings, app, connect_admin(settings))
    worker = Worker(app, told["topics"], watch)
    anchor = told.get("anchor")
    topics = (lambda: worker.topics) if anchor else worker.topics
    app.consume(worker.consume, topics, anchor=anchor, tick_seconds=told.get("tick_seconds"))
    app.on_assigned(worker.assigned)
    app.on_revoked(worker.revoked)
    obeying = asyncio.create_task(worker.obey())
    try:
        with watch if told.get("watched") else nullcontext():
            await serve(app)
    finally:
        obeying.cancel()


if __name__ == "__main__":
    run(main(json.loads(sys.argv[1])))
