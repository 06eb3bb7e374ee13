"""What can be undone, and what stays."""

from pathlib import Path

from playwright.async_api import Locator, Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.files import add_file
from tests.stack import Stack


async def with_files(page: Page, folder: Path, *seconds: int) -> Page:
    """A page with files of so many seconds, the last of which is open."""
    for length in seconds:
        await add_file(page, folder, f"{length}.wav", length)
        await expect(page.get_by_role("log")).to_contain_text(f"{length} seconds")
        await expect(page.get_by_role("button", name="Edit")).to_be_enabled()
    return page


def listed(page: Page, name: str) -> Locator:
    return page.locator("#documents button", has_text=name)


async def replace(page: Page, found: str, replacement: str) -> None:
    if await page.locator("#find").is_hidden():
        await page.get_by_role("button", name="Find").click()
    await page.get_by_label("Find", exact=True).fill(found)
    await page.get_by_label("Replace with").fill(replacement)
    await page.get_by_role("button", name="Replace all").click()
    await expect(page.get_by_role("log")).to_contain_text(replacement)


async def test_clearing_is_undone_in_its_own_document(stack: Stack, open_page: OpenPage, tmp_path: Path) -> None:
    page = await with_files(await open_page(stack.web_url), tmp_path, 1, 2)
    text, undo = page.get_by_role("log"), page.locator("#undo")
    await replace(page, "seconds", "minutes")
    await listed(page, "1.wav").click()
    await expect(text).to_contain_text("1 seconds")
    await page.get_by_role("button", name="Clear").click()
    await expect(text).not_to_contain_text("1 seconds")
    await listed(page, "2.wav").click()
    await expect(text).to_contain_text("2 minutes")
    await page.locator("#toast").get_by_role("button", name="Undo").click()
    await expect(text).to_contain_text("1 seconds")
    await expect(page.get_by_label("Name")).to_have_value("1.wav")
    await listed(page, "2.wav").click()
    await expect(text).to_contain_text("2 minutes")
    await undo.click()
    await expect(text).to_contain_text("2 seconds")
    await expect(undo).to_be_disabled()


async def test_keys_do_not_undo_a_text_that_a_job_works_on(stack: Stack, open_page: OpenPage) -> None:
    page = await open_page(stack.web_url)
    await expect(page.locator("#link-state")).to_have_text("Connected")
    await page.get_by_role("button", name="Start recording").click()
    await expect(page.locator("#partials")).to_contain_text("seconds")
    await page.get_by_role("button", name="Stop").click()
    await expect(page.get_by_role("button", name="Continue")).to_be_visible()
    await replace(page, "seconds", "minutes")
    await page.get_by_role("button", name="Continue").click()
    await expect(page.locator("#partials")).to_contain_text("seconds")
    await page.locator("#transcript").press("Control+z")
    await page.get_by_role("button", name="Stop").click()
    await expect(page.get_by_role("log")).to_contain_text("seconds")
    await expect(page.get_by_role("log")).to_contain_text("minutes")


async def test_deleted_document_is_gone_although_the_page_was_closed_at_once(
    stack: Stack, open_page: OpenPage, tmp_path: Path
) -> None:
    page = await with_files(await open_page(stack.web_url), tmp_path, 1, 2)
    await page.get_by_role("button", name="Delete").click()
    await expect(page.get_by_text("“2.wav” was deleted.")).to_be_visible()
    other = await page.context.new_page()
    await other.goto(page.url)
    await expect(other.locator("#documents button")).to_have_count(1)
    await page.get_by_role("button", name="Undo").last.click()
    await expect(other.locator("#documents button")).to_have_count(2)
    await page.get_by_role("button", name="Delete").click()
    await expect(page.get_by_text("“2.wav” was deleted.")).to_be_visible()
    await page.close()
    await other.reload()
    await other.wait_for_function(
        """async () => {
            const storage = await (await import("./storage.js")).Storage.open();
            const [one, ...others] = await storage.documents();
            return one.name === "1.wav" && others.length === 0 && (await storage.usedBytes()) < 40_000;
        }"""
    )
    await expect(other.locator("#documents button")).to_have_count(1)


async def test_each_of_several_deletions_is_undone(stack: Stack, open_page: OpenPage, tmp_path: Path) -> None:
    page = await with_files(await open_page(stack.web_url), tmp_path, 1, 2)
    documents, toast = page.locator("#documents button"), page.locator("#toast")
    for name in ("2.wav", "1.wav"):
        await listed(page, name).click()
        await expect(page.get_by_role("button", name="Delete")).to_be_enabled()
        await page.get_by_role("button", name="Delete").click()
        await expect(toast).to_contain_text(f"“{name}” was deleted.")
    await expect(documents).to_have_count(0)
    await toast.get_by_role("button", name="Undo").click()
    await expect(toast).to_contain_text("“2.wav” was deleted.")
    await expect(documents).to_have_count(1)
    await toast.get_by_role("button", name="Undo").click()
    await expect(toast).to_be_hidden()
    await expect(documents).to_have_count(2)
