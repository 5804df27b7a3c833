"""What the mapping needs and what it must not know."""

from __future__ import annotations

import ast
import doctest
import importlib
import inspect
import io
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
    """All that are written, also where the doctest module does not look: in a cached property."""
    module = importlib.import_module(name)
    runner, said = doctest.DocTestRunner(), io.StringIO()
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            place = getattr(node, "name", "module")
            text = ast.get_docstring(node) or ""
            runner.run(
                doctest.DocTestParser().get_doctest(text, dict(vars(module)), place, module.__file__, 0), out=said.write
            )

    assert runner.failures == 0, said.getvalue()


@pytest.mark.parametrize("name", [name for name in MODULES if name != "app.mapping.child"])
def test_public_functions_have_an_example(name: str) -> None:
    """But for the program that a child runs."""
    tree = ast.parse(inspect.getsource(importlib.import_module(name)))
    public = [node for node in tree.body if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")]

    assert [node.name for node in public if ">>>" not in (ast.get_docstring(node) or "")] == []


@pytest.mark.parametrize("name", ["body", "csv", "now", "paths", "table", "templates", "tokens"])
def test_public_classes_have_an_example(name: str) -> None:
    """Errors, enums and the like, which do nothing, need none."""
    tree = ast.parse(inspect.getsource(importlib.import_module(f"app.mapping.{name}")))
    without = [
        node.name
        for node in tree.body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
        if any(isinstance(part, ast.FunctionDef) for part in node.body)
        if not any(">>>" in text for text in _docstrings(node))
    ]

    assert without == []


def _docstrings(node: ast.ClassDef) -> list[str]:
    """Its own and its methods'."""
    parts = [part for part in node.body if isinstance(part, ast.FunctionDef)]
    return [ast.get_docstring(node) or "", *(ast.get_docstring(part) or "" for part in parts)]


def test_mapping_loads_nothing_of_kafka_http_or_keboola() -> None:
    loaded = loaded_by(*MODULES)

    assert "pyarrow" in loaded
    assert not loaded & {"faust", "mode", "aiokafka", "confluent_kafka", "fastapi", "uvicorn", "httpx", "kbcstorage"}


def test_the_pools_own_process_loads_neither_arrow_nor_an_engine() -> None:
    loaded = loaded_by("app.mapping.children", "app.mapping.csv", "app.mapping.segments")

    assert "orjson" in loaded
    assert not loaded & {"pyarrow", "rjsonnet", "_jsonnet"}
