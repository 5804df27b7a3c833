"""The control processes of a module's control plane; tests may kill them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from buffer_stack import ControlProcess, Controls

from app.local.storage import Emulator
from app.settings import Settings


@pytest.fixture(scope="module")
def controls(
    settings: Settings, emulator_process: Emulator, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Controls]:
    """No process of theirs may have logged the token."""
    controls = Controls(settings, tmp_path_factory.mktemp("control"))
    yield controls
    for process in controls.started:
        process.kill()
        assert emulator_process.master_token not in process.log.read_text()


@pytest.fixture
def control(controls: Controls) -> ControlProcess:
    """The one process that runs."""
    return controls.only()
