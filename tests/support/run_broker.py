"""One real Kafka for all workers of a run: a plugin of the process that starts them, so it outlives each of them.

Nobody waits for it who needs no broker: it is started when the first test outside `unit/` begins.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

from app.local.kafka import LocalBroker
from app.model.errors import ConfigurationError

DEADLINE_SECONDS = 180
_WITHOUT_BROKER = "tests/unit/"
_FOUND = "broker.json"


class RunBroker:
    """Registered with pytest by the process that starts the workers; they find the broker by `find_broker`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._broker: LocalBroker | None = None

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Called in the main thread, to which the kernel ties the broker."""
        if self._broker is not None or nodeid.startswith(_WITHOUT_BROKER):
            return
        self._broker = LocalBroker(self._folder / "kafka")
        try:
            self._broker.spawn()
            self._tell({"port": self._broker.port, "controller_port": self._broker.controller_port})
        except ConfigurationError as error:
            self._tell({"trouble": error.message})

    def pytest_unconfigure(self) -> None:
        if self._broker is not None:
            self._broker.kill()  # nobody reads its data again

    def _tell(self, found: dict[str, object]) -> None:
        fresh = self._folder / f"{_FOUND}.new"
        fresh.write_text(json.dumps(found))
        fresh.rename(self._folder / _FOUND)


def find_broker(folder: Path) -> LocalBroker:
    """The run's broker, ready, to look at: it is not this process's to stop. Raises ConfigurationError."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not (folder / _FOUND).exists():
        assert time.monotonic() < deadline, f"no broker was started; tests in {_WITHOUT_BROKER} have none"
        time.sleep(0.05)
    found = json.loads((folder / _FOUND).read_text())
    if "trouble" in found:
        raise ConfigurationError(found["trouble"])
    broker = LocalBroker(folder / "kafka", **found)
    while not broker.is_ready(0.5):
        assert time.monotonic() < deadline, f"the broker does not answer (log: {broker.log_file})"
    return broker
