"""Which claims to topics are to be written, and which go: pure. What a claim is, `Binding` says."""

from __future__ import annotations

from collections.abc import Sequence

from app.model.binding import Binding, SourceTopic, binding_key
from app.model.catalog import Catalog
from app.model.receiver import entity_key
from app.model.task import Task, TaskType


def new_claims(
    catalog: Catalog,
    place: tuple[str, str, str],
    sources: Sequence[SourceTopic],
    now_ms: int,
    ended: Sequence[Binding] = (),
) -> list[Binding]:
    """Claims of the receiver (uid, project, id) that are not in the log, or end in the same transaction: one that is
    there must keep its place.
    """
    claims = (Binding(*place, source.topic, source.topic_id, source.partitions, now_ms) for source in sources)
    gone = {binding_key(claim) for claim in ended}
    return [c for c in claims if (key := binding_key(c)) in gone or key not in catalog.bindings.get(c.topic, {})]


def lost_claims(catalog: Catalog, project_id: str) -> list[Binding]:
    """Those of the project that came after another one."""
    return [
        claim
        for claims in catalog.bindings.values()
        for claim in list(claims.values())[1:]
        if claim.project_id == project_id
    ]


def unused_claims(catalog: Catalog, task: Task) -> list[Binding]:
    """Those of the receiver that the task was to make, which is not there. A project's tasks run one by one."""
    if task.type is not TaskType.RECEIVER_CREATE:
        return []
    return [
        claim
        for claims in catalog.bindings.values()
        for claim in claims.values()
        if (claim.project_id, claim.receiver_id) == (task.project_id, task.receiver_id)
        and not is_there(catalog, claim)
        and not is_drained(catalog, claim.receiver_uid)
    ]


def is_there(catalog: Catalog, claim: Binding) -> bool:
    """Whether its receiver is."""
    receiver = catalog.receivers.get(entity_key(claim.project_id, claim.receiver_id))
    return receiver is not None and receiver.uid == claim.receiver_uid


def is_drained(catalog: Catalog, receiver_uid: str, apart_from: str | None = None) -> bool:
    """Whether something is still drained of what the receiver read, but this export."""
    return any(
        draining.export.receiver_uid == receiver_uid and uid != apart_from for uid, draining in catalog.draining.items()
    )
