"""Batches whose upload credentials ended while no sink ran: they go on in another file, and are imported once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from app.kafka.codec import batch_codec
from app.kafka.names import Names
from app.model.conditions import MIB, Conditions
from app.model.ledger import BatchRecord, Phase
from app.model.receiver import Export

BY_HAND = Conditions(count=1000, size_bytes=50 * MIB, time_seconds=3600)


async def end_credentials(bench: Any, export: Export) -> BatchRecord:
    """Of the export's open batch: its file takes nothing any more, as if 12 hours had passed."""
    (record,) = bench.batches(export)
    ended = replace(record, file=replace(record.file, expires_ms=1))
    topic, key = Names(bench.settings.topic_prefix).ledger, f"{export.uid}/{record.batch_id}"
    await bench.producer.send(topic, batch_codec.encode(ended), key, partition=export.rows_partition)
    bench.storage.fault("status", status=400, method="PUT", path=rf"/{record.file.file_id}\.", times=None)
    return ended


async def test_batches_whose_credentials_ended_while_the_sink_was_down_are_imported_once(bench: Any) -> None:
    bench.environment["staging_span_seconds"] = 0.2
    whole, more = await bench.export("whole", BY_HAND), await bench.export("more", BY_HAND)
    sink = bench.start_sink()
    await bench.send(bench.envelope(whole, 0, 3), bench.envelope(more, 0, 5))
    await bench.until(lambda: bench.batches(whole) and bench.batches(more), "two open batches")
    sink.kill()
    sink.wait(60)
    before = [await end_credentials(bench, export) for export in (whole, more)]
    await bench.send(bench.envelope(more, 5, 4))

    bench.start_sink()

    for export in (whole, more):
        await bench.until_arrived(export)
    after = [bench.batches(export)[0] for export in (whole, more)]
    assert [record.phase for record in before] == [Phase.OPEN, Phase.OPEN]
    assert [len(record.slices) for record in after] == [1, 2]
    assert all(new.file.file_id != old.file.file_id for new, old in zip(after, before, strict=True))
