"""Finding out where events end: those of a mapping that was replaced, and those of a receiver that was deleted.

Asked from Kafka once no gateway can acknowledge any more for what has ended: each sees the control log within
`view_staleness_seconds` or answers no event with 200 (delivery protocol, rule 20). What is found is written to the
control log, and tells the sink when the last row is there.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from app.control.log import ControlLog, Interrupted
from app.control.records import control_records
from app.control.run import Surroundings
from app.control.topics import topics_end
from app.kafka.codec import ControlValue
from app.kafka.transaction import Record
from app.model.binding import SourceTopic
from app.model.catalog import Catalog
from app.model.errors import KafkaUnavailable
from app.model.receiver import SourceOffset, entity_key

_EVERY_SECONDS = 0.5
_MARGIN_SECONDS = 1.0
_log = logging.getLogger(__name__)


class Open(NamedTuple):
    """An end that is not known yet: of a revision, or (`revision` None) of a deleted export."""

    uid: str
    revision: int | None
    topics: tuple[SourceTopic, ...]

    @property
    def what(self) -> tuple[str, int | None]:
        return self.uid, self.revision


def open_ends(catalog: Catalog) -> list[Open]:
    """Everything of which the end has to be found out."""
    found = [
        Open(uid, None, catalog.topics_drained(draining))
        for uid, draining in catalog.draining.items()
        if draining.export.drain_to is None
    ]
    for export in catalog.exports.values():
        if len(export.revisions) > 1:  # few have; this is asked twice a second
            receiver = catalog.receivers[entity_key(export.project_id, export.receiver_id)]
            found += [
                Open(export.uid, revision.number, catalog.topics_of(receiver))
                for revision in export.revisions[:-1]
                if revision.until is None
            ]
    return found


def with_end(catalog: Catalog, end: Open, places: tuple[SourceOffset, ...]) -> ControlValue | None:
    """The record that says where it ends; None when that is known by now, or of no interest any more."""
    draining, export = catalog.draining.get(end.uid), catalog.exports_by_uid.get(end.uid)
    if export is None:
        return None
    if end.revision is None:
        if draining is None or export.drain_to is not None:
            return None
        return replace(draining, export=replace(export, drain_to=places))
    if draining is not None or end.revision == export.revision.number:
        return None  # a deleted export ends as a whole
    revision = export.find_revision(end.revision)
    if revision is None or revision.until is not None:
        return None
    revisions = tuple(replace(r, until=places) if r is revision else r for r in export.revisions)
    return replace(export, revisions=revisions)


class Settling:
    """For the projects of one commands partition: `ours` says which those are. Run `run` as a task."""

    def __init__(self, surroundings: Surroundings, log: ControlLog, ours: Callable[[str], bool]) -> None:
        self._around, self._log, self._ours = surroundings, log, ours
        self._wait_seconds = surroundings.settings.view_staleness_seconds + _MARGIN_SECONDS
        self._seen: dict[tuple[str, int | None], float] = {}
        """Not by topics: the wait is for gateways, and would begin anew with each topic that comes or goes."""

    async def run(self) -> None:
        """Until cancelled. Raises Closed when the partition is not ours any more."""
        while True:
            await asyncio.sleep(_EVERY_SECONDS)
            try:
                await self.settle(time.monotonic())
            except Interrupted as trouble:
                _log.warning("ends of events are not written yet: %s", trouble)

    async def settle(self, now: float) -> None:
        """Those that were seen first long enough ago, by our own clock: a record's age says nothing (rule 24)."""
        catalog = self._log.catalog
        ends = [end for end in open_ends(catalog) if self._ours(catalog.exports_by_uid[end.uid].project_id)]
        self._seen = {end.what: self._seen.get(end.what, now) for end in ends}
        due = [end for end in ends if now - self._seen[end.what] >= self._wait_seconds]
        for topics in {end.topics: None for end in due}:
            try:
                places = await topics_end(self._around.admin, topics)
            except KafkaUnavailable as trouble:
                _log.warning("ends of events are not known yet: %s", trouble)  # those of other topics may be
                continue
            for end in due:
                if end.topics == topics:
                    await self._log.transact(lambda e=end, p=places or (): self._record(e, p))  # type: ignore[misc]  # mypy knows no defaults of lambdas

    def _record(self, end: Open, places: tuple[SourceOffset, ...]) -> list[Record]:
        if end not in open_ends(self._log.catalog):
            return []  # known by now, or of more topics than were asked
        value = with_end(self._log.catalog, end, places)
        return [] if value is None else control_records(self._log.names, [value])
