"""The control processes of a module's control plane; tests may kill them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from buffer_stack import Client, ControlProcess, Controls

from app.local.storage import Emulator
from app.model.cipher import Cipher
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


@pytest.fixture
async def no_secrets(api: Client, controls: Controls, settings: Settings, emulator: Emulator) -> AsyncIterator[None]:
    """After each test neither tasks nor control's log have a token, a secret or a key."""
    yield
    cipher = Cipher(settings.encryption_key)
    catalog = api.view.catalog
    secrets = [emulator.master_token, *settings.encryption_key]
    secrets += [cipher.decrypt(r.token) for export in catalog.exports.values() for r in export.revisions]
    secrets += [cipher.decrypt(receiver.secret) for receiver in catalog.receivers.values()]
    text = "\n".join(
        [*(str(task) for task in catalog.tasks.values()), *(control.log.read_text() for control in controls.started)]
    )
    assert [secret for secret in secrets if secret in text] == []
