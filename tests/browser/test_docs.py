"""The page of the HTTP API."""

from playwright.async_api import expect

from tests.browser.conftest import OpenPage
from tests.browser.proxy import proxied_under
from tests.stack import Stack


async def test_docs_show_every_address_and_field_behind_a_proxy(stack: Stack, open_page: OpenPage) -> None:
    async with proxied_under("/tools/voxtral/", stack.settings.server.http_port) as address:
        page = await open_page(f"{address}docs")
        await expect(page.get_by_role("heading", name="post /v1/audio/transcriptions")).to_be_visible()
        await expect(page.get_by_text("timestamp_granularities[]").first).to_be_visible()
        await expect(page.get_by_role("heading", name="What was sent is wrong").first).to_be_visible()
        for shown in ("X-API-Key: …", "?token=…"):
            await expect(page.get_by_text(shown).first).to_be_visible()
