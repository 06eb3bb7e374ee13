"""The panels and menus of the page, on large and on small screens."""

from playwright.async_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.test_reading import document, stored
from tests.stack import Stack

PHONE = {"width": 360, "height": 640}


async def test_everything_can_be_reached_at_double_size(stack: Stack, open_page: OpenPage) -> None:
    """A screen of 1280×800 pixels whose user enlarges everything to 200 %."""
    page = await open_page(stack.web_url, viewport={"width": 640, "height": 400})
    await expect(page.get_by_text("Connected", exact=True)).to_be_visible()
    for name in ("Recordings", "Options"):
        await page.get_by_role("button", name=name).click()
        await expect(page.get_by_label(name, exact=True)).to_be_visible()
        await page.get_by_role("button", name=name).click()
        await expect(page.get_by_label(name, exact=True)).to_be_hidden()
