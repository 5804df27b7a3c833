"""What several endpoints take in their query, and how a word out of a few is read."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, TypeVar

from fastapi import Query

from app.model.errors import BadRequest, clipped

DryRun = Annotated[bool, Query(alias="dryRun")]
_Word = TypeVar("_Word", bound=StrEnum)


def word_of(kind: type[_Word], text: str | None, place: str) -> _Word | None:
    """The word at `place` ("query.phase"); None where there is none. Raises BadRequest, which names those allowed."""
    if text is None:
        return None
    try:
        return kind(text)
    except ValueError:
        allowed = ", ".join(f'"{one.value}"' for one in kind)
        raise BadRequest(
            f'Value of {place} must be one of {allowed} but got value "{clipped(text)}"', "buffer.invalidEnumValue"
        ) from None
