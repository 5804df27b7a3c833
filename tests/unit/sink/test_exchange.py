"""What a copy of a batch's file leaves in Storage when it cannot be made."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from app.keboola.errors import StorageNotFound
from app.model.ledger import BatchRecord, Phase, StagedFile
from app.settings import Settings
from app.sink.exchange import Exchange

RECORD = BatchRecord("e", "b", 1, "t", True, Phase.CLOSING, 0, "run", StagedFile("1", 0, 0, b""))


class Storage:
    """Has no file any more."""

    def stored_file(self, _file_id: int) -> None:
        raise StorageNotFound("no such file", http_status=404)


async def test_copy_of_a_file_that_is_gone_makes_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is tried again for days."""
    made: list[str] = []

    @contextmanager
    def client(*_: object) -> Iterator[Storage]:
        yield Storage()

    nothing: Any = None
    exchange = Exchange(Settings(_env_file=None), nothing)  # type: ignore[call-arg]  # pydantic-settings' own argument
    monkeypatch.setattr(exchange, "_client", client)
    monkeypatch.setattr(exchange, "_prepare", lambda *_: made.append("file"))

    with pytest.raises(StorageNotFound):
        await exchange.copy(nothing, RECORD)
    exchange.close()

    assert made == []
