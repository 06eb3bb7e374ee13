"""Jobs that fail can be repeated, and lose nothing."""

from pathlib import Path

from playwright.async_api import Page, expect

from tests.browser.conftest import OpenPage, write_wav
from tests.browser.files import add_file, decode_without_end, until_stored
from tests.browser.slots import all_taken
from tests.limits import limit_s
from tests.speech import silence
from tests.stack import Stack


async def repeated(page: Page, result: str) -> None:
    """Tries again until the slots are free and the text is there."""
    again, text = page.get_by_role("button", name="Try again"), page.get_by_role("log").get_by_text(result)
    while not await text.count():
        await expect(again.or_(text)).to_be_visible(timeout=limit_s(20) * 1000)
        if await again.is_visible():
            await again.click()


async def test_failed_file_is_repeated_whatever_document_is_open(
    stack: Stack, open_page: OpenPage, tmp_path: Path
) -> None:
    page = await open_page(stack.web_url)
    await add_file(page, tmp_path, "one.wav", 1)
    text = page.get_by_role("log")
    await expect(text).to_contain_text("1 seconds")
    async with all_taken(stack):
        await add_file(page, tmp_path, "two.wav", 2)
        await expect(page.get_by_role("alert")).to_contain_text("slot")
        await page.locator("#documents").get_by_text("one.wav").click()
        await expect(text).to_contain_text("1 seconds")
    await page.get_by_role("button", name="Try again").click()
    await expect(page.get_by_label("Name")).to_have_value("two.wav")
    await repeated(page, "2 seconds")
    await page.locator("#documents").get_by_text("one.wav").click()
    await expect(text).to_contain_text("1 seconds")


async def test_former_text_comes_back_after_a_reload_in_mid_transcription(
    stack: Stack, open_page: OpenPage, tmp_path: Path
) -> None:
    page = await open_page(stack.web_url)
    await add_file(page, tmp_path, "one.wav", 1)
    text = page.get_by_role("log")
    await expect(text).to_contain_text("1 seconds")
    page.on("dialog", lambda dialog: dialog.accept())
    await decode_without_end(page)
    await page.get_by_role("button", name="Transcribe again").click()
    await expect(text).not_to_contain_text("1 seconds")
    await until_stored(page, "one => one.former")
    await page.reload()
    await page.locator("#documents button").click()
    await expect(text).to_contain_text("1 seconds")
    await expect(page.locator("#documents")).not_to_contain_text("Not finished")


async def test_failed_file_is_repeated_although_the_browser_stores_nothing(
    stack: Stack, open_page: OpenPage, tmp_path: Path
) -> None:
    page = await open_page(stack.web_url)
    await page.add_init_script("IDBFactory.prototype.open = () => { throw new Error('no storage'); }")
    await page.reload()
    async with all_taken(stack):
        await add_file(page, tmp_path, "one.wav", 1)
        await expect(page.get_by_role("button", name="Try again")).to_be_visible()
    await repeated(page, "1 seconds")


async def test_rejected_file_leaves_the_repetition_of_another_one(
    stack: Stack, open_page: OpenPage, tmp_path: Path
) -> None:
    page = await open_page(stack.web_url)
    await expect(page.locator("#link-state")).to_have_text("Connected")
    write_wav(tmp_path / "one.wav", silence(1), 16_000)
    (tmp_path / "notes.txt").write_bytes(b"Notes. " * 5000)
    again, notice = page.get_by_role("button", name="Try again"), page.get_by_role("alert")
    async with all_taken(stack):
        await page.locator("#file").set_input_files([tmp_path / "one.wav", tmp_path / "notes.txt"])
        await expect(notice).to_contain_text("one.wav: ")
        await expect(notice).to_contain_text("notes.txt: ")
        await expect(again).to_be_visible()
        await expect(page.locator("#documents button")).to_have_count(1)
    await repeated(page, "1 seconds")
    await expect(page.locator("#documents button")).to_have_count(1)
