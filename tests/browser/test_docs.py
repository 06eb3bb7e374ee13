"""The page of the HTTP API."""

from playwright.async_api import expect

from tests.browser.conftest import OpenPage
from tests.browser.proxy import proxied_under
from tests.browser.test_page import AA_CONTRAST, CONTRAST_SCRIPT
from tests.stack import Stack


async def test_docs_show_every_address_and_field_behind_a_proxy(stack: Stack, open_page: OpenPage) -> None:
    async with proxied_under("/tools/voxtral/", stack.settings.server.http_port) as address:
        page = await open_page(f"{address}docs")
        await expect(page.get_by_role("heading", name="post /v1/audio/transcriptions")).to_be_visible()
        await expect(page.get_by_text("timestamp_granularities[]").first).to_be_visible()
        await expect(page.get_by_role("definition").filter(has_text="The request is invalid").first).to_be_visible()
        for shown in ("X-API-Key: …", "?token=…"):
            await expect(page.get_by_text(shown).first).to_be_visible()
        await expect(page.locator("main")).not_to_contain_text("`")
        await expect(page.locator("#example")).to_contain_text(f"curl {address}v1/audio/transcriptions")
        contents = page.get_by_role("navigation", name="Endpoints").get_by_role("link")
        assert await contents.count() == await page.get_by_role("heading", level=2).count()
        await contents.last.click()
        await expect(page.get_by_role("heading", level=2).last).to_be_in_viewport()
        assert [found for found in await page.evaluate(CONTRAST_SCRIPT) if found["ratio"] < AA_CONTRAST] == []


async def test_docs_fit_a_phone(stack: Stack, open_page: OpenPage) -> None:
    page = await open_page(f"{stack.web_url}/docs", viewport={"width": 360, "height": 640}, color_scheme="dark")
    await expect(page.get_by_role("heading", name="post /v1/audio/transcriptions")).to_be_visible()
    assert await page.evaluate("document.documentElement.scrollWidth") == 360
