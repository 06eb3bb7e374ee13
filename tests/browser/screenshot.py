"""Draws the README's picture of the page while it transcribes: `python -m tests.browser.screenshot`.

Starts a service, speaks to its page in headless Chromium, and writes `docs/images/page.png`.
"""

import asyncio
import tempfile
from pathlib import Path
from typing import Final

import numpy as np
from playwright.async_api import async_playwright, expect

from tests.browser.conftest import MICROPHONE_RATE_HZ, Browsers, write_wav
from tests.speech import synthesise
from tests.stack import PROJECT, Stack

PICTURE: Final = PROJECT / "docs" / "images" / "page.png"
WIDTH, HEIGHT = 1100, 620
MAX_BYTES: Final = 150_000
SENTENCES: Final = (
    "Good morning, and welcome to the first session of the day.",
    "Every word appears while it is spoken, and a sentence never changes once it is finished.",
    "The transcript can be copied, or saved as subtitles.",
    "Nothing is lost when a connection breaks, or when a worker has to be replaced.",
)


async def draw(url: str, recording: Path) -> None:
    async with async_playwright() as playwright:
        browser = await Browsers(playwright).launched(microphone=True, hears=recording)
        page = await browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        await page.goto(url)
        await expect(page.get_by_role("status")).to_have_text("Connected")
        await page.get_by_role("button", name="Start recording").click()
        await expect(page.get_by_role("log")).to_contain_text("subtitles", timeout=60_000)
        open_text = page.get_by_role("list", name="Text that may still change")
        await expect(open_text).to_contain_text("Nothing is lost", timeout=60_000)
        await page.screenshot(path=PICTURE)
        await browser.close()
    size = PICTURE.stat().st_size
    assert size <= MAX_BYTES, f"{PICTURE} has {size} bytes; at most {MAX_BYTES} are allowed"


def main() -> None:
    pause = np.zeros(MICROPHONE_RATE_HZ, np.float32)
    spoken = [part for text in SENTENCES for part in (pause, synthesise(text, sample_rate=MICROPHONE_RATE_HZ))]
    with tempfile.TemporaryDirectory() as folder:
        recording = Path(folder, "speech.wav")
        write_wav(recording, np.concatenate(spoken), MICROPHONE_RATE_HZ)
        stack = Stack(Path(folder), model={"name": "whisper-base"})
        try:
            stack.start()
            asyncio.run(draw(stack.web_url, recording))
        finally:
            stack.stop_all()


if __name__ == "__main__":
    main()
