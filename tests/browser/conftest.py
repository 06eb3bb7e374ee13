"""Headless Chromium, as the system's packages install it. Nothing is ever downloaded."""

import shutil
import wave
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.async_api import Browser, Page, async_playwright

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
MICROPHONE_RATE_HZ = 48_000

OpenPage = Callable[..., Awaitable[Page]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if CHROMIUM:
        return
    skip = pytest.mark.skip(reason="Chromium is not installed (Debian and Ubuntu: apt install chromium)")
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(skip)


@pytest.fixture
async def open_page(tmp_path: Path) -> AsyncIterator[OpenPage]:
    """Opens an address in a browser of its own, whose microphone hears `hears` (samples at 48 kHz) once.

    `microphone=False` stands for a user who forbids it. Other arguments are those of a browser context. A page that
    breaks its own security policy, or fails in JavaScript, fails the test.
    """
    troubles: list[str] = []
    browsers: list[Browser] = []
    async with async_playwright() as playwright:

        async def open_(
            url: str, hears: NDArray[np.float32] | None = None, *, microphone: bool = True, **context: Any
        ) -> Page:
            arguments = ["--use-fake-device-for-media-stream"]
            if microphone:
                arguments.append("--use-fake-ui-for-media-stream")
            if hears is not None:
                path = tmp_path / "microphone.wav"
                write_wav(path, hears, MICROPHONE_RATE_HZ)
                arguments.append(f"--use-file-for-fake-audio-capture={path}%noloop")
            browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=arguments, chromium_sandbox=False)
            browsers.append(browser)
            page = await (await browser.new_context(**context)).new_page()
            page.on("pageerror", lambda error: troubles.append(str(error)))
            page.on("console", lambda line: troubles.append(line.text) if "Security Policy" in line.text else None)
            await page.goto(url)
            return page

        yield open_
        for browser in browsers:
            await browser.close()
    assert not troubles


def write_wav(path: Path, samples: NDArray[np.float32], rate_hz: int) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
