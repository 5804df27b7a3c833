"""A gateway to look at, and the machine's Chromium to look with."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from gateway_process import GatewayProcess, running
from playwright.async_api import BrowserContext, async_playwright, expect

DEADLINE_MS = 90_000
expect.set_options(timeout=DEADLINE_MS)  # five seconds otherwise, and a busy machine takes longer for a page
_MACOS = "/Applications/Chromium.app/Contents/MacOS/Chromium"
_OPTIONS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def gateway(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    folder = tmp_path_factory.mktemp("gateway")
    with running(GatewayProcess(kafka, f"test-{folder.name}", folder / "gateway.log")) as process:
        yield process


@pytest.fixture
async def browser(tmp_path: Path) -> AsyncIterator[BrowserContext]:
    """Chromium with a profile of its own."""
    async with async_playwright() as playwright:
        context = await playwright.chromium.launch_persistent_context(
            tmp_path / "profile", executable_path=shutil.which("chromium") or _MACOS, args=_OPTIONS
        )
        context.set_default_timeout(DEADLINE_MS)
        yield context
        await context.close()
