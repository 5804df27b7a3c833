"""HTTP headers as event headers, and the address of the sender.

Event headers have canonical names ("content-type" is "Content-Type") and values byte for byte. Host and names that
begin with `streams.` (reserved, app.model.event) are left out. Source: Buffer API, headers.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping

from app.mapping.headers import canonical_name
from app.model.errors import ConfigurationError
from app.model.event import RESERVED_PREFIX

_MAX_KNOWN = 4096
_MAX_KNOWN_NAME_BYTES = 64
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class EventNames(dict[bytes, str | None]):
    """Event header name of each HTTP header name as received; None for one that no event has.

    Remembers the names it has seen, at most a few thousand short ones, because senders repeat them.
    """

    def __missing__(self, raw: bytes) -> str | None:
        name = raw.decode("latin-1")
        lower = name.lower()
        result = None if lower == "host" or lower.startswith(RESERVED_PREFIX) else canonical_name(name)
        if len(self) < _MAX_KNOWN and len(raw) <= _MAX_KNOWN_NAME_BYTES:
            self[raw] = result
        return result


class TrustedProxies:
    """The proxies whose word about the sender's address is taken (STREAMS_TRUSTED_PROXIES)."""

    def __init__(self, addresses: Iterable[str]) -> None:
        """`addresses` are addresses or networks. Raises ConfigurationError for anything else."""
        self._networks: list[_Network] = []
        for text in addresses:
            try:
                self._networks.append(ipaddress.ip_network(text, strict=False))
            except ValueError as error:
                raise ConfigurationError(
                    f'STREAMS_TRUSTED_PROXIES: "{text}" is neither an address nor a network such as 10.0.0.0/8.'
                ) from error

    def trusts(self, address: str) -> bool:
        """Whether the peer with this address (as `plain_address` prints it) is one of them."""
        parsed = _parse(address) if self._networks else None
        return parsed is not None and self._covers(parsed)

    def sender(self, peer: str, headers: Mapping[str, bytes]) -> str:
        """Who sent the request that a trusted `peer` passed on.

        X-Forwarded-For is read from the right, where the nearest proxy wrote: the first address that is not a trusted
        proxy, because all to its left is the sender's own claim. Without it X-Real-Ip; the peer when neither says an
        address.
        """
        forwarded = headers.get("X-Forwarded-For")
        if forwarded is None:
            real = _parse(headers.get("X-Real-Ip", b"").decode("latin-1").strip())
            return peer if real is None else str(real)
        nearest = peer
        for part in reversed(forwarded.decode("latin-1").split(",")):
            address = _parse(part.strip())
            if address is None:
                break
            nearest = str(address)
            if not self._covers(address):
                break
        return nearest

    def origin(self, peer: str, headers: Mapping[str, bytes]) -> str:
        """Who sent a request with these headers that came from `peer`: what the `ip` column shows."""
        address = plain_address(peer)
        return self.sender(address, headers) if self.trusts(address) else address

    def _covers(self, address: _Address) -> bool:
        return any(address in network for network in self._networks)


def plain_address(text: str) -> str:
    """An address as the `ip` column shows it; an IPv4 address that came over an IPv6 socket as IPv4, "" if none."""
    address = _parse(text)
    return "" if address is None else str(address)


def _parse(text: str) -> _Address | None:
    """Also takes "1.2.3.4:5678" and "[::1]:5678", as some proxies write them."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address
