"""Faust with one message per fetched chunk of records, explicit commits and a watchdog.

The only place that knows Faust's or aiokafka's private names (faust-streaming 0.15.3 and aiokafka 0.14.0, pinned
exactly); what was found wrong with the stock behaviour is said where it is replaced. Callers see `ChunkApp`, the items
it feeds them and `run`.
"""

from app.kafka.faust.app import ChunkApp, create_app
from app.kafka.faust.chunk import TICK, Chunk, Committed, Item, Partition, Progress, Record, Tick
from app.kafka.faust.run import run, serve

__all__ = [
    "TICK",
    "Chunk",
    "ChunkApp",
    "Committed",
    "Item",
    "Partition",
    "Progress",
    "Record",
    "Tick",
    "create_app",
    "run",
    "serve",
]
