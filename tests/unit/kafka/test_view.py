"""What the view makes of records that are not ours."""

from __future__ import annotations

from typing import Any

import pytest

from app.kafka.codec import control_codec
from app.kafka.view import ControlView
from app.model.task import Task, TaskStatus, TaskType
from app.settings import Settings


class Read:
    """A record as the consumer gives it."""

    def __init__(self, offset: int, key: bytes | None, value: bytes | None) -> None:
        self._offset, self._key, self._value = offset, key, value

    def error(self) -> None:
        return None

    def offset(self) -> int:
        return self._offset

    def key(self) -> bytes | None:
        return self._key

    def value(self) -> bytes | None:
        return self._value


@pytest.mark.parametrize("key", [b"planet:mars", b"\xff\xfe", b"", None])
@pytest.mark.parametrize("value", [None, b"not a record"])
def test_foreign_record_does_not_hide_the_ones_behind_it(key: bytes | None, value: bytes | None) -> None:
    view = ControlView(Settings())
    task = Task("1234", "t", TaskType.RECEIVER_CREATE, TaskStatus.PROCESSING, 0, "r")
    messages: list[Any] = [Read(0, key, value), Read(1, b"task:1234/t", control_codec.encode(task))]

    view._apply(messages)

    assert view.catalog.tasks == {"1234/t": task}
