"""Slack's test of a URL: a signed request that asks for its `challenge` back, before any event is sent there. Pure.

Source: docs.slack.dev, Events API, `url_verification`.
"""

from __future__ import annotations

import orjson

_MARK = b'"url_verification"'
MAX_BYTES = 4096
"""Slack's own have some 150."""


def challenge_in(body: bytes) -> str | None:
    """The challenge to give back; None for all other bodies.

    >>> challenge_in(b'{"token": "t", "challenge": "3eZbrw1a", "type": "url_verification"}')
    '3eZbrw1a'
    """
    if len(body) > MAX_BYTES or _MARK not in body:
        return None
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(found, dict) or found.get("type") != "url_verification":
        return None
    challenge = found.get("challenge")
    return challenge if isinstance(challenge, str) else None
