"""Two events for the examples in docstrings."""

from __future__ import annotations

from app.mapping.events import Events
from app.model.event import EventBatch

BATCH = EventBatch(
    offsets=[7, 8],
    times_ms=[1672628645006, 1672628645007],
    ids=["a", "b"],
    ips=["10.0.0.1", ""],
    bodies=[b'{"user": {"id": 7}, "tags": ["x"]}', b"{}"],
    headers=[[("x-shop", b"1")], []],
)
EVENTS = Events.of(BATCH)
"""
>>> EVENTS.value(0)
{'user': {'id': 7}, 'tags': ['x']}
"""
