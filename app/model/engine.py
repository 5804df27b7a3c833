"""The Jsonnet engines that a mapping may be evaluated by."""

from __future__ import annotations

from enum import StrEnum


class Engine(StrEnum):
    """`app.mapping.engines` says what choosing one means."""

    RJSONNET = "rjsonnet"
    JSONNET = "jsonnet"
    """The C++ one, whose numbers are the reference's."""
