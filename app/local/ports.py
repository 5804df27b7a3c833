"""Ports of this machine: which are free, and one clear line about one that is not."""

from __future__ import annotations

import secrets
import socket

from app.model.errors import ConfigurationError

# Below the range from which the kernel takes the ports of outgoing connections, so that a port found free here is
# not taken by somebody's connection before its server binds it.
_FIRST, _LAST = 20_000, 32_000


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a server can bind the port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def free_port(host: str = "127.0.0.1") -> int:
    """A port that nothing listens on, drawn at random.

    By the system's chance, not by `random`: processes with the same seed would draw the same ports at the same time.
    """
    for _ in range(1000):
        port = _FIRST + secrets.randbelow(_LAST - _FIRST)
        if is_free(port, host):
            return port
    raise ConfigurationError(f"No free port between {_FIRST} and {_LAST} on {host}.")


def require_free(part: str, port: int, change: str, host: str = "127.0.0.1") -> None:
    """Raise ConfigurationError naming the part, the port and how to change it, if the port is taken."""
    if not is_free(port, host):
        raise ConfigurationError(
            f"Port {port} is in use, and {part} needs it: stop what listens there, or choose another with {change}."
        )
