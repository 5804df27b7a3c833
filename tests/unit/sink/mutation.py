"""A rule that is taken out of the code, and the list of all of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

Patch = pytest.MonkeyPatch


@dataclass(frozen=True)
class Mutation:
    """A rule that is out, and the kinds of violation that may show it."""

    name: str
    rule: str
    finds: frozenset[str]
    apply: Callable[[Patch], None]
    near: int = 0
    """The seed with which to begin: one shortly before a seed that is known to show it, where few do."""


MUTATIONS: list[Mutation] = []


def takes_out(rule: str, *finds: str, near: int = 0) -> Callable[[Callable[[Patch], None]], None]:
    def register(apply: Callable[[Patch], None]) -> None:
        MUTATIONS.append(Mutation(apply.__name__, rule, frozenset(finds), apply, near))

    return register
