"""Fixtures that every test may use: one real Kafka and one Storage emulator per run, and names of each test's own.

What tests of several folders share beside fixtures is in `support`, which is on pytest's path.
"""

from __future__ import annotations

import faulthandler
import os
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from run_broker import RunBroker, find_broker
from xdist.scheduler import LoadScopeScheduling

from app.keboola.client import StorageClient
from app.local.kafka import LocalBroker
from app.local.storage import Emulator, running

# How long an example takes says nothing on a busy machine.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

# Brokers live for minutes here: code that is compiled quickly costs half the CPU time of code that is compiled well.
os.environ.setdefault("JAVA_TOOL_OPTIONS", "-XX:TieredStopAtLevel=1")
# Each partition costs the broker and every process of ours time, for each of hundreds of installations.
for _name, _count in {"ROWS": 4, "COMMAND": 2, "DEAD_LETTER": 2}.items():
    os.environ.setdefault(f"STREAMS_{_name}_PARTITIONS", str(_count))
# A process that is told to stop may have to wait for its turn on a busy machine, and is to end well all the same.
os.environ.setdefault("STREAMS_GRACEFUL_STOP_SECONDS", "60")

_SHARED: pytest.StashKey[tempfile.TemporaryDirectory[str]] = pytest.StashKey()
"""Of the process that starts the workers: a folder for it and them."""
_STACK_LINES = 50
HERE = Path(__file__).parent
LONGEST_FIRST = ("chaos/", "e2e/", "integration/sink/", "conformance/", "integration/", "browser/")
ONE_AFTER_THE_OTHER = ("tests/e2e/", "tests/conformance/rules/")
"""Each test keeps a whole installation busy; all share one installation."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest, or one worker would be busy with it when the others have nothing left.

    Within these folders the order stays as it was drawn.
    """

    def place(item: pytest.Item) -> int:
        path = item.path.relative_to(HERE).as_posix()
        return next((n for n, folder in enumerate(LONGEST_FIRST) if path.startswith(folder)), len(LONGEST_FIRST))

    items.sort(key=place)


class Scheduling(LoadScopeScheduling):
    """The tests of a file go to one worker, and so do those of these folders."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return next((folder for folder in ONE_AFTER_THE_OTHER if file.startswith(folder)), file)


@pytest.hookimpl(trylast=True)  # after pytest's own, which writes the stacks where nobody sees them
def pytest_configure(config: pytest.Config) -> None:
    """A worker that crashes (in a native library) leaves the Python stacks of its threads in a file of this folder."""
    if shared := _shared(config):
        stacks = shared / config.workerinput["workerid"]
        faulthandler.enable(stacks.open("w"))
    elif config.getoption("tx", None):
        config.stash[_SHARED] = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        config.add_cleanup(config.stash[_SHARED].cleanup)
        config.pluginmanager.register(RunBroker(Path(config.stash[_SHARED].name)))


def _shared(config: pytest.Config) -> Path | None:
    """The folder that this worker shares with the others; None where there are no workers."""
    folder = getattr(config, "workerinput", {}).get("shared")
    return None if folder is None else Path(folder)


def pytest_configure_node(node: Any) -> None:
    node.workerinput["shared"] = node.config.stash[_SHARED].name


def pytest_handlecrashitem(crashitem: str, report: Any) -> None:
    stacks = (Path(report.node.workerinput["shared"]) / report.node.gateway.id).read_text().splitlines()
    report.longrepr = "\n".join([report.longrepr, *stacks[:_STACK_LINES]])


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scheduling:
    return Scheduling(config, log)


@pytest.fixture(scope="session")
def kafka_broker(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalBroker]:
    """The run's broker. Shared by all tests of all workers: one that stops or kills a broker starts its own."""
    if shared := _shared(pytestconfig):
        yield find_broker(shared)
        return
    with LocalBroker(tmp_path_factory.mktemp("kafka")) as broker:
        yield broker
        broker.kill()  # nobody reads its data again


@pytest.fixture(scope="session")
def kafka(kafka_broker: LocalBroker) -> str:
    """Bootstrap servers of the run's broker."""
    return kafka_broker.bootstrap_servers


@pytest.fixture
def topic_prefix() -> str:
    """A prefix for topics, groups and transactional ids that no other test has."""
    return f"test-{uuid.uuid4().hex[:12]}"


@pytest.fixture(scope="session")
def emulator_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """The run's emulator. Shared by all tests: one that stops or kills an emulator starts its own."""
    with running(tmp_path_factory.mktemp("storage")) as emulator:
        yield emulator
        emulator.kill()  # nobody reads its data again


@pytest.fixture
def emulator(emulator_process: Emulator) -> Iterator[Emulator]:
    """The run's emulator, without fault rules."""
    emulator_process.clear_faults()
    yield emulator_process
    emulator_process.clear_faults()


@pytest.fixture
def storage(emulator: Emulator) -> Iterator[StorageClient]:
    """The emulator's client with the master token."""
    with StorageClient(emulator.url, emulator.master_token) as client:
        yield client
