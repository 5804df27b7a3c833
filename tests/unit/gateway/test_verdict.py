"""Misfits in the words of the Buffer API."""

from __future__ import annotations

import pytest

from app.api.trials import Misfit
from app.gateway.answers import Refusal
from app.gateway.verdict import MAX_MESSAGE_CHARS, MAX_TOLD, verdict
from app.mapping.body import BodyInvalid, parse_body
from app.mapping.body import body_kind as kind_of
from app.mapping.faults import OUT_OF_MEMORY, TOO_LARGE, stuck
from app.model.event import Failure, Reason

JSON = "application/json"


def failed(message: str, column: str | None = "col", reason: Reason = Reason.TEMPLATE_ERROR) -> Failure:
    return Failure(0, reason, column, message)


def misfit(*failures: Failure, export_id: str = "export-1", event: int = 0) -> Misfit:
    return Misfit(export_id, event, failures)


def unread(body: bytes, content_type: str) -> Failure:
    """How mapping fails for a body that it cannot read."""
    with pytest.raises(BodyInvalid) as caught:
        parse_body(body, kind_of(content_type), content_type)
    return failed(str(caught.value), None, Reason.BODY_INVALID)


MISSING = failed('path "col1" not found in the body')
MISSING_TEXT = 'Failed to format record for export "export-1":\n- path "col1" not found in the body.'


@pytest.mark.parametrize(
    ("failures", "content_type", "status", "name", "message"),
    [
        ([MISSING], JSON, 400, "buffer.badRequest", MISSING_TEXT),
        (
            [MISSING, failed('header "X-A" not found'), failed("max stack frames exceeded.")],
            JSON,
            400,
            "buffer.badRequest",
            MISSING_TEXT + '\n- header "X-A" not found.\n- max stack frames exceeded.',
        ),
        (
            [failed("one\ntwo"), MISSING],
            JSON,
            400,
            "buffer.badRequest",
            'Failed to format record for export "export-1":\n- one\n  two.\n- path "col1" not found in the body.',
        ),
        (
            [failed(stuck(1), "slow", Reason.TEMPLATE_TIMEOUT), failed(OUT_OF_MEMORY, None, Reason.TEMPLATE_MEMORY)],
            JSON,
            400,
            "buffer.badRequest",
            'Failed to format record for export "export-1":\n'
            '- column "slow": The template did not come to an end for this event within 1 s of computing.\n'
            "- The template takes more memory, or stack, for this event than a mapping process may have.",
        ),
        (
            [unread(b"x", "text/plain")],
            "text/plain",
            415,
            "buffer.unsupportedMediaType",
            'Unsupported content type "text/plain", '
            "supported types: application/json and application/x-www-form-urlencoded.",
        ),
        (
            [unread(b"x", "a" * 200)],
            "a" * 200,
            415,
            "buffer.unsupportedMediaType",
            f'Unsupported content type "{"a" * 100}…", '
            "supported types: application/json and application/x-www-form-urlencoded.",
        ),
        (
            [unread(b"{", JSON)],
            JSON,
            400,
            "buffer.badRequest",
            "Invalid JSON: unexpected end of data: line 1 column 2 (char 1)",
        ),
        ([unread(b"", "")], "", 400, "buffer.badRequest", "Invalid JSON: the body is empty"),
        (
            [unread(b"a;b", "application/x-www-form-urlencoded")],
            "application/x-www-form-urlencoded",
            400,
            "buffer.badRequest",
            'Invalid form data: ";" does not separate fields, "&" does',
        ),
        (
            [failed(TOO_LARGE, None, Reason.ROW_TOO_LARGE)],
            JSON,
            413,
            "buffer.payloadTooLarge",
            "Size of the mapped csv row exceeded the limit of 1MB.",
        ),
    ],
    ids=["column", "columns", "lines", "time and memory", "type", "long type", "JSON", "empty", "form", "row"],
)
def test_one_export_is_answered_by_its_own_status(
    failures: list[Failure], content_type: str, status: int, name: str, message: str
) -> None:
    assert verdict([misfit(*failures)], content_type, 1) == Refusal(status, name, message)


def test_no_misfits_are_no_refusal() -> None:
    assert verdict([], JSON, 3) is None


def test_several_exports_are_listed() -> None:
    row = misfit(failed(TOO_LARGE, None, Reason.ROW_TOO_LARGE), export_id="export-2")

    assert verdict([misfit(MISSING), row], JSON, 1) == Refusal(
        400,
        "buffer.multipleErrors",
        '- Failed to format record for export "export-1":\n  - path "col1" not found in the body.\n'
        "- Size of the mapped csv row exceeded the limit of 1MB.",
    )


def test_event_of_many_is_named() -> None:
    refusal = verdict([misfit(MISSING, event=2)], JSON, 3)

    assert refusal == Refusal(400, "buffer.badRequest", f"Event at index 2: {MISSING_TEXT}")


def test_several_events_of_one_export_are_listed() -> None:
    broken = failed("Invalid JSON: x", None, Reason.BODY_INVALID)

    assert verdict([misfit(broken), misfit(broken, event=7)], JSON, 8) == Refusal(
        400, "buffer.multipleErrors", "- Event at index 0: Invalid JSON: x.\n- Event at index 7: Invalid JSON: x."
    )


def test_long_list_says_how_many_more_there_are() -> None:
    refusal = verdict([misfit(MISSING, event=event) for event in range(MAX_TOLD + 5)], JSON, 100)

    assert refusal is not None
    lines = refusal.message.splitlines()
    assert lines[-1] == "- And 5 more."
    assert len(lines) == 2 * MAX_TOLD + 1


@pytest.mark.parametrize("count", [1, 2])
def test_message_is_bounded(count: int) -> None:
    many = [failed("x" * 4000)] * 100

    refusal = verdict([misfit(*many)] * count, JSON, 1)

    assert refusal is not None
    assert len(refusal.message) == MAX_MESSAGE_CHARS
