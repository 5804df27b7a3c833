"""Rules of giving a batch up: what must be known before, and that its dead letter goes with its record."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from model_sink import Shell, Task
from mutation import Patch, takes_out

from app.model.ledger import BatchRecord, ExportState, Phase
from app.model.receiver import Export
from app.sink import importing, retiring
from app.sink.importing import Act


@takes_out("19: the dead letter is in the transaction of the record", "LETTERS", "LOST")
def the_dead_letter_comes_after_the_record(patch: Patch) -> None:
    def expire(self: Shell, record: BatchRecord) -> Task:
        self.write([importing.expired(record, None, self.world.now_ms)])
        yield from self.pause()
        if record.expired_ms is None:
            self.write((), letters=[(record.export_uid, record.batch_id)])
        yield

    patch.setattr(Shell, "expire", expire)


@takes_out("19: a batch does not expire while an attempt is not settled", "DOUBLED", "CRASH")
def a_batch_expires_while_its_import_is_unclear(patch: Patch) -> None:
    real = importing.next_act

    def next_act(record: BatchRecord, now_ms: int, *, expiry_ms: int, **rest: Any) -> Act:
        act = real(record, now_ms, expiry_ms=expiry_ms, **rest)
        overdue = now_ms - (record.closed_ms or record.opened_ms) >= expiry_ms
        return Act.EXPIRE if act is Act.LOOK_UP and overdue else act

    def expired(record: BatchRecord, reason: str | None, now_ms: int) -> BatchRecord:
        return replace(record, phase=Phase.EXPIRED, expired_ms=now_ms)

    patch.setattr(importing, "next_act", next_act)
    patch.setattr(importing, "expired", expired)


@takes_out("19: a batch has one dead letter, however often it expires", "LETTERS", near=335)
def each_expiry_has_a_dead_letter(patch: Patch) -> None:
    def expire(self: Shell, record: BatchRecord) -> Task:
        key = record.export_uid, record.batch_id
        self.write([importing.expired(record, None, self.world.now_ms)], letters=[key])
        yield

    patch.setattr(Shell, "expire", expire)


@takes_out("18: a batch that waits for a person holds its revision", "RETIRED", "CRASH", near=750)
def a_batch_that_waits_holds_no_revision(patch: Patch) -> None:
    real = retiring.over

    def over(export: Export, staged: ExportState, batches: Iterable[BatchRecord]) -> tuple[int, ...]:
        return real(export, staged, [record for record in batches if record.phase not in importing.TERMINAL])

    patch.setattr(retiring, "over", over)
