"""Batches as the API shows them."""

from __future__ import annotations

import json

from batches import SECRET, batch
from letters import some_export

from app.api.batch_answers import show_batch
from app.model.ledger import StagedFile


def test_batch_is_shown_with_its_attempts_and_without_secrets() -> None:
    second = StagedFile("100", 0, 0, SECRET)

    shown = show_batch(batch(some_export("e"), "b1", next_file=second)).model_dump(by_alias=True, exclude_none=True)

    assert shown == {
        "id": "b1",
        "phase": "failed",
        "revision": 1,
        "tableId": "in.c-web.clicks",
        "incremental": True,
        "rows": 7,
        "csvBytes": 70,
        "storedBytes": 30,
        "slices": 2,
        "sources": [{"topicId": "topic-id", "partition": 0, "lane": "live", "first": 5, "last": 11}],
        "openedAt": "2023-11-14T22:13:20.123Z",
        "closedAt": "2023-11-14T22:13:21.123Z",
        "closedBy": "time",
        "fileId": "99",
        "runId": "77",
        "attempts": [
            {"startedAt": "2023-11-14T22:13:22.000Z", "fileId": "99", "refusal": "no"},
            {"startedAt": "2023-11-14T22:13:23.000Z", "fileId": "99", "jobId": "55"},
        ],
        "failures": 2,
        "error": "the table was changed",
        "retryAt": "2023-11-14T22:15:00.000Z",
    }
    assert SECRET.decode() not in json.dumps(shown)
