"""Logging of every process: one line per event on stderr, as text or JSON, never a secret.

Lines of the Kafka libraries are limited in rate: an outage makes them say the same hundreds of times.
"""

from __future__ import annotations

import logging
import re
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from urllib.parse import urlsplit

import orjson

from app.settings import Settings

_QUIET_SECONDS = 10.0
_LIMITED = re.compile(r"aiokafka(\.|$)|app\.kafka$")  # the second is librdkafka
_FOREIGN = (
    "aiokafka",
    "faust",
    "asyncio",
    "httpx",
    "httpx2",
    "httpcore",
    "authlib",
    "botocore",
    "boto3",
    "urllib3",
    "s3transfer",
)
_UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_SECRETS = (
    re.compile(r"(?<=/v1/import/)([^/\s]+/[^/\s]+)/[A-Za-z0-9]+"),  # the secret of an import URL
    re.compile(
        r"\b(?<![0-9a-f]-)(?!" + _UUID + r")\d+-\d+-[A-Za-z0-9-]{8,}"
    ),  # Storage tokens, and no part of our uids
)
_SECRET_PROPERTY = re.compile(r"password|secret|token$|user\.info")
_HIDDEN = "***"
_SENDERS_SECRET = re.compile(r"(?i:(?<=bearer )[^\s'\",]+|(?<=whsec_)[a-z0-9+/=_-]+)")  # a token, a key of signatures


def configure_logging(settings: Settings, process: str) -> None:
    """Log to stderr for this process ("mapper"), in the format and from the level of the settings."""
    handler = logging.StreamHandler(sys.stderr)
    hide = [*settings.encryption_key, *(v for k, v in settings.kafka_properties.items() if "password" in k)]
    hide += [v for k, v in settings.schema_registry_properties.items() if _SECRET_PROPERTY.search(k)]
    hide += [secret for secret in [urlsplit(settings.schema_registry_url or "").password] if secret]
    handler.setFormatter(LineFormatter(process, hide, json=settings.log_format == "json"))
    handler.addFilter(RateLimit(_LIMITED, _QUIET_SECONDS))
    level = settings.log_level.upper()
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name in _FOREIGN:
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLevelName(level)))
    logging.getLogger("mode").setLevel(logging.ERROR)  # it warns of each timer that is late on a busy machine


class LineFormatter(logging.Formatter):
    """Makes one line of a record, its exception included, with `secrets` and what looks like one hidden."""

    def __init__(self, process: str, secrets: Sequence[str], *, json: bool) -> None:
        super().__init__()
        self._process, self._json = process, json
        self._secrets = [secret for secret in secrets if secret]

    def format(self, record: logging.LogRecord) -> str:
        when = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        message = self._clean(record.getMessage())
        trace = self._clean(self.formatException(record.exc_info)) if record.exc_info else None
        if self._json:
            line = {"time": when, "level": record.levelname.lower(), "process": self._process, "logger": record.name}
            return orjson.dumps({**line, "message": message, **({"exception": trace} if trace else {})}).decode()
        text = f"{when} {record.levelname:<8} {self._process} {record.name}: {message}"
        return (text if trace is None else f"{text} | {trace}").replace("\n", " | ")

    def _clean(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, _HIDDEN)
        text = _SECRETS[0].sub(rf"\1/{_HIDDEN}", text)
        return _SENDERS_SECRET.sub(_HIDDEN, _SECRETS[1].sub(_HIDDEN, text))


class RateLimit(logging.Filter):
    """Lets a line of these loggers pass only if the same one (before its arguments) did not within `seconds`."""

    def __init__(self, names: re.Pattern[str], seconds: float) -> None:
        super().__init__()
        self._names, self._seconds = names, seconds
        self._passed: dict[tuple[str, int, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if not self._names.match(record.name):
            return True
        key, now = (record.name, record.levelno, str(record.msg)), time.monotonic()
        if now - self._passed.get(key, float("-inf")) < self._seconds:
            return False
        if len(self._passed) > 1000:
            self._passed.clear()
        self._passed[key] = now
        return True
