"""axe-core finds nothing on any state of the pages. `test_page` checks an error, `test_docs` the page of the API."""

from pathlib import Path

import axe_playwright_python
import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import OpenPage, write_wav
from tests.speech import silence
from tests.stack import Stack

AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()
RULES = {
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    "resultTypes": ["violations"],  # to describe the elements that pass takes most of the time
}
FOUND = """
    async (rules) => (await axe.run(rules)).violations.map(
        ({ id, nodes }) => `${id}: ${nodes.map(({ target }) => target.join(" ")).join(", ")}`)
"""


async def check(page: Page, state: str, *, has_contrast: bool = False) -> None:
    """`has_contrast`: the test measures it itself, which is quicker on a long page."""
    if not await page.evaluate("'axe' in window"):
        await page.evaluate(AXE)
    assert await page.evaluate(FOUND, RULES | {"rules": {"color-contrast": {"enabled": not has_contrast}}}) == [], state


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
async def test_axe_finds_nothing_on_the_page(
    stack: Stack, open_page: OpenPage, tmp_path: Path, width: int, scheme: str
) -> None:
    page = await open_page(stack.web_url, viewport={"width": width, "height": 780}, color_scheme=scheme)
    await expect(page.locator("#link-state")).to_have_text("Connected")
    await check(page, "idle")
    await page.get_by_role("button", name="Start recording").click()
    await expect(page.locator("#partials")).to_contain_text("seconds")
    await check(page, "recording")
    await page.get_by_role("button", name="Stop").click()
    await expect(page.get_by_role("log")).to_contain_text("seconds")
    await expect(page.locator("#player")).to_be_visible()
    await check(page, "document with a player")
    await page.get_by_role("button", name="Find").click()
    await page.get_by_role("button", name="Edit").click()
    await page.get_by_text("Export").click()
    await check(page, "editing")
    await page.keyboard.press("Escape")
    await page.get_by_role("button", name="Done").click()
    await page.get_by_role("button", name="Clear").click()
    await check(page, "undo offered")
    await page.get_by_role("button", name="Options").click()
    await check(page, "options")
    await page.get_by_role("button", name="Options").click()
    write_wav(tmp_path / "talk.wav", silence(1), 16_000)
    await page.locator("#file").set_input_files([tmp_path / "talk.wav"])
    if await page.locator("#history").is_hidden():
        await page.get_by_role("button", name="Recordings").click()
    await expect(page.locator("#documents li")).to_have_count(2)
    await check(page, "history")
    await page.evaluate("document.querySelector('#help').showModal()")
    await check(page, "shortcuts")


async def test_axe_finds_nothing_on_the_form_for_the_key(keyed_stack: Stack, open_page: OpenPage) -> None:
    page = await open_page(keyed_stack.web_url)
    await expect(page.get_by_label("API key")).to_be_visible()
    await check(page, "key")


@pytest.mark.parametrize("path", ["captions", "captions?session=none#token=none"])
async def test_axe_finds_nothing_on_other_pages(stack: Stack, open_page: OpenPage, path: str) -> None:
    page = await open_page(f"{stack.web_url}/{path}")
    await page.wait_for_load_state("networkidle")
    await check(page, path)
