"""The panels and menus of the page, on large and on small screens."""

from playwright.async_api import expect

from tests.browser.conftest import OpenPage
from tests.browser.test_reading import document, long, stored
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


async def test_document_is_not_covered_on_a_low_screen(stack: Stack, open_page: OpenPage) -> None:
    page = await stored(await open_page(stack.web_url), long("talk", played_s=100))
    await page.locator("#documents button").click()
    await page.get_by_role("button", name="Recordings").click()
    for width in (640, 360):
        await page.set_viewport_size({"width": width, "height": 400})
        await page.get_by_role("button", name="Play").click()
        await page.get_by_role("button", name="Pause").click()


async def test_chosen_recording_is_not_covered_on_a_phone(stack: Stack, open_page: OpenPage) -> None:
    page = await stored(await open_page(stack.web_url, viewport=PHONE), document("talk", ["Good morning."]))
    recordings = page.get_by_role("button", name="Recordings")
    await recordings.click()
    await page.locator("#documents button").click()
    await expect(page.locator("#history")).to_be_hidden()
    await expect(recordings).to_have_attribute("aria-expanded", "false")
    await expect(page.get_by_role("log")).to_contain_text("Good morning.")


async def test_escape_closes_panels_that_cover_the_document(stack: Stack, open_page: OpenPage) -> None:
    page = await open_page(stack.web_url, viewport=PHONE)
    await page.get_by_role("button", name="Recordings").click()
    await page.get_by_role("searchbox").press("Escape")
    await expect(page.locator("#history")).to_be_hidden()
    await expect(page.get_by_role("button", name="Recordings")).to_be_focused()
    await page.get_by_role("button", name="Recordings").click()
    await page.keyboard.press("Escape")
    await page.keyboard.press("o")
    await expect(page.locator("#options-panel")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page.locator("#options-panel")).to_be_hidden()
    await page.set_viewport_size({"width": 1280, "height": 800})
    await page.get_by_role("button", name="Recordings").click()
    await page.get_by_role("searchbox").press("Escape")
    await expect(page.locator("#history")).to_be_visible()


async def test_export_menu_is_never_cut_off(stack: Stack, open_page: OpenPage) -> None:
    page = await stored(await open_page(stack.web_url), document("talk", ["Good morning."]))
    await page.locator("#documents button").click()
    await page.get_by_text("Export").click()
    await expect(page.locator("#formats")).to_be_visible()
    for width in (320, 360, 480, 640, 700, 960, 1000, 1280):
        await page.set_viewport_size({"width": width, "height": 700})
        left, right = await page.evaluate(
            "(({ left, right }) => [left, right])(document.querySelector('#formats').getBoundingClientRect())"
        )
        assert left >= 0
        assert right <= width


async def test_export_menu_is_closed_by_escape_and_when_it_is_left(stack: Stack, open_page: OpenPage) -> None:
    page = await stored(await open_page(stack.web_url), document("talk", ["Good morning."]))
    await page.locator("#documents button").click()
    summary, formats = page.get_by_text("Export"), page.locator("#formats")
    for leave in (
        lambda: page.keyboard.press("Escape"),
        lambda: page.locator("#transcript").click(),
        lambda: page.keyboard.press("Shift+Tab"),
    ):
        await summary.click()
        await expect(formats).to_be_visible()
        await leave()
        await expect(formats).to_be_hidden()
    await summary.click()
    await page.keyboard.press("Tab")
    await page.keyboard.press("Escape")
    await expect(formats).to_be_hidden()
    await expect(page.locator("#export summary")).to_be_focused()
