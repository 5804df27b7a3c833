"""One export's fold under hypothesis: envelopes, repeats with other cuts and outcomes, ticks, steps, publications,
commits and crashes in any order; afterwards each event is in exactly one slice or one dead letter.
"""

from __future__ import annotations

from collections import Counter

from envelopes import Outcome, envelope
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from app.mapping.csv import row_ends
from app.model.conditions import Conditions
from app.model.ledger import BatchRecord, ExportState, Phase, Slice, StagedFile
from app.model.rows import Rows
from app.sink.fold import ExportFold
from app.sink.steps import LedgerWrite, StagedPart

FILE = StagedFile("f1", 0, 0, b"")
outcomes = st.lists(st.sampled_from(Outcome), min_size=1, max_size=6)


class FoldHistory(RuleBasedStateMachine):
    """The rows partition, the group's offset and the ledger survive a crash; the fold and the uploads do not."""

    def __init__(self) -> None:
        super().__init__()
        self.log: list[Rows] = []
        self.accepted: list[Outcome] = []
        """What the first envelope that spoke of an event said of it."""
        self.group_offset = 0
        self.now_ms = 0
        self.state = ExportState("x")
        self.batches: dict[str, BatchRecord] = {}
        self.slices: dict[str, list[bytes]] = {}
        self.dead_letters: list[int] = []
        self.fold = ExportFold(self.state)
        self.next_offset = 0
        self.write: LedgerWrite | None = None

    @initialize(count=st.integers(1, 6), size_bytes=st.sampled_from([30, 80, 10_000]))
    def begin(self, count: int, size_bytes: int) -> None:
        self.conditions = Conditions(count, size_bytes, 1)

    # What comes in

    @rule(outcomes=outcomes, version=st.integers(0, 3))
    def next_envelope(self, outcomes: list[Outcome], version: int) -> None:
        self.log.append(envelope(len(self.accepted), outcomes, version=version))
        self.accepted += outcomes

    @precondition(lambda self: self.accepted)
    @rule(start=st.integers(0, 60), outcomes=outcomes, version=st.integers(0, 3))
    def repeat(self, start: int, outcomes: list[Outcome], version: int) -> None:
        base = start % len(self.accepted)
        self.log.append(envelope(base, outcomes, version=version))
        self.accepted += outcomes[len(self.accepted) - base :]

    # What the sink does

    @precondition(lambda self: self.next_offset < len(self.log))
    @rule()
    def take(self) -> None:
        rows = self.log[self.next_offset]
        self.fold.take(self.next_offset, rows, self.now_ms, "in.c-x.t", self.conditions)
        self.next_offset += 1

    @rule(passed_ms=st.sampled_from([1, 400, 1500]))
    def tick(self, passed_ms: int) -> None:
        self.now_ms += passed_ms
        self.fold.close_due(self.now_ms, self.conditions)

    @rule()
    def cut(self) -> None:
        self.fold.cut()

    @precondition(lambda self: self.fold.step is not None and self.write is None)
    @rule()
    def upload_and_decide_step(self) -> None:
        assert self.fold.step is not None
        staged = {}
        for batch_id, part in self.fold.step.parts.items():
            name = f"s{len(self.slices)}"
            csv = b"".join(part.csv)
            ends = row_ends(csv)
            self.slices[name] = [csv[i:j] for i, j in zip([0, *ends], ends, strict=False)]
            staged[batch_id] = StagedPart(FILE, "run", True, Slice(name, part.rows, part.size_bytes, len(csv)))
        self.write = self.fold.step_write(self.batches, staged, self.now_ms)

    @precondition(lambda self: self.write is None)
    @rule()
    def decide_publication(self) -> None:
        self.write = self.fold.dead_letter_write()

    @precondition(lambda self: self.write is not None)
    @rule(answered=st.booleans())
    def record(self, answered: bool) -> None:
        """The transaction is in the ledger; without an answer the owner starts again."""
        assert self.write is not None
        self.state = self.write.state
        self.batches |= {batch.batch_id: batch for batch in self.write.batches}
        self.dead_letters += [failure.event.offset for failure in self.write.failures]
        if answered:
            self.fold.written(self.write)
            self.write = None
        else:
            self.crash()

    @rule()
    def commit(self) -> None:
        first = self.fold.first_unstaged
        self.group_offset = max(self.group_offset, self.next_offset if first is None else first)

    @rule()
    def crash(self) -> None:
        self.fold, self.next_offset, self.write = ExportFold(self.state), self.group_offset, None

    # What must hold

    @invariant()
    def dead_letters_are_never_behind_the_rows(self) -> None:
        assert self.state.dead_letters_to >= self.state.staged_to

    @invariant()
    def recorded_slices_and_windows_agree(self) -> None:
        still_open = {b.batch_id: b.count for b in self.batches.values() if b.phase is Phase.OPEN}
        assert still_open == {window.batch_id: window.count for window in self.state.windows}

    def teardown(self) -> None:
        if not hasattr(self, "conditions"):
            return
        self.write = None
        while self.next_offset < len(self.log):
            self.take()
        self.fold.cut()
        while self.fold.step is not None:
            self.upload_and_decide_step()
            self.record(answered=True)
            self.fold.cut()
        found = Counter(self.dead_letters)
        for batch in self.batches.values():
            rows = [row for part in batch.slices for row in self.slices[part.name]]
            assert len(rows) == batch.count <= self.conditions.count
            found.update(int(row.split(b'"')[1]) for row in rows)
        expected = Counter(offset for offset, outcome in enumerate(self.accepted) if outcome is not Outcome.SKIPPED)
        assert {offset: found[offset] for offset in expected} == expected


TestFoldHistory = FoldHistory.TestCase
TestFoldHistory.settings = settings(max_examples=80, stateful_step_count=40)
