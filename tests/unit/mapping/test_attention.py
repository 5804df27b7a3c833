"""Whether a child is stuck, and whether one that does nothing is frozen, or nobody was there to see what it did."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest

from app.mapping.attention import Attention
from app.model.receiver import Mapping


class Scene:
    """A child that is at one event since second 0, and looks at it at seconds of a clock of our own. It has had no
    processor, unless `computed` says so.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.computed, self.killed = 0.0, 0.0, False
        monkeypatch.setattr(time, "monotonic", lambda: self.now)
        position = SimpleNamespace(job=0, event=3, step=7, job_started=0.0, column=None)
        child: Any = SimpleNamespace(
            position=lambda: position, cpu_seconds=lambda: self.computed, kill=self.kill, stop_job=self.stop_job
        )
        self.attention = Attention(child, 1.0, lambda: True)

    def kill(self) -> None:
        self.killed = True

    def stop_job(self, _job: int) -> None: ...

    def look(self, second: float, computed: float = 0.0) -> None:
        self.now, self.computed = second, computed
        self.attention._look(0, 1.0)


def test_child_that_gets_no_processor_for_long_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch)

    for second in range(12):
        scene.look(second)

    assert scene.killed


def test_child_that_was_frozen_together_with_us_is_let_be(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch)
    scene.look(0)
    scene.look(1)

    scene.look(1000)

    assert not scene.killed


@pytest.mark.parametrize(("computed", "ended"), [(0.99, False), (1.01, True)])
def test_child_that_computes_for_too_long_at_one_event_is_ended_and_the_event_is_to_blame(
    monkeypatch: pytest.MonkeyPatch, computed: float, ended: bool
) -> None:
    """Delivery protocol, rule 5: a template that loops holds the others for a bounded time."""
    scene = Scene(monkeypatch)
    scene.look(0)

    scene.look(2, computed)

    loss, _ = scene.attention.loss(0, Mapping("t", ()))
    assert (scene.killed, loss.event, loss.sure) == (ended, 3, ended)
