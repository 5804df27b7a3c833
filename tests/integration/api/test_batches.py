"""Batches over the API, from a ledger as the sink writes it."""

from __future__ import annotations

import asyncio

import pytest
from batches import SECRET, batch, record
from buffer_stack import Client, export_body, export_of

from app.model.ledger import Phase
from app.model.receiver import Export
from app.settings import Settings


@pytest.fixture
async def export(api: Client, name: str) -> Export:
    await api.create("/v1/receivers", {"name": name, "exports": [export_body("E", f"in.c-{name}.t")]})
    return export_of(api, name, "e")


def batches_path(export: Export) -> str:
    return f"/v1/receivers/{export.receiver_id}/exports/{export.export_id}/batches"


async def test_batches_are_listed_by_phase_and_shown_alone(api: Client, settings: Settings, export: Export) -> None:
    records = [batch(export, "b1"), batch(export, "b2"), batch(export, "b3", phase=Phase.OPEN)]
    records.append(batch(export, "b2", phase=Phase.EXPIRED))
    await asyncio.to_thread(record, settings, export, *records, forgotten=("b3",))

    every = await api.get(batches_path(export))
    expired = await api.get(f"{batches_path(export)}?phase=expired")
    alone = await api.get(f"{batches_path(export)}/b2")
    missing = await api.get(f"{batches_path(export)}/b")
    file = await api.get(f"{batches_path(export)}/b1/file")

    assert [one["id"] for one in every.json()["batches"]] == ["b2", "b1"]
    assert expired.json() == {"batches": [alone.json()], "hasMore": False}
    assert alone.json()["phase"] == "expired"
    assert SECRET.decode() not in every.text
    assert (missing.status_code, missing.json()["error"]) == (404, "buffer.batchNotFound")
    assert (file.json()["fileId"], file.json()["columns"]) == ("99", ["id", "body", "value"])
    assert [part["name"] for part in file.json()["slices"]] == ["s1", "s2"]


async def test_retry_is_in_the_exports_record_as_the_person_saw_the_batch(
    api: Client, settings: Settings, export: Export
) -> None:
    imported = batch(export, "b2", phase=Phase.IMPORTED)
    await asyncio.to_thread(record, settings, export, batch(export, "b1"), imported)

    task = await api.finished(await api.post(f"{batches_path(export)}/b1/retry", None))
    refused = await api.post(f"{batches_path(export)}/b2/retry", None)
    missing = await api.post(f"{batches_path(export)}/b3/retry", None)

    assert task["status"] == "success", task
    (retry,) = export_of(api, export.receiver_id, "e").retries
    assert (retry.batch_id, retry.attempt_ms, retry.task_id) == ("b1", 1_700_000_003_000, task["id"])
    assert (refused.status_code, refused.json()["error"]) == (409, "buffer.batchNotRetriable")
    assert (missing.status_code, missing.json()["error"]) == (404, "buffer.batchNotFound")
