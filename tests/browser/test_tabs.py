"""Several tabs of the page share the documents of one browser."""

import asyncio
from pathlib import Path

from playwright.async_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.files import add_file, decode_without_end, until_stored
from tests.stack import Stack


async def opened(page: Page) -> Page:
    """A tab that shows the only document."""
    other = await page.context.new_page()
    await other.goto(page.url)
    await expect(other.locator("#link-state")).to_have_text("Connected")
    await other.locator("#documents button").click()
    return other


async def begun(page: Page) -> None:
    await expect(page.locator("#link-state")).to_have_text("Connected")
    await page.get_by_role("button", name="Start recording").click()
    await page.wait_for_function("() => parseFloat(document.querySelector('#activity-text').textContent.slice(2)) >= 1")


async def test_document_that_another_tab_works_on_is_shown_but_not_changed(stack: Stack, open_page: OpenPage) -> None:
    page = await open_page(stack.web_url)
    await begun(page)
    other = await opened(page)
    name = other.get_by_label("Name")
    await expect(name).to_have_attribute("readonly", "")
    for action in ("Edit", "Clear", "Delete", "Find"):
        await expect(other.get_by_role("button", name=action, exact=True)).to_be_disabled()
    for action in ("Continue", "Transcribe again"):
        await expect(other.get_by_role("button", name=action)).to_be_hidden()
    await page.get_by_role("button", name="Stop").click()
    await expect(other.get_by_role("button", name="Continue")).to_be_visible()
    await expect(name).not_to_have_attribute("readonly", "")
    await expect(other.get_by_role("log")).to_contain_text("seconds")
    await other.get_by_role("button", name="Continue").click()
    await expect(page.get_by_role("button", name="Edit")).to_be_disabled()
    await other.close()
    await expect(page.get_by_role("button", name="Edit")).to_be_enabled()


async def test_changes_of_a_document_are_shown_in_other_tabs(stack: Stack, open_page: OpenPage) -> None:
    page = await open_page(stack.web_url)
    page.on("dialog", lambda dialog: asyncio.ensure_future(dialog.accept()))
    await begun(page)
    await page.get_by_role("button", name="Stop").click()
    await expect(page.get_by_role("button", name="Continue")).to_be_visible()
    other = await opened(page)
    await expect(other.get_by_role("button", name="Continue")).to_be_visible()
    await other.get_by_label("Name").fill("Another name")
    await other.keyboard.press("Enter")
    await expect(page.get_by_label("Name")).to_have_value("Another name")


async def test_edits_stay_although_another_tab_was_closed_in_mid_transcription(
    stack: Stack, open_page: OpenPage, tmp_path: Path
) -> None:
    page = await open_page(stack.web_url)
    await add_file(page, tmp_path, "one.wav", 1)
    await expect(page.get_by_role("button", name="Transcribe again")).to_be_visible()
    await decode_without_end(page)
    await page.get_by_role("button", name="Transcribe again").click()
    await until_stored(page, "one => one.former")
    other = await opened(page)
    text = other.get_by_role("log")
    await expect(text).not_to_contain_text("1 seconds")
    await expect(other.get_by_role("button", name="Clear")).to_be_disabled()
    await page.close()
    await expect(text).to_contain_text("1 seconds")
    await other.get_by_role("button", name="Find").click()
    await other.get_by_label("Find", exact=True).fill("seconds")
    await other.get_by_label("Replace with").fill("minutes")
    await other.get_by_role("button", name="Replace all").click()
    await expect(text).to_contain_text("1 minutes")
    await until_stored(other, "one => one.segments[0]?.text.includes('minutes')")
    await other.reload()
    await other.locator("#documents button").click()
    await expect(text).to_contain_text("1 minutes")


async def test_undoing_a_clearing_does_not_bring_back_what_another_tab_deleted(
    stack: Stack, open_page: OpenPage, tmp_path: Path
) -> None:
    page = await open_page(stack.web_url)
    await add_file(page, tmp_path, "one.wav", 1)
    await expect(page.get_by_role("button", name="Transcribe again")).to_be_visible()
    other = await opened(page)
    await page.get_by_role("button", name="Clear").click()
    await other.get_by_role("button", name="Delete").click()
    await expect(page.locator("#documents button")).to_have_count(0)
    await page.locator("#toast").get_by_role("button", name="Undo").click()
    await expect(page.locator("#toast")).to_be_hidden()
    await expect(page.get_by_label("Name")).to_be_hidden()
    await expect(page.locator("#documents button")).to_have_count(0)
