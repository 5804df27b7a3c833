"""The lane on its stage."""

from __future__ import annotations

import pytest

from .lane_stage import Stage


@pytest.fixture
async def stage() -> Stage:
    return Stage()
