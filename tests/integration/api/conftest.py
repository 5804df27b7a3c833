"""One control process for all tests of a module, alive to the end."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from buffer_stack import ControlProcess

from app.settings import Settings


@pytest.fixture(scope="module", autouse=True)
def control(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlProcess]:
    process = ControlProcess(settings, tmp_path_factory.mktemp("control"))
    yield process
    assert process.alive, process.log.read_text()[-3000:]
    assert process.stop() == 0
