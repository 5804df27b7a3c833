"""What the API shows, and the words of its errors."""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.api.answers import iso_time, show_receiver, show_task
from app.api.complaints import first_complaints, path_of
from app.api.errors import sentence
from app.model.cipher import Cipher
from app.model.receiver import Receiver
from app.model.task import Task, TaskStatus, TaskType

TASK = Task("1", "r/receiver.create/x", TaskType.RECEIVER_CREATE, TaskStatus.PROCESSING, 1_700_000_000_123, "r")


@given(st.integers(0, 4_000_000_000_000))
def test_time_has_three_digits_and_says_the_same_moment(milliseconds: int) -> None:
    text = iso_time(milliseconds)

    assert len(text) == len("2023-11-14T22:13:20.123Z")
    moment = datetime.fromisoformat(text)
    assert int(moment.replace(microsecond=0).timestamp()) * 1000 + moment.microsecond // 1000 == milliseconds


def test_running_task_shows_no_end() -> None:
    assert show_task(TASK, "http://here").model_dump(by_alias=True, exclude_none=True) == {
        "id": "r/receiver.create/x",
        "type": "receiver.create",
        "url": "http://here/v1/tasks/r/receiver.create/x",
        "status": "processing",
        "isFinished": False,
        "createdAt": "2023-11-14T22:13:20.123Z",
    }


def test_clock_that_went_back_gives_no_negative_duration() -> None:
    task = Task(**{**TASK.__dict__, "status": TaskStatus.ERROR, "finished_ms": 1_700_000_000_000, "error": "no"})

    assert show_task(task, "").duration == 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("column is bad", "Column is bad."),
        ('no "x"', 'No "x".'),
        ('"name" is missing', '"name" is missing.'),
        ("got (len=41)", "Got (len=41)"),
        ("Done.", "Done."),
        ("", ""),
    ],
)
def test_messages_are_sentences(text: str, expected: str) -> None:
    assert sentence(text) == expected


def test_complaints_about_the_header_wait_for_the_body() -> None:
    header = {"type": "missing", "loc": ("header", "X-StorageApi-Token"), "input": None}
    body = {"type": "missing", "loc": ("body", "name"), "input": {}}

    assert [c.message for c in first_complaints([header, body])] == ['"name" is missing from body']
    assert [c.name for c in first_complaints([header])] == ["buffer.missingField"]


def test_long_value_is_not_repeated_whole() -> None:
    error = {"type": "string_too_long", "loc": ("body", "name"), "input": "x" * 5000, "ctx": {"max_length": 40}}

    (complaint,) = first_complaints([error])

    assert len(complaint.message) < 250
    assert complaint.message.endswith('…" (len=5000)')


def test_path_of_a_value_reads_like_code() -> None:
    assert path_of(("body", "exports", 0, "mapping", "tableId")) == "body.exports[0].mapping.tableId"


def test_receiver_whose_secret_cannot_be_decrypted_is_shown_with_the_reason_instead_of_its_url() -> None:
    secret = Cipher([Cipher.new_key()]).encrypt("secret")
    receiver = Receiver("uid", "1", "clicks", "Clicks", "", secret, "streams.events.1.clicks", "id", 1, 0)

    answer = show_receiver(receiver, [], "http://here", Cipher([Cipher.new_key()]).decrypt)

    assert answer.model_dump(by_alias=True, exclude_none=True) == {
        "id": "clicks",
        "problem": "A secret in the control log was encrypted with a key that STREAMS_ENCRYPTION_KEY does not list.",
        "name": "Clicks",
        "description": "",
        "exports": [],
    }


def test_receiver_of_a_topic_of_others_has_no_url() -> None:
    receiver = Receiver("uid", "1", "clicks", "Clicks", "", b"", "orders", "id", 1, 0)

    answer = show_receiver(receiver, [], "http://here", Cipher([Cipher.new_key()]).decrypt)

    assert answer.model_dump(by_alias=True, exclude_none=True) == {
        "id": "clicks",
        "name": "Clicks",
        "description": "",
        "source": {"topic": "orders"},
        "exports": [],
    }
