"""Event header names, and whose word about the sender's address is taken."""

from __future__ import annotations

import pytest

from app.api.headers import EventNames, TrustedProxies, plain_address
from app.model.errors import ConfigurationError


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        (b"content-type", "Content-Type"),
        (b"x-REQUEST-id", "X-Request-Id"),
        (b"X--a", "X--A"),
        (b"1st", "1st"),
        (b"host", None),
        (b"HOST", None),
        (b"streams.id", None),
        (b"Streams.Anything", None),
        (b"streams-id", "Streams-Id"),
    ],
)
def test_names_are_canonical_and_reserved_ones_left_out(raw: bytes, name: str | None) -> None:
    assert EventNames()[raw] == name


def test_names_of_senders_do_not_fill_the_memory() -> None:
    names = EventNames()

    for number in range(10_000):
        assert names[b"x-%d" % number] == f"X-{number}"
    assert names[b"a" * 1000] == "A" + "a" * 999

    assert len(names) == 4096


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("::ffff:10.1.2.3", "10.1.2.3"),
        ("2001:DB8::0001", "2001:db8::1"),
        ("", ""),
        ("a socket", ""),
    ],
)
def test_address_is_shown_plainly(address: str, shown: str) -> None:
    assert plain_address(address) == shown


@pytest.mark.parametrize(
    ("headers", "sender"),
    [
        ({}, "10.0.0.9"),
        ({"X-Forwarded-For": b"1.2.3.4"}, "1.2.3.4"),
        ({"X-Forwarded-For": b"6.6.6.6, 1.2.3.4"}, "1.2.3.4"),
        ({"X-Forwarded-For": b"1.2.3.4, 10.0.0.1,10.0.0.2"}, "1.2.3.4"),
        ({"X-Forwarded-For": b"10.0.0.1, 10.0.0.2"}, "10.0.0.1"),
        ({"X-Forwarded-For": b"1.2.3.4:5678"}, "1.2.3.4"),
        ({"X-Forwarded-For": b"[2001:db8::1]:443"}, "2001:db8::1"),
        ({"X-Forwarded-For": b"::ffff:1.2.3.4"}, "1.2.3.4"),
        ({"X-Forwarded-For": b"1.2.3.4, unknown, 10.0.0.2"}, "10.0.0.2"),
        ({"X-Forwarded-For": b"unknown"}, "10.0.0.9"),
        ({"X-Real-Ip": b"1.2.3.4"}, "1.2.3.4"),
        ({"X-Real-Ip": b"nonsense"}, "10.0.0.9"),
        ({"X-Forwarded-For": b"1.2.3.4", "X-Real-Ip": b"5.6.7.8"}, "1.2.3.4"),
    ],
)
def test_sender_is_the_first_address_that_no_trusted_proxy_has(headers: dict[str, bytes], sender: str) -> None:
    assert TrustedProxies(["10.0.0.0/8"]).sender("10.0.0.9", headers) == sender


def test_only_listed_proxies_are_trusted() -> None:
    proxies = TrustedProxies(["10.0.0.0/8", "::1"])

    assert [proxies.trusts(address) for address in ("10.9.9.9", "::1", "11.0.0.1", "")] == [True, True, False, False]
    assert not TrustedProxies([]).trusts("10.0.0.1")


def test_bad_proxy_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r'STREAMS_TRUSTED_PROXIES: "proxy.local" is neither'):
        TrustedProxies(["10.0.0.1", "proxy.local"])
