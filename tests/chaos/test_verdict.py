"""The judgement of a chaos run finds whatever is not as promised, and nothing else."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from chaos.exports import CHANGING, RECEIVERS, SHAPES, Fate, event_body
from chaos.harvest import Found, Stored
from chaos.traffic import Book, Sent
from chaos.verdict import judge, judge_extent

NUMBERS = range(1, 43)
ACKNOWLEDGED, NOT = "alpha-1", "alpha-unanswered"
FAILING, FILTERED = "alpha-7", "alpha-4"


class World:
    """A run in which all is as promised; of alpha, one event was not acknowledged and is stored all the same."""

    def __init__(self) -> None:
        self.book = Book()
        self.stored = {receiver: Stored() for receiver in RECEIVERS}
        self.found = {shape.table: Found() for shape in SHAPES}
        for receiver in RECEIVERS:
            for number in NUMBERS:
                self.send(receiver, f"{receiver}-{number}", number, acknowledged=True)
        self.send("alpha", NOT, 1, acknowledged=False)
        self.book.labels = [(2, 5.0), (3, 20.0)]

    def send(self, receiver: str, event_id: str, number: int, *, acknowledged: bool) -> None:
        self.book.events[event_id] = Sent(receiver, number, 10.0, acknowledged)
        self.stored[receiver].events[event_id] = 1
        for shape in SHAPES:
            if shape.receiver == receiver:
                self.make(self.found[shape.table], event_id, number, shape.fate(number))

    def make(self, found: Found, event_id: str, number: int, fate: Fate) -> None:
        if fate is Fate.ROW:
            found.rows[event_id] = 1
            found.bodies[event_id] = event_body(event_id, number).decode()
            found.labels[event_id] = 2
        elif fate is Fate.LETTER:
            found.letters[event_id] = 1

    def judge(self) -> list[str]:
        return judge(self.book, self.stored, self.found)


def test_what_is_as_promised_is_no_problem() -> None:
    assert World().judge() == []


def test_event_that_was_not_acknowledged_may_be_nowhere() -> None:
    world = World()
    del world.stored["alpha"].events[NOT]
    for found in world.found.values():
        del found.rows[NOT]

    assert world.judge() == []


def lose_an_acknowledged_event(world: World) -> None:
    del world.stored["alpha"].events[ACKNOWLEDGED]
    for found in world.found.values():
        del found.rows[ACKNOWLEDGED]


def store_an_event_twice(world: World) -> None:
    world.stored["alpha"].events[NOT] = 2
    for found in world.found.values():
        found.rows[NOT] *= 2


def lose_a_row(world: World) -> None:
    del world.found["alpha-timed"].rows[ACKNOWLEDGED]


def lose_the_row_of_an_event_without_acknowledgement(world: World) -> None:
    del world.found["alpha-timed"].rows[NOT]


def double_a_row(world: World) -> None:
    world.found["alpha-counted"].rows[ACKNOWLEDGED] = 2


def lose_a_letter(world: World) -> None:
    del world.found["alpha-failing"].letters[FAILING]


def double_a_letter(world: World) -> None:
    world.found["alpha-failing"].letters[FAILING] = 2


def make_a_letter_of_a_row(world: World) -> None:
    world.found["alpha-counted"].letters[ACKNOWLEDGED] = 1


def let_through_the_filter(world: World) -> None:
    world.found["alpha-filtered"].rows[FILTERED] = 1


def make_a_row_of_nothing(world: World) -> None:
    world.found["beta-small"].rows["who"] = 1


def store_what_nobody_sent(world: World) -> None:
    world.send("beta", "who", 1, acknowledged=False)
    del world.book.events["who"]


def change_a_body(world: World) -> None:
    world.found["beta-small"].bodies["beta-1"] = "{}"


def map_by_an_old_mapping(world: World) -> None:
    world.found[CHANGING.table].labels["beta-1"] = 1


def expire_a_batch(world: World) -> None:
    world.found["beta-small"].others.append("batch.expired")


@pytest.mark.parametrize(
    "spoil",
    [
        lose_an_acknowledged_event,
        store_an_event_twice,
        lose_a_row,
        lose_the_row_of_an_event_without_acknowledgement,
        double_a_row,
        lose_a_letter,
        double_a_letter,
        make_a_letter_of_a_row,
        let_through_the_filter,
        make_a_row_of_nothing,
        store_what_nobody_sent,
        change_a_body,
        map_by_an_old_mapping,
        expire_a_batch,
    ],
)
def test_what_is_not_as_promised_is_found(spoil: Callable[[World], None]) -> None:
    world = World()

    spoil(world)

    assert world.judge() != []


def test_run_that_had_all_it_is_for_is_no_problem() -> None:
    assert judge_extent(faults=1, acknowledged=1, rows=1, letters=1) == []


@pytest.mark.parametrize(
    ("missing", "word"),
    [("faults", "fault"), ("acknowledged", "acknowledged event"), ("rows", "row"), ("letters", "dead letter")],
)
def test_run_without_something_that_it_is_for_is_a_problem(missing: str, word: str) -> None:
    counts = {"faults": 1, "acknowledged": 1, "rows": 1, "letters": 1}

    problems = judge_extent(**{**counts, missing: 0})

    assert problems == [f"there was no {word}: the run shows nothing"]
