"""Arguments of a request: query, form or JSON, with PHP's names for lists and maps (`tags[]`, `where[0][column]`).

Storage is lenient about types (`1`, `"1"`, `True`, `"True"` are all true), so the readers here are too.
"""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Iterable
from typing import Any

import orjson

from app.local.storage.errors import invalid

_TRUE = {"1", "true", "yes", "on"}
_KEY = re.compile(r"\[([^\]]*)\]")


class Params:
    """The arguments of one request. Readers raise ApiError 400 for a value that cannot be read."""

    def __init__(self, values: dict[str, Any]) -> None:
        self.values = values

    @staticmethod
    def parse(query: bytes, body: bytes, content_type: str) -> Params:
        """Read query and body; what the body says goes before what the query says."""
        values = nest(urllib.parse.parse_qsl(query.decode("latin-1"), keep_blank_values=True))
        if body and "json" in content_type:
            try:
                decoded = orjson.loads(body)
            except orjson.JSONDecodeError as error:
                raise invalid(f"The body is not valid JSON: {error}") from error
            if not isinstance(decoded, dict):
                raise invalid("The body must be a JSON object.")
            values |= decoded
        elif body:
            values |= nest(urllib.parse.parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
        return Params(values)

    def text(self, name: str, default: str = "") -> str:
        """Give a text; `default` if it is absent or null."""
        value = self.values.get(name)
        if value is None:
            return default
        if isinstance(value, (dict, list)):
            raise invalid(f"Invalid request: {name}: this value should be a string.")
        return str(value)

    def required(self, name: str) -> str:
        """Give a text that must be there and not be empty."""
        value = self.text(name)
        if not value:
            raise invalid(f"Invalid request: {name}: this field is missing.")
        return value

    def flag(self, name: str, *, default: bool = False) -> bool:
        """Give a boolean."""
        value = self.values.get(name)
        return default if value is None else str(value).lower() in _TRUE

    def number(self, name: str, default: int, *, least: int = 0, most: int | None = None) -> int:
        """Give a whole number within bounds."""
        value = self.optional_number(name)
        if value is None:
            return default
        if value < least or (most is not None and value > most):
            bounds = f"at least {least}" if most is None else f"between {least} and {most}"
            raise invalid(f"Invalid request: {name}: this value should be {bounds}.")
        return value

    def optional_number(self, name: str) -> int | None:
        """Give a whole number, None if it is absent."""
        value = self.text(name)
        if not value:
            return None
        if not re.fullmatch(r"-?\d{1,18}", value):
            raise invalid(f"Invalid request: {name}: this value should be an integer.")
        return int(value)

    def texts(self, name: str) -> list[str]:
        """Give a list of texts: a list, or one text with commas between."""
        value = self.values.get(name)
        if value is None or value == "":
            return []
        if isinstance(value, list):
            return [str(item) for item in value]
        if isinstance(value, dict):
            raise invalid(f"Invalid request: {name}: this value should be an array.")
        return [item for item in str(value).split(",") if item]

    def array(self, name: str) -> list[Any]:
        """Give a list that must be a real one."""
        value = self.values.get(name)
        if value is None:
            return []
        if not isinstance(value, list):
            raise invalid(f"Invalid request: {name}: this value should be of type array.")
        return value

    def mapping(self, name: str) -> dict[str, Any]:
        """Give a map; PHP's empty list is an empty map."""
        value = self.values.get(name)
        if value is None or value == []:
            return {}
        if not isinstance(value, dict):
            raise invalid(f"Invalid request: {name}: this value should be of type object.")
        return value


def nest(pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Turn PHP's flat names into lists and maps.

    >>> nest([("tags[]", "a"), ("tags[]", "b"), ("w[0][column]", "x")])
    {'tags': ['a', 'b'], 'w': [{'column': 'x'}]}
    """
    root: dict[str, Any] = {}
    for name, value in pairs:
        bracket = name.find("[")
        path = [name] if bracket < 1 else [name[:bracket], *_KEY.findall(name[bracket:])]
        node = root
        for step in path[:-1]:
            node = node.setdefault(step or str(len(node)), {})
            if not isinstance(node, dict):
                raise invalid(f"Invalid request: {name}: given both as a value and as a list.")
        node[path[-1] or str(len(node))] = value
    return {name: _listed(value) for name, value in root.items()}


def _listed(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    items = {key: _listed(item) for key, item in value.items()}
    return list(items.values()) if items and all(key.isdigit() for key in items) else items
