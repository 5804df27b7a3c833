"""The list of ACLs holds nothing twice; that it suffices, and that all of it is used, is shown on a real broker."""

from __future__ import annotations

import pytest

from app.kafka.acls import Acl, Operation, Resource, acls
from app.kafka.plan import Process
from app.model.errors import ConfigurationError
from app.settings import Settings

AUTO = Settings(_env_file=None)  # type: ignore[call-arg]  # pydantic-settings' own argument
MANAGED = AUTO.model_copy(update={"topics": "managed"})
EXISTING = ["orders"]
DESCRIBING = {Operation.READ, Operation.WRITE, Operation.DELETE}
"""What Kafka lets describe too."""


def covers(one: Acl, other: Acl) -> bool:
    """Whether whoever has the first needs the second no more."""
    reaches = other.name.startswith(one.name) if one.prefixed else (one.name, False) == (other.name, other.prefixed)
    implied = other.operation is Operation.DESCRIBE and one.operation in DESCRIBING
    return one.resource is other.resource and reaches and (one.operation is other.operation or implied)


@pytest.mark.parametrize("process", Process)
@pytest.mark.parametrize("settings", [AUTO, MANAGED], ids=["auto", "managed"])
def test_nothing_that_is_allowed_follows_from_the_rest(process: Process, settings: Settings) -> None:
    allowed = acls(settings, process, EXISTING)

    assert [(one, other) for one in allowed for other in allowed if one is not other and covers(one, other)] == []


@pytest.mark.parametrize("process", Process)
def test_nobody_may_make_or_delete_topics_that_are_the_operators(process: Process) -> None:
    allowed = [acl for acl in acls(MANAGED, process) if acl.resource is Resource.TOPIC]

    assert {acl.operation for acl in allowed}.isdisjoint({Operation.CREATE, Operation.DELETE})


def test_topics_of_others_are_read_and_nothing_else() -> None:
    found = {(p, acl.operation) for p in Process for acl in acls(AUTO, p, EXISTING) if acl.name == "orders"}

    assert found == {
        (Process.GATEWAY, Operation.READ),
        (Process.CONTROL, Operation.DESCRIBE),
        (Process.MAPPER, Operation.READ),
    }


@pytest.mark.parametrize("process", Process)
def test_nobody_may_touch_what_has_another_prefix(process: Process) -> None:
    assert all(acl.name.startswith(("streams.", "streams-")) for acl in acls(AUTO, process))


@pytest.mark.parametrize(
    ("existing", "name", "prefixed"),
    [
        ("shop.*", "shop.", True),
        ("shop.?", "shop.", True),
        ("shop.*.eu", "shop.", True),
        ("shop.**", "shop.", True),
        ("*", "*", False),  # Kafka's own word for all
        ("shop.", "shop.", False),
    ],
)
def test_pattern_of_topics_of_others_is_what_kafka_has_for_it(existing: str, name: str, prefixed: bool) -> None:
    found = [acl for acl in acls(AUTO, Process.MAPPER, [existing]) if acl.name in ("shop.", "*")]

    assert [(acl.name, acl.prefixed, acl.operation) for acl in found] == [(name, prefixed, Operation.READ)]


def test_prefix_that_allows_more_than_the_pattern_says_so() -> None:
    (found,) = [acl for acl in acls(AUTO, Process.CONTROL, ["shop.?"]) if acl.name == "shop."]

    assert found.why == "see where it ends (more than shop.?: Kafka knows prefixes alone)"


@pytest.mark.parametrize("existing", ["*.orders", "?hop", ""])
def test_pattern_without_a_prefix_is_refused(existing: str) -> None:
    with pytest.raises(ConfigurationError, match="has no beginning"):
        acls(AUTO, Process.MAPPER, [existing])


def test_patterns_with_the_same_prefix_are_allowed_once() -> None:
    found = [acl for acl in acls(AUTO, Process.MAPPER, ["shop.*", "shop.?", "shop.*"]) if acl.name == "shop."]

    assert len(found) == 1
