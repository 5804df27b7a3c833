"""app/gateway/protocol.py builds on uvicorn's protocol; this notices when that moves."""

from __future__ import annotations

import hashlib
import inspect
from importlib.metadata import version

import httptools
from uvicorn.protocols.http import flow_control, httptools_impl
from uvicorn.server import Server, ServerState

KNOWN = "bee2db3bb97488c7f837dde0fda09bd3377446602d8e1f41a1c113a25eaf85c5"


def test_what_the_lane_builds_on_is_what_was_read() -> None:
    parts = (
        httptools_impl.HttpToolsProtocol,
        httptools_impl.RequestResponseCycle,
        flow_control.FlowControl,
        ServerState,
        Server,
    )
    digest = hashlib.sha256("".join(inspect.getsource(part) for part in parts).encode()).hexdigest()

    assert digest == KNOWN, (
        f"uvicorn {version('uvicorn')} differs from the one that app/gateway/protocol.py was written for. Read what "
        f"changed in {httptools_impl.__file__} and its neighbours, mend the lane, then put {digest} here."
    )


def test_parser_says_where_another_protocol_would_begin() -> None:
    """`_ignore_upgrade` relies on the place in HttpParserUpgrade."""
    parser = httptools.HttpRequestParser(object())
    data = b"POST / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 4\r\n\r\nbody"

    try:
        parser.feed_data(data)
    except httptools.HttpParserUpgrade as upgrade:
        place = upgrade.args[0]

    assert data[place:] == b"body"
