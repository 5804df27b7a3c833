"""Topics that come and go while the app runs: one queue for all, kept equal to a wanted set."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any, cast

from faust.transport.conductor import Conductor

if TYPE_CHECKING:
    from app.kafka.faust.app import ChunkApp

_log = logging.getLogger(__name__)


class Subscription:
    """Adds and removes topics that feed `queue`; `keep` is called by a timer and heals requests that Faust lost."""

    def __init__(
        self, app: ChunkApp, queue: Any, wanted: Callable[[], Collection[str]], anchor: str, codec: str
    ) -> None:
        self._app, self._queue, self._wanted, self._anchor, self._codec = app, queue, wanted, anchor, codec
        self._topics: dict[str, Any] = {}

    async def keep(self) -> None:
        try:
            self.reconcile()
        except Exception:  # a timer that raises stops the app
            _log.exception("the subscription could not be brought up to date; trying again")

    def reconcile(self) -> None:
        """Make the subscription what is wanted, unless a rebalance is under way or the group's coordinator is away."""
        app, wanted = self._app, set(self._wanted())
        conductor = cast(Conductor, app.topics)
        kafka: Any = getattr(getattr(app.consumer, "_thread", None), "_consumer", None)
        coordinator = getattr(kafka, "_coordinator", None)
        if app.rebalancing or (coordinator is not None and kafka.subscription() and coordinator.coordinator_id is None):
            return  # Faust forgets changes made in a rebalance; aiokafka dies of one while its coordinator is away
        for name in wanted - self._topics.keys():
            topic = app.topic(name, value_serializer=self._codec, value_type=None)
            self._topics[name] = topic.clone_using_queue(self._queue)
            conductor.add(self._topics[name])
        for name in self._topics.keys() - wanted:
            conductor.discard(self._topics.pop(name))
        if kafka is not None and kafka.subscription() and kafka.subscription() != wanted | {self._anchor}:
            conductor._flag_changes()
