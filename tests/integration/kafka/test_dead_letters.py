"""Pages of an export's dead letters, from a real topic that other exports' letters are in too."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import pytest
from letters import letter, publish, some_export

from app.kafka.client import connect_admin
from app.kafka.dead_letters import DeadLetterReader, LetterPage, Selection
from app.kafka.plan import create_topics, system_topics
from app.local.ports import free_port
from app.model.errors import KafkaUnavailable
from app.model.event import Reason
from app.model.receiver import Export
from app.settings import Settings


@pytest.fixture(scope="module")
def settings(kafka: str) -> Settings:
    values = {"kafka_bootstrap_servers": kafka, "topic_prefix": f"test-{uuid.uuid4().hex[:12]}"}
    settings = Settings(_env_file=None, dead_letter_partitions=3, **values)  # type: ignore[arg-type,call-arg]
    create_topics(connect_admin(settings), system_topics(settings))
    return settings


@pytest.fixture
def export() -> Export:
    """One that no other test has."""
    return some_export(f"e-{uuid.uuid4().hex[:12]}")


def partition_of(settings: Settings, export: Export) -> int:
    """Where a reader looks for its letters."""
    return DeadLetterReader(settings).page(export, Selection(1)).partition


def neighbour(settings: Settings, export: Export) -> Export:
    """Another export, whose letters are in the same partition."""
    others = (some_export(f"other-{number}", uid="other") for number in range(100))
    wanted = partition_of(settings, export)
    return next(other for other in others if partition_of(settings, other) == wanted)


def pages(settings: Settings, export: Export, selection: Selection) -> list[LetterPage]:
    reader, found = DeadLetterReader(settings), []
    page = reader.page(export, selection)
    while page.before is not None:
        found.append(page)
        following = Selection(selection.limit, selection.reason, selection.since_ms, selection.until_ms, page.before)
        page = reader.page(export, following, page.partition)
    return [*found, page]


def offsets(found: list[LetterPage]) -> list[int]:
    """Source offsets of the letters, by which tests know them."""
    return [one.letter.event.offset for page in found for one in page.letters]


def test_pages_have_each_letter_once_newest_first_and_none_of_others(settings: Settings, export: Export) -> None:
    other = neighbour(settings, export)
    mixed = [[letter(export, number), letter(other, number)] for number in range(25)]
    publish(settings, *mixed, [letter(other, number) for number in range(100, 400)])

    found = pages(settings, export, Selection(10))

    assert [len(page.letters) for page in found if page.letters] == [10, 10, 5]
    assert offsets(found) == list(reversed(range(25)))


def test_producer_and_reader_agree_where_letters_are_whatever_the_settings_say(settings: Settings) -> None:
    exports = [some_export(f"where-{uuid.uuid4().hex}") for _ in range(8)]
    others = settings.model_copy(update={"kafka_properties": {"partitioner": "murmur2_random"}})

    publish(others, [letter(export, 7) for export in exports])

    assert [offsets(pages(settings, export, Selection(1))) for export in exports] == [[7]] * 8


def test_export_made_again_does_not_show_its_predecessors_letters(settings: Settings, export: Export) -> None:
    before = some_export(export.export_id, uid="before")
    publish(settings, [letter(before, 1)], [letter(export, 2)])

    assert offsets(pages(settings, export, Selection(10))) == [2]


def test_letter_of_the_predecessor_is_not_found(settings: Settings, export: Export) -> None:
    before = some_export(export.export_id, uid="before")
    publish(settings, [letter(before, 1)])
    reader = DeadLetterReader(settings)
    (theirs,) = reader.page(before, Selection(1)).letters

    assert reader.find(before, theirs.partition, theirs.offset) == theirs
    assert reader.find(export, theirs.partition, theirs.offset) is None


def test_letters_are_chosen_by_reason(settings: Settings, export: Export) -> None:
    publish(settings, [letter(export, 1), letter(export, 2, reason=Reason.BODY_INVALID, column=None)])

    assert offsets(pages(settings, export, Selection(10, Reason.BODY_INVALID))) == [2]


def test_letters_are_chosen_by_the_time_of_publication(settings: Settings, export: Export) -> None:
    for number in range(3):
        publish(settings, [letter(export, number)])
    last, middle, first = pages(settings, export, Selection(10))[0].letters
    assert first.published_ms < middle.published_ms < last.published_ms

    def between(since: int | None, until: int | None) -> list[int]:
        return offsets(pages(settings, export, Selection(10, since_ms=since, until_ms=until)))

    assert between(middle.published_ms, None) == [2, 1]
    assert between(None, middle.published_ms) == [0]
    assert between(middle.published_ms, last.published_ms) == [1]
    assert between(last.published_ms + 1, None) == between(None, -1) == []


def test_letters_too_large_for_one_block_are_all_found(settings: Settings, export: Export) -> None:
    large = [[letter(export, number, body=bytes(2 << 20))] for number in range(12)]
    publish(settings, *large, [letter(export, number) for number in range(200, 220)])

    assert offsets(pages(settings, export, Selection(100))) == [*reversed(range(200, 220)), *reversed(range(12))]


def test_letters_of_an_aborted_transaction_are_not_there(settings: Settings, export: Export) -> None:
    publish(settings, [letter(export, 1)])
    with pytest.raises(KafkaUnavailable):
        publish(settings, [letter(export, 2), letter(export, 3, body=bytes(5 << 20))])  # larger than a message may be

    assert offsets(pages(settings, export, Selection(10))) == [1]


@pytest.mark.parametrize("bound", [{"dead_letter_read_records": 20}, {"dead_letter_read_bytes": 1 << 20}])
def test_page_ends_at_the_bound_and_the_next_goes_on(settings: Settings, export: Export, bound: dict[str, int]) -> None:
    other = neighbour(settings, export)
    others = [letter(other, number, body=b"x" * 20_000) for number in range(150)]
    publish(settings, [letter(export, 1)], others, [letter(export, 2)])

    found = pages(settings.model_copy(update=bound), export, Selection(10))

    assert offsets(found[:1]) == [2]
    assert offsets(found[1:]) == [1]


def test_page_of_another_partition_is_refused(settings: Settings, export: Export) -> None:
    reader, partition = DeadLetterReader(settings), partition_of(settings, export)

    with pytest.raises(ValueError, match="are in partition"):
        reader.page(export, Selection(1), partition + 1)


@pytest.mark.parametrize(
    "read",
    [lambda reader, export: reader.page(export, Selection(1)), lambda reader, export: reader.find(export, 0, 0)],
    ids=["page", "find"],
)
def test_kafka_that_is_away_is_said(export: Export, read: Callable[[DeadLetterReader, Export], object]) -> None:
    nobody = f"127.0.0.1:{free_port()}"
    settings = Settings(_env_file=None, kafka_bootstrap_servers=nobody, dead_letter_read_seconds=0.2)  # type: ignore[call-arg]

    with pytest.raises(KafkaUnavailable):
        read(DeadLetterReader(settings), export)
