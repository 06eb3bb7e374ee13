"""Text is corrected in place, found and replaced."""

from pathlib import Path

from playwright.async_api import Locator, Page, expect

from tests.browser.conftest import OpenPage, write_wav
from tests.browser.files import add_file, until_stored
from tests.browser.test_documents import connected, listed
from tests.speech import silence
from tests.stack import Stack


async def edited(page: Page, tmp_path: Path) -> Locator:
    """The paragraph of a new document, with the cursor at its end."""
    await add_file(page, tmp_path, "one.wav", 1)
    await expect(page.get_by_role("button", name="Edit")).to_be_enabled()
    await page.get_by_role("button", name="Edit").click()
    paragraph = page.get_by_role("log").get_by_role("textbox")
    await paragraph.press("End")
    return paragraph


async def test_text_is_kept_while_it_is_typed(stack: Stack, open_page: OpenPage, tmp_path: Path) -> None:
    page = await connected(await open_page(stack.web_url))
    paragraph = await edited(page, tmp_path)
    before = await paragraph.inner_text()
    for typed in ("Zebra", "crossing"):
        await page.keyboard.type(f" {typed}")
        await until_stored(page, f"one => one.segments[0].text.endsWith(' {typed}')")
    await expect(paragraph).to_be_focused()
    await page.reload()
    await connected(page)
    await listed(page).get_by_role("button").click()
    await expect(page.get_by_role("log")).to_contain_text(f"{before} Zebra crossing")


async def test_what_was_typed_at_one_place_is_undone_at_once(stack: Stack, open_page: OpenPage, tmp_path: Path) -> None:
    page = await connected(await open_page(stack.web_url))
    paragraph = await edited(page, tmp_path)
    before = await paragraph.inner_text()
    await page.keyboard.type(" Zebra")
    await until_stored(page, "one => one.segments[0].text.endsWith(' Zebra')")
    await page.keyboard.type(" crossing")
    await page.keyboard.press("Enter")
    await expect(paragraph).to_have_text(f"{before} Zebra crossing")
    await page.locator("#undo").click()
    await expect(paragraph).to_have_text(before)
    await expect(page.locator("#undo")).to_be_disabled()


async def test_text_is_not_typed_into_another_document(stack: Stack, open_page: OpenPage, tmp_path: Path) -> None:
    page = await connected(await open_page(stack.web_url))
    for seconds in (1, 2):
        await add_file(page, tmp_path, f"{seconds}.wav", seconds)
        await expect(page.get_by_role("log")).to_contain_text(f"{seconds} seconds")
        await expect(page.get_by_role("button", name="Edit")).to_be_enabled()
    await page.get_by_role("button", name="Edit").click()
    await page.get_by_role("log").get_by_role("textbox").press("End")
    await page.keyboard.type(" Zebra")
    await page.evaluate("[...document.querySelectorAll('#documents button')].at(-1).click()")  # the focus stays
    await expect(page.get_by_label("Name")).to_have_value("1.wav")
    await expect(page.get_by_role("log")).to_contain_text("1 seconds")
    await expect(page.get_by_role("log")).not_to_contain_text("Zebra")
    await expect(page.locator("#undo")).to_be_disabled()
    await listed(page).filter(has_text="2.wav").get_by_role("button").click()
    await expect(page.get_by_role("log")).to_contain_text("Zebra")


async def test_find_goes_from_place_to_place_and_replaces_only_if_asked(
    stack: Stack, open_page: OpenPage, tmp_path: Path
) -> None:
    page = await connected(await open_page(stack.web_url))
    for seconds in (1, 2):
        await add_file(page, tmp_path, f"{seconds}.wav", seconds)
        await expect(page.get_by_role("log")).to_contain_text(f"{seconds} seconds")
        await expect(page.get_by_role("button", name="Edit")).to_be_enabled()
    text = await page.get_by_role("log").inner_text()
    count, found = page.locator("#found-count"), page.get_by_label("Find", exact=True)
    current = "[...CSS.highlights.get('found-current')].map(range => `${range.startOffset} ${range}`)"
    await page.locator("#transcript").press("f")
    await page.keyboard.type("S")
    await expect(count).to_have_text("2 places")
    await page.keyboard.press("Enter")
    await expect(count).to_have_text("1 of 2")
    first = await page.evaluate(current)
    await page.keyboard.press("Enter")
    await expect(count).to_have_text("2 of 2")
    second = await page.evaluate(current)
    assert [first[0][-1], second[0][-1]] == ["s", "s"]
    assert first != second
    await page.keyboard.press("Enter")
    await expect(count).to_have_text("1 of 2")
    assert await page.evaluate(current) == first
    assert await page.get_by_role("log").inner_text() == text
    await found.fill("seconds")
    await page.get_by_label("Replace with").fill("minutes")
    await page.keyboard.press("Enter")
    await expect(count).to_have_text("1 place replaced")
    await expect(page.get_by_role("log")).to_contain_text("2 minutes")
    await page.locator("#undo").click()
    await expect(count).to_have_text("1 place")
    await listed(page).filter(has_text="1.wav").get_by_role("button").click()
    await expect(count).to_have_text("1 place")


async def test_editing_and_the_list_by_keyboard(stack: Stack, open_page: OpenPage, tmp_path: Path) -> None:
    page = await connected(await open_page(stack.web_url))
    names = ["one.wav", "two.wav"]
    for name in names:
        write_wav(tmp_path / name, silence(1), 16_000)
    await page.locator("#file").set_input_files([tmp_path / name for name in names])
    for name in names:  # the second is open at the end, and shown with its player
        await expect(listed(page).filter(has_text=name)).not_to_contain_text("In progress")
        await listed(page).filter(has_text=name).get_by_role("button").click()
        await expect(page.get_by_label("Name")).to_have_value(name)
        await expect(page.get_by_role("button", name="Edit")).to_be_enabled()
    paragraph = page.get_by_role("log").get_by_role("textbox")
    await page.locator("#transcript").press("e")
    await expect(paragraph).to_have_count(1)
    await page.keyboard.down("e")
    await expect(paragraph).to_have_count(0)
    await page.keyboard.down("e")  # held
    await page.keyboard.up("e")
    await expect(paragraph).to_have_count(0)
    await page.keyboard.press("e")
    await expect(page.get_by_role("button", name="Done")).to_have_attribute("aria-pressed", "true")
    chosen = listed(page).filter(has_text="one.wav").get_by_role("button")
    await chosen.press("Enter")
    await expect(chosen).to_have_attribute("aria-current", "true")
    await expect(chosen).to_be_focused()
    await expect(page.get_by_role("button", name="Edit")).to_have_attribute("aria-pressed", "false")
    await expect(paragraph).to_have_count(0)
