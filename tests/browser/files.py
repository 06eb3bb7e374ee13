"""Files on the page, and what the browser has stored of them."""

from pathlib import Path

from playwright.async_api import Page, expect

from tests.browser.conftest import write_wav
from tests.speech import silence


async def add_file(page: Page, folder: Path, name: str, seconds: int) -> None:
    """Let the page transcribe so many seconds of silence."""
    await expect(page.locator("#link-state")).to_have_text("Connected")
    write_wav(folder / name, silence(seconds), 16_000)
    await page.locator("#file").set_input_files(folder / name)


async def decode_without_end(page: Page) -> None:
    """From now on, the page never has the samples of a file."""
    await page.evaluate("void (window.Blob.prototype.arrayBuffer = () => new Promise(() => {}))")


async def until_stored(page: Page, wanted: str) -> None:
    """Wait until the newest document is stored as a JavaScript function wants it."""
    await page.evaluate(
        f"""async () => {{
            const storage = await (await import("./storage.js")).Storage.open();
            while (!({wanted})((await storage.documents())[0])) await new Promise((resolve) => setTimeout(resolve, 50));
        }}"""
    )
