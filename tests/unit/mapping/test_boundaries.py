"""What the mapping needs and what it must not know."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import subprocess
import sys

import pytest

import app.mapping

MODULES = [module.name for module in pkgutil.iter_modules(app.mapping.__path__, "app.mapping.")]


def loaded_by(*modules: str) -> set[str]:
    """Names of the top-level packages that a fresh interpreter has after these imports."""
    code = f"import sys, {', '.join(modules)}; print(' '.join({{name.partition('.')[0] for name in sys.modules}}))"
    return set(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split())


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_run(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_mapping_loads_nothing_of_kafka_http_or_keboola() -> None:
    loaded = loaded_by(*MODULES)

    assert "pyarrow" in loaded
    assert not loaded & {"faust", "mode", "aiokafka", "confluent_kafka", "fastapi", "uvicorn", "httpx", "kbcstorage"}


def test_the_pools_own_process_loads_neither_arrow_nor_an_engine() -> None:
    loaded = loaded_by("app.mapping.children", "app.mapping.csv", "app.mapping.segments")

    assert "orjson" in loaded
    assert not loaded & {"pyarrow", "rjsonnet", "_jsonnet"}
