"""Whether a child that does nothing is frozen, or nobody was there to see what it did."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest

from app.mapping.attention import Attention


class Scene:
    """A child that has had no processor since second 0, and looks at it at seconds of a clock of our own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.killed = 0.0, False
        monkeypatch.setattr(time, "monotonic", lambda: self.now)
        position = SimpleNamespace(job=0, event=3, step=7, job_started=0.0, column=None)
        child: Any = SimpleNamespace(position=lambda: position, cpu_seconds=lambda: 0.0, kill=self.kill)
        self.attention = Attention(child, 1.0, lambda: True)

    def kill(self) -> None:
        self.killed = True

    def look(self, second: float) -> None:
        self.now = second
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
