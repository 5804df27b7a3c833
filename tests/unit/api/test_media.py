"""What a Content-Type says of a body."""

from __future__ import annotations

import pytest

from app.api.media import BodyKind, body_kind


@pytest.mark.parametrize(
    ("content_type", "kind"),
    [
        (None, BodyKind.UNSAID),
        (b"application/json", BodyKind.JSON),
        (b"Application/JSON; charset=utf-8", BodyKind.JSON),
        (b"application/foo.api+json", BodyKind.JSON),
        (b"application/x-ndjson", BodyKind.NDJSON),
        (b"application/jsonl;charset=utf-8", BodyKind.NDJSON),
        (b"application/cloudevents+json; charset=utf-8", BodyKind.CLOUDEVENT),
        (b"application/CloudEvents-batch+json", BodyKind.CLOUDEVENTS),
        (b"application/cloudevents+avro", BodyKind.UNKNOWN_CLOUDEVENT),
        (b"application/cloudevents-batch+xml", BodyKind.UNKNOWN_CLOUDEVENT),
        (b"application/cloudevents", BodyKind.UNKNOWN_CLOUDEVENT),
        (b"application/cloudeventsx", BodyKind.OTHER),
        (b"text/json", BodyKind.OTHER),
        (b"application/jsonx", BodyKind.OTHER),
        (b"", BodyKind.OTHER),
        (b"\xff\xfe", BodyKind.OTHER),
    ],
)
def test_content_type_says_how_to_read_the_body(content_type: bytes | None, kind: BodyKind) -> None:
    assert body_kind(content_type) is kind
