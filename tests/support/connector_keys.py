"""What is wrong with a connector's configuration, by the tables of documented keys in `connectors/`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

CONNECTORS = Path(__file__).resolve().parents[2] / "connectors"
FOLDERS = {"data-streams": "data-streams-sink"}
"""Folders of kinds that are not named as the kind."""


def folder(kind: str) -> Path:
    return CONNECTORS / FOLDERS.get(kind, kind)


def table(kind: str) -> dict[str, Any]:
    """The kind's keys with those that every sink has, and the pairs that may not be."""
    common = yaml.safe_load((CONNECTORS / "keys.yaml").read_text())
    own = yaml.safe_load((folder(kind) / "keys.yaml").read_text())
    return {**own, "keys": common["keys"] | own["keys"], "impossible": common["impossible"] + own["impossible"]}


def own_keys(kind: str) -> set[str]:
    """Names of the plug-in's own settings."""
    return set(yaml.safe_load((folder(kind) / "keys.yaml").read_text())["keys"])


def complaints(kind: str, config: Mapping[str, str]) -> list[str]:
    """Unknown, missing and malformed keys, and pairs that lose records or are refused by the connector."""
    return list(_complaints(table(kind), config))


def _complaints(documented: Mapping[str, Any], config: Mapping[str, str]) -> Iterator[str]:
    keys: Mapping[str, Any] = documented["keys"]
    if config.get("connector.class") != documented["class"]:
        yield f"connector.class is not {documented['class']}"
    for name, value in config.items():
        pattern = _pattern(keys, name)
        if pattern is None:
            yield f"{name} is not documented"
        elif not _fits(keys[pattern], value):
            yield f"{name} cannot be {value!r}"
    for pattern, key in keys.items():
        if key.get("required") and not any(_matches(pattern, name) for name in config):
            yield f"{pattern} is missing"
    for pair in documented["impossible"]:
        if all(_is(config.get(name), wanted) for name, wanted in pair["when"].items()):
            yield f"{pair['when']}: {pair['why']}"
    for kind in ("transforms", "predicates"):
        for name in filter(None, config.get(kind, "").split(",")):
            if f"{kind}.{name}.type" not in config:
                yield f"{kind}.{name}.type is missing"


def _pattern(keys: Mapping[str, Any], name: str) -> str | None:
    return name if name in keys else next((one for one in keys if _matches(one, name)), None)


def _matches(pattern: str, name: str) -> bool:
    return re.fullmatch(re.escape(pattern).replace(r"\*", r"[A-Za-z0-9_-]+"), name) is not None


def _is(value: str | None, wanted: str | None) -> bool:
    """None stands for a key that is not there, "*" for one that is."""
    return value is not None if wanted == "*" else value == wanted


def _fits(key: Mapping[str, Any], value: str) -> bool:
    match key["type"]:
        case "int":
            return bool(re.fullmatch(r"-?\d+", value)) and key.get("min", 0) <= int(value) <= key.get("max", 2**63)
        case "boolean":
            return value in ("true", "false")
        case "enum":
            return value in key["values"]
        case "url":
            return re.fullmatch(r"https?://[^\s'\"]+", value) is not None
        case "list":
            return all(one.strip() for one in value.split(",")) or value == ""
        case "class":
            return re.fullmatch(r"([a-z0-9]+\.)+[A-Z][A-Za-z$]+", value) is not None
        case "statuses":
            return re.fullmatch(r"\d{3}(-(\d{3})?)?(,\d{3}(-(\d{3})?)?)*", value) is not None
        case "jexl":
            return value != "" and value.count("'") % 2 == 0
        case "string":
            return True
        case other:
            raise AssertionError(f"no such type: {other}")
