"""An operators' cluster: TLS with client certificates, SCRAM, ACLs, and topics that are theirs; with real processes."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from secure_kafka import Decision, SecureKafka, entry_of
from secure_stack import PROCESSES, SecureStack, Stuck
from typer.testing import CliRunner, Result

from app.cli import app
from app.control.topics import delete_topic, ensure_receiver_topic
from app.kafka.acls import Acl, Operation, Resource, acls
from app.kafka.client import connect_admin
from app.kafka.plan import Process, describe_topics, ensure_topics, topics_of
from app.local.storage import Emulator
from app.model.errors import KafkaUnavailable
from app.settings import Settings, load_settings


@pytest.fixture(scope="module")
def secure_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureKafka]:
    with SecureKafka(tmp_path_factory.mktemp("secure-kafka")) as kafka:
        yield kafka


@pytest.fixture
def stack(secure_kafka: SecureKafka, emulator: Emulator, tmp_path: Path) -> Iterator[SecureStack]:
    """Users with what they may do, and nothing started."""
    stack = SecureStack(secure_kafka, emulator, tmp_path, f"t{uuid.uuid4().hex[:8]}")
    secure_kafka.add_users([stack.user(process) for process in Process])
    for process in Process:
        secure_kafka.allow(stack.user(process), allowed(stack, process))
    yield stack
    stack.stop()


def allowed(stack: SecureStack, process: Process) -> list[Acl]:
    """The command line makes the topics here, as the operators' tool would."""
    topics = "auto" if process is Process.CLI else "managed"
    settings = Settings(_env_file=None, topic_prefix=stack.prefix, topics=topics)  # type: ignore[call-arg,arg-type]  # as from the environment
    return acls(settings, process)


def streams(stack: SecureStack, *arguments: str, topics: str = "auto") -> Result:
    """`streams topics` as its own user; a dict of the environment and not ours, so that tests stay apart."""
    environment = {**stack.environment(Process.CLI), "STREAMS_TOPICS": topics}
    return CliRunner().invoke(app, ["topics", *arguments], env=environment)


async def operators(stack: SecureStack, *arguments: str) -> None:
    result = await asyncio.to_thread(streams, stack, *arguments)
    if result.exit_code:
        raise Stuck(f"streams topics {' '.join(arguments)}", f"{result.output} {result.exception}")


def unused(stack: SecureStack) -> set[tuple[str, tuple[str, str, str, str]]]:
    """What was listed and that nothing stood on yet."""
    decisions = [decision for decision in stack.kafka.decisions(f"{stack.prefix}-") if decision.allowed]
    used = {(d.who, d.entry) for d in decisions if d.entry is not None and counts(d)}
    wanted = {
        (f"User:{stack.user(process)}", entry_of(acl))
        for process in Process
        for acl in allowed(stack, process)
        if not by_chance(process, acl)
    }
    return {one for one in wanted if one not in used}


def by_chance(process: Process, acl: Acl) -> bool:
    """A command may be over before librdkafka has asked for the coordinator of its group."""
    return process is Process.CLI and acl.resource is Resource.GROUP


def counts(decision: Decision) -> bool:
    """Reading or writing that was only used to describe is not used, but for what a mapper writes in trouble alone."""
    assert decision.entry is not None
    return decision.operation == decision.entry[3] or decision.entry[1].endswith(".commands")


def refused(stack: SecureStack) -> list[Decision]:
    return [decision for decision in stack.kafka.decisions(f"{stack.prefix}-") if not decision.allowed]


async def do_everything(stack: SecureStack) -> None:
    """A receiver waits for its topic, then all is used that needs Kafka. Raises Stuck when anything fails."""
    await operators(stack, "apply")
    stack.start(*PROCESSES)
    await stack.until_ready()
    task = await stack.begin_receiver("a")

    async def waits() -> bool:
        found = await stack.call("GET", task["url"])
        return "--receiver 1234/a` prints" in found.get("waitsFor", "")

    await stack.until(waits, "a task that waits for its topic")
    await operators(stack, "apply", "--receiver", "1234/a")
    await stack.finish(task)
    await stack.use_everything("a")
    await operators(stack, "check")


async def test_listed_acls_suffice_for_everything_and_all_are_used(stack: SecureStack) -> None:
    """Through TLS, client certificates and SCRAM, Faust's consumers too."""
    await do_everything(stack)

    await stack.until(lambda: unused(stack) == set(), "the use of all that is listed")
    assert refused(stack) == []


