"""What a dry run shows of rows, and how much of it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from app.api.outcomes import MAX_VALUE_BYTES, MAX_VALUES_BYTES, Row, read_row, show_outcomes, value_limit
from app.api.trials import Outcome
from app.mapping.csv import row_values
from app.mapping.table import text_array, write_csv
from app.model.event import Failure, Reason
from app.model.receiver import Column, ColumnType, Mapping

MAPPING = Mapping("in.c-b.t", (Column("a", ColumnType.BODY), Column("b", ColumnType.BODY)))
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


@given(st.lists(TEXTS | st.text('",\n\\'), min_size=1, max_size=5))
def test_values_of_a_row_are_those_that_were_written(values: list[str]) -> None:
    csv = write_csv([text_array([value]) for value in values])

    assert [value.decode() for value in row_values(csv)] == values


@given(TEXTS, st.integers(0, 20))
def test_value_is_cut_between_characters_and_keeps_its_size(text: str, most: int) -> None:
    row = read_row(write_csv([text_array([text])]), most)

    (value,), size = row.values, len(text.encode())
    assert text.startswith(value)
    assert most - 4 < len(value.encode()) <= most or size <= most
    assert row.sizes == [size]


def test_answer_for_many_values_has_room_for_less_of_each() -> None:
    assert value_limit(1, 1) == MAX_VALUE_BYTES
    assert value_limit(100, 100) * 100 * 100 <= MAX_VALUES_BYTES
    assert value_limit(0, 5) == MAX_VALUE_BYTES


def test_each_event_has_its_row_its_errors_or_is_skipped() -> None:
    outcomes: list[Outcome[Row]] = [
        Outcome(Row(12, ["1", "2"], [1, 900])),
        Outcome(failures=[Failure(1, Reason.TEMPLATE_ERROR, "a", "no"), Failure(1, Reason.TEMPLATE_ERROR, "b", "x")]),
        Outcome(),
    ]

    shown = show_outcomes(MAPPING, outcomes).model_dump(by_alias=True, exclude_none=True)

    assert shown == {
        "events": [
            {
                "index": 0,
                "columns": [{"name": "a", "value": "1"}, {"name": "b", "value": "2", "valueBytes": 900}],
                "csvBytes": 12,
            },
            {
                "index": 1,
                "errors": [
                    {"column": "a", "reason": "template.error", "message": "no"},
                    {"column": "b", "reason": "template.error", "message": "x"},
                ],
            },
            {"index": 2, "skipped": True},
        ],
        "totals": {"events": 3, "rows": 1, "errors": 1, "skipped": 1, "csvBytes": 12},
    }
