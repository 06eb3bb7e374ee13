"""Where the focus of the keyboard is after what the user does on the page."""

from playwright.async_api import expect

from tests.browser.conftest import OpenPage
from tests.browser.test_reading import document, opened, stored
from tests.stack import Stack


async def test_paragraphs_are_edited_one_after_the_other(stack: Stack, open_page: OpenPage) -> None:
    page = await stored(await open_page(stack.web_url), document("talk", ["One.", "Two."]))
    await opened(page, "talk")
    await page.keyboard.press("e")
    first, second = (page.get_by_role("textbox", name=f"Text at 0:0{at}") for at in (0, 1))
    await first.focus()
    await page.keyboard.type("Number ")
    await page.keyboard.press("Enter")
    await expect(second).to_be_focused()
    await page.keyboard.type("Not ")
    await page.keyboard.press("Escape")
    await expect(second).to_have_text("Two.")
    await page.keyboard.press("Enter")
    await expect(page.locator("#transcript")).to_be_focused()
    await expect(first).to_have_text("Number One.")
    await page.get_by_role("button", name="Undo").click()
    await expect(first).to_have_text("One.")
    await expect(page.get_by_role("button", name="Undo")).to_be_disabled()


async def test_deleting_leads_to_the_next_document_and_its_undo_to_the_text(stack: Stack, open_page: OpenPage) -> None:
    page = await stored(await open_page(stack.web_url), *(document(name, ["Text."]) for name in ("one", "two", "six")))
    await opened(page, "two")
    await page.get_by_role("button", name="Delete").press("Enter")
    await expect(page.locator("#documents button", has_text="one")).to_be_focused()
    await page.locator("#toast").get_by_role("button", name="Undo").press("Enter")
    await expect(page.get_by_label("Name", exact=True)).to_have_value("two")
    await expect(page.locator("#transcript")).to_be_focused()
    await page.get_by_role("button", name="Recordings").click()
    await page.get_by_role("button", name="Delete").press("Enter")
    await expect(page.get_by_text("“two” was deleted.")).to_be_visible()
    await expect(page.locator("#transcript")).to_be_focused()


async def test_first_link_leads_to_the_transcript(stack: Stack, open_page: OpenPage) -> None:
    page = await open_page(stack.web_url)
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("link", name="To the transcript")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.locator("#transcript")).to_be_focused()