LISTED = [
    (process, number, f"{process} {acl.operation} {acl.resource} {acl.name.removeprefix('streams')}")
    for process in Process
    for number, acl in enumerate(
        acls(Settings(_env_file=None, topics="auto" if process is Process.CLI else "managed"), process)  # type: ignore[call-arg]
    )
]
NOTHING = "nothing"
FIRST_TO_FAIL = {
    "streams topics apply": ["cli Describe topic .", "cli Create topic ."],
    "streams topics check": ["cli Read topic .control", "cli DescribeConfigs topic ."],
    "gateway is ready": [
        *("gateway Read topic .control", "gateway Write topic .commands", "gateway Read topic .ledger"),
        *("gateway Read topic .dead-letters", "gateway DescribeConfigs topic ."),
    ],
    "control is ready": [
        *("control Describe topic .", "control DescribeConfigs topic .", "control Read group -control"),
        "control Write transactional-id -control-",
    ],
    "mapper is ready": [
        *("mapper Read topic .control", "mapper Write topic .commands", "mapper Write topic .rows"),
        *("mapper Read topic .dead-letters", "mapper DescribeConfigs topic .", "mapper Read group -mapper"),
    ],
    "sink is ready": [
        *("sink Read topic .control", "sink Write topic .commands", "sink Read topic .rows"),
        *("sink Write topic .dead-letters", "sink DescribeConfigs topic .", "sink Read group -sink"),
    ],
    "a task that waits for its topic": [
        *("control Read topic .control", "control Write topic .control", "control Read topic .commands"),
    ],
    "events accepted": ["gateway Write topic .events."],
    "four rows": [
        *("mapper Read topic .events.", "sink Read topic .ledger", "sink Write topic .ledger"),
        "sink Write transactional-id -sink-",
    ],
    "POST /test": ["gateway Read topic .events."],
    "how far the replay is": ["gateway Describe group -mapper-replay-"],
    "the end of all replays": ["mapper Read group -mapper-replay-"],
    # How far a replay was is forgotten by Kafka itself, if later. For the coordinator of a group that is only named
    # librdkafka looks again and again, and reading needs none.
    NOTHING: ["control Delete group -mapper-replay-", *(f"{process} Describe group -reader" for process in Process)],
}
"""By what cannot be done, the lines without which it cannot. Most are looked at when a process starts."""
WITHOUT = {line: what for what, lines in FIRST_TO_FAIL.items() for line in lines}


def test_it_is_said_of_each_line_what_fails_without_it() -> None:
    assert [line for _, _, line in LISTED if line not in WITHOUT] == []
    assert len(LISTED) == len(WITHOUT)


@pytest.mark.long
@pytest.mark.parametrize(("process", "number", "line"), [pytest.param(*one, id=one[2]) for one in LISTED])
async def test_without_any_one_that_fails_for_which_it_is(
    stack: SecureStack, process: Process, number: int, line: str
) -> None:
    taken = allowed(stack, process)[number]
    stack.kafka.forbid(stack.user(process), taken)
    stack.hopeless = WITHOUT[line]

    failed = NOTHING
    try:
        await do_everything(stack)
    except Stuck as stuck:
        failed = stuck.what

    stack.stop()
    assert failed == WITHOUT[line]
    if not by_chance(process, taken):
        await stack.until(lambda: refused(stack) != [], "a refusal")
    assert [one for one in refused(stack) if not is_about(one, stack.user(process), taken)] == []


def is_about(decision: Decision, user: str, acl: Acl) -> bool:
    """Whether a user is refused something with what the line is about."""
    kind, _, name = decision.resource.split(":", 2)
    same = kind.upper() == acl.resource.name.replace("_", "")
    return decision.who == f"User:{user}" and same and name.startswith(acl.name)


async def test_control_may_make_and_delete_topics_where_they_are_not_the_operators(
    stack: SecureStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_user(stack, Process.CONTROL, monkeypatch)
    settings = load_settings(None).model_copy(update={"topics": "auto"})
    listed = set(acls(settings, Process.CONTROL)) - set(allowed(stack, Process.CONTROL))
    stack.kafka.allow(stack.user(Process.CONTROL), listed)
    admin, name = connect_admin(settings), f"{stack.prefix}.events.1234.a"

    await asyncio.to_thread(ensure_topics, admin, settings, topics_of(settings, Process.CONTROL))
    made = await ensure_receiver_topic(admin, settings, name)
    await delete_topic(admin, name, made.topic_id)

    assert await asyncio.to_thread(describe_topics, admin, [name]) == {}
    assert {acl.operation for acl in listed} == {Operation.CREATE, Operation.DELETE}
    assert refused(stack) == []


def as_user(stack: SecureStack, process: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in stack.environment(process).items():
        monkeypatch.setenv(name, value)


def test_wrong_password_is_said(stack: SecureStack, monkeypatch: pytest.MonkeyPatch) -> None:
    as_user(stack, Process.CLI, monkeypatch)
    monkeypatch.setenv("STREAMS_KAFKA_SASL_PASSWORD", "another")
    monkeypatch.setattr("app.kafka.client._PROBE_SECONDS", 60.0)  # a broker's first handshake may take long

    with pytest.raises(KafkaUnavailable, match=r"cannot be spoken to \(.*invalid credentials"):
        connect_admin(load_settings(None), timeout_seconds=2)
