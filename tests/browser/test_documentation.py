"""The documentation as a person sees it."""

from __future__ import annotations

import re

import pytest
from gateway_process import GatewayProcess
from playwright.async_api import BrowserContext, Page, expect


class Visit:
    """A page, and what the browser asked for and complained of on the way."""

    def __init__(self, page: Page, address: str) -> None:
        self.page, self.address = page, address
        self.requests: list[str] = []
        self.complaints: list[str] = []
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("requestfailed", lambda request: self.complaints.append(request.url))
        page.on("response", lambda answer: answer.ok or self.complaints.append(f"{answer.status} {answer.url}"))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", lambda said: said.type in ("error", "warning") and self.complaints.append(said.text))

    async def open(self, path: str) -> None:
        await self.page.goto(self.address + path)
        await expect(self.page.locator(".opblock").first).to_be_visible()


@pytest.fixture
async def visit(browser: BrowserContext, gateway: GatewayProcess) -> Visit:
    """A visitor who sees the operations."""
    visit = Visit(await browser.new_page(), "http://{}:{}".format(*gateway.address))
    await visit.open("/v1/documentation")
    return visit


@pytest.mark.parametrize("path", ["/v1/documentation", "/v1/documentation/"])
async def test_all_operations_are_there(visit: Visit, gateway: GatewayProcess, path: str) -> None:
    with gateway.client() as client:
        paths = client.get("/v1/documentation/openapi3.json").json()["paths"]

    await visit.open(path)

    await expect(visit.page.locator(".opblock")).to_have_count(sum(len(item) for item in paths.values()))


async def test_operation_opens_with_its_example_and_its_errors(visit: Visit) -> None:
    operation = visit.page.locator("#operations-receivers-createReceiver")

    await operation.locator(".opblock-summary-control").click()

    await expect(operation.locator(".opblock-section-request-body")).to_contain_text("in.c-web.clicks")
    await expect(operation.locator("tr[data-code='409']")).to_contain_text("buffer.receiverAlreadyExists")
    await expect(operation.locator("tr[data-code='202']")).to_contain_text(re.compile("isFinished"))


async def test_nothing_comes_from_another_host_and_nothing_is_complained_of(visit: Visit) -> None:
    await visit.page.locator("#operations-receivers-createReceiver .opblock-summary-control").click()
    await visit.page.wait_for_load_state("networkidle")

    elsewhere = [url for url in visit.requests if not url.startswith((f"{visit.address}/", "data:"))]
    assert len(visit.requests) >= 4
    assert (elsewhere, visit.complaints) == ([], [])
