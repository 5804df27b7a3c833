"""What all bodies of requests have in common: their parts, and how problems with them are gathered."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from app.api.complaints import told_together
from app.model.errors import BadRequest

T = TypeVar("T")


class Payload(BaseModel):
    """Any part of a body; names are camelCase on the wire. Null is like a field that is not there."""

    model_config = ConfigDict(extra="allow", alias_generator=to_camel, frozen=True)


class Problems:
    """Gathers what is wrong, so that a caller learns all of it at once."""

    def __init__(self) -> None:
        self._found: list[BadRequest] = []

    def of(self, check: Callable[[], T], otherwise: T) -> T:
        try:
            return check()
        except BadRequest as problem:
            self._found.append(problem)
            return otherwise

    def add(self, message: str, name: str = "buffer.badRequest") -> None:
        self._found.append(BadRequest(message, name))

    def settle(self) -> None:
        if self._found:
            raise BadRequest(told_together([problem.message for problem in self._found]), self._found[0].name)
