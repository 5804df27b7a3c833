"""Who reads a topic when several want it at the same time: the first one in the control log, for all readers alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from app.control.claims import lost_claims, new_claims, unused_claims
from app.model.binding import Binding, SourceTopic, binding_key
from app.model.catalog import Catalog
from app.model.receiver import Receiver
from app.model.task import Task, TaskStatus, TaskType

CLAIM = Binding("r", "1", "a", "shop.orders", "id", 2, 0)
RECEIVER = Receiver("r", "1", "a", "a", "", b"", "", "", 0, 0, pattern="shop.*")
CREATE = Task("1", "t", TaskType.RECEIVER_CREATE, TaskStatus.PROCESSING, 0, "a")
Entry = tuple[str, Binding | None]


def catalog_of(*claims: Binding, receiver: Receiver | None = None) -> Catalog:
    catalog = Catalog()
    for claim in claims:
        catalog.put_binding(claim)
    if receiver is not None:
        catalog.put_receiver(receiver)
    return catalog


def read(log: Sequence[Entry]) -> Catalog:
    catalog = Catalog()
    for key, claim in log:
        if claim is None:
            catalog.drop_binding(key)
        else:
            catalog.put_binding(claim)
    return catalog


def compacted(log: Sequence[Entry], drawn: st.DataObject) -> list[Entry]:
    """What Kafka may have left: of each key the last record in its place, and of those before it the newest few."""
    places: dict[str, list[int]] = {}
    for number, (key, _) in enumerate(log):
        places.setdefault(key, []).append(number)
    kept = set[int]()
    for key, numbers in sorted(places.items()):
        fewest = 0 if log[numbers[-1]][1] is None else 1
        kept |= set(numbers[len(numbers) - drawn.draw(st.integers(fewest, len(numbers)), label=f"left of {key}") :])
    return [entry for number, entry in enumerate(log) if number in kept]


@given(st.data())
def test_topic_is_never_had_by_two_and_every_reader_knows_by_whom(drawn: st.DataObject) -> None:
    """Receivers claim, wait for their own claim, look, and take it back when they came later, or end."""
    log: list[Entry] = []
    holders: set[str] = set()
    waiting: dict[str, int] = {}
    for _ in range(drawn.draw(st.integers(1, 12), label="steps")):
        uid = drawn.draw(st.sampled_from("abc"), label="who")
        claim = replace(CLAIM, receiver_uid=uid)
        if uid in holders:
            holders.remove(uid)
            log.append((binding_key(claim), None))
        elif uid not in waiting:
            waiting[uid] = len(log)
            log.append((binding_key(claim), claim))
        else:
            seen = read(log[: drawn.draw(st.integers(waiting.pop(uid) + 1, len(log)), label="seen")])
            first = seen.binding_of("shop.orders")
            if first is not None and first.receiver_uid == uid:
                holders.add(uid)
            else:
                log.append((binding_key(claim), None))

        assert len(holders) <= 1
        now, anew = read(log).binding_of("shop.orders"), read(compacted(log, drawn)).binding_of("shop.orders")
        assert anew == now
        assert not holders or (now is not None and {now.receiver_uid} == holders)


def test_claim_that_is_there_keeps_its_place() -> None:
    sources = [SourceTopic("shop.orders", "id", 2), SourceTopic("shop.returns", "id-2", 1)]

    claims = new_claims(catalog_of(CLAIM), ("r", "1", "a"), sources, 9)

    assert claims == [Binding("r", "1", "a", "shop.returns", "id-2", 1, 9)]


def test_claims_of_a_receiver_that_is_not_made_go_with_its_task() -> None:
    assert unused_claims(catalog_of(CLAIM), CREATE) == [CLAIM]
    assert unused_claims(catalog_of(CLAIM, receiver=RECEIVER), CREATE) == []
    assert unused_claims(catalog_of(CLAIM), replace(CREATE, receiver_id="b")) == []
    assert unused_claims(catalog_of(CLAIM), replace(CREATE, type=TaskType.EXPORT_CREATE)) == []


def test_claims_that_came_later_are_lost() -> None:
    later = replace(CLAIM, receiver_uid="s", project_id="2")

    catalog = catalog_of(CLAIM, later)

    assert (lost_claims(catalog, "1"), lost_claims(catalog, "2")) == ([], [later])
