"""An operators' cluster: TLS with client certificates, SCRAM, ACLs, and topics that are theirs; with real processes."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from secure_kafka import Decision, SecureKafka, entry_of
from secure_stack import PROCESSES, SecureStack
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
    assert result.exit_code == 0, (result.output, result.exception)


def unused(stack: SecureStack) -> set[tuple[str, tuple[str, str, str, str]]]:
    """What was listed and that nothing stood on yet."""
    decisions = [decision for decision in stack.kafka.decisions() if decision.allowed]
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
    return [d for d in stack.kafka.decisions() if not d.allowed and d.who.startswith(f"User:{stack.prefix}-")]


async def do_everything(stack: SecureStack) -> None:
    """A receiver waits for its topic, then all is used that needs Kafka. Raises AssertionError when anything fails."""
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
    (process, number, acl)
    for process in Process
    for number, acl in enumerate(
        acls(Settings(_env_file=None, topics="auto" if process is Process.CLI else "managed"), process)  # type: ignore[call-arg]
    )
]
MAY_GO_UNNOTICED = {
    (Process.CONTROL, Operation.DELETE, "replay-"),
    *((process, Operation.DESCRIBE, "reader") for process in (Process.CONTROL, Process.MAPPER, Process.SINK)),
}
"""What Kafka refuses without always harming anybody: it forgets how far a replay was by itself, if later; and only who
reads at the moment at which it refuses to name a coordinator meets that as an error.
"""


@pytest.mark.long
@pytest.mark.parametrize(
    ("process", "number"),
    [
        pytest.param(process, number, id=f"{process}-{acl.resource}-{acl.name}-{acl.operation}")
        for process, number, acl in LISTED
        if not by_chance(process, acl)
    ],
)
async def test_without_any_one_something_fails(stack: SecureStack, process: Process, number: int) -> None:
    stack.deadline_seconds = 45
    taken = allowed(stack, process)[number]
    stack.kafka.forbid(stack.user(process), taken)

    unnoticed = (process, taken.operation, taken.name.removeprefix(f"{stack.prefix}-").removeprefix("mapper-"))
    with suppress(AssertionError) if unnoticed in MAY_GO_UNNOTICED else pytest.raises(AssertionError):
        await do_everything(stack)

    await stack.until(lambda: refused(stack) != [], "a refusal")
    assert {decision.who for decision in refused(stack)} == {f"User:{stack.user(process)}"}


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
