"""One line per event, no secret in it, and no flood."""

from __future__ import annotations

import io
import json
import logging
import re
import sys
from collections.abc import Iterator

import pytest

from app.logs import LineFormatter, RateLimit, configure_logging
from app.settings import Settings


def record(message: str, *arguments: object, name: str = "app.mapper", failed: bool = False) -> logging.LogRecord:
    info = None
    if failed:
        try:
            raise ValueError("first line\nsecond line")
        except ValueError:
            info = sys.exc_info()
    return logging.LogRecord(name, logging.WARNING, __file__, 1, message, arguments, info)


def test_text_line_says_when_what_and_who() -> None:
    line = LineFormatter("mapper", [], json=False).format(record("%d chunks", 3))

    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+\+00:00 WARNING  mapper app\.mapper: 3 chunks", line)


@pytest.mark.parametrize("as_json", [True, False])
def test_exception_stays_on_the_line_of_its_event(as_json: bool) -> None:
    line = LineFormatter("mapper", [], json=as_json).format(record("it failed", failed=True))

    assert "\n" not in line
    assert "it failed" in line
    assert "second line" in line


def test_json_line_has_the_fields_that_a_collector_wants() -> None:
    line = json.loads(LineFormatter("sink", [], json=True).format(record("a\nb")))

    assert line.pop("time")
    assert line == {"level": "warning", "process": "sink", "logger": "app.mapper", "message": "a\nb"}


@pytest.mark.parametrize(
    ("message", "secret"),
    [
        ("key is Zm9v+key=", "Zm9v+key="),
        ("POST /v1/import/1234/flights/" + "a1B2" * 12, "a1B2" * 12),
        ("{'Authorization': 'Bearer " + "a1B2" * 12 + "'}", "a1B2" * 12),
        ("secret whsec_" + "a1/+" * 8 + "== is wrong", "a1/+"),
        ("token 1234-567-abcdefghijklmnop refused", "abcdefghijklmnop"),
        ("token 1234-1-local-master-token refused", "local-master-token"),
    ],
)
@pytest.mark.parametrize("as_json", [True, False])
def test_secrets_never_appear(message: str, secret: str, as_json: bool) -> None:
    line = LineFormatter("gateway", ["Zm9v+key="], json=as_json).format(record(message))

    assert secret not in line
    assert "***" in line


@pytest.mark.parametrize("uid", ["01a21644-0712-7105-9a1b-5e1501b87848", "01021644-0712-7105-9a1b-5e1501b87848"])
def test_uid_whose_groups_look_like_a_token_is_shown(uid: str) -> None:
    line = LineFormatter("mapper", [], json=False).format(record(f"export {uid}/1 rests"))

    assert f"export {uid}/1 rests" in line


def test_flood_of_the_kafka_libraries_is_one_line() -> None:
    limit = RateLimit(re.compile("aiokafka"), 60)

    passed = [limit.filter(record("node %s gone", number, name="aiokafka.conn")) for number in range(100)]
    other = limit.filter(record("another thing", name="aiokafka.conn"))
    ours = [limit.filter(record("node %s gone", number)) for number in range(3)]

    assert passed == [True] + [False] * 99
    assert other
    assert ours == [True] * 3


@pytest.fixture
def root_logger() -> Iterator[logging.Logger]:
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    yield root
    root.handlers[:] = handlers
    root.setLevel(level)


def test_configured_process_logs_in_its_format(root_logger: logging.Logger, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    for name, value in {"SECURITY_PROTOCOL": "SASL_SSL", "SASL_MECHANISM": "PLAIN", "SASL_USERNAME": "me"}.items():
        monkeypatch.setenv(f"STREAMS_KAFKA_{name}", value)
    monkeypatch.setenv("STREAMS_KAFKA_SASL_PASSWORD", "hush-hush")

    configure_logging(Settings(log_format="json", log_level="warning"), "control")
    logging.getLogger("app.control").info("unimportant")
    logging.getLogger("app.control").warning("login with %s", "hush-hush")

    (line,) = stream.getvalue().splitlines()
    assert json.loads(line)["message"] == "login with ***"
    assert json.loads(line)["process"] == "control"
