"""The limit of open files is raised where that may be."""

from __future__ import annotations

import resource

import pytest

from app.limits import raise_file_limit


def test_system_that_refuses_a_higher_limit_keeps_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_what: int, _limits: tuple[int, int]) -> None:
        raise ValueError("current limit exceeds maximum limit")

    monkeypatch.setattr(resource, "getrlimit", lambda _: (2048, resource.RLIM_INFINITY))
    monkeypatch.setattr(resource, "setrlimit", refuse)

    assert raise_file_limit() == 2048
