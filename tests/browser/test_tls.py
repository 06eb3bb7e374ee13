"""The page of a service that speaks TLS by itself."""

from playwright.async_api import expect

from tests.browser.conftest import OpenPage
from tests.stack import Stack


async def test_page_records_over_tls(tls_stack: Stack, open_page: OpenPage) -> None:
    page = await open_page(tls_stack.web_url, ignore_https_errors=True)
    await expect(page.get_by_role("status")).to_have_text("Connected")
    await page.get_by_role("button", name="Start recording").click()
    await expect(page.get_by_role("list", name="Text that may still change")).to_contain_text("seconds")
    await page.get_by_role("button", name="Stop").click()
    await expect(page.get_by_role("log").get_by_role("listitem")).to_contain_text("seconds")
