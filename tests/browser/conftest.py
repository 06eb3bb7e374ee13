"""Headless Chromium, as the system's packages install it. Nothing is ever downloaded."""

import shutil
import wave
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
from numpy.typing import NDArray
from playwright.async_api import Browser, BrowserContext, Page, Playwright, async_playwright

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
SHELL = shutil.which("chromium-headless-shell") or CHROMIUM
"""The same browser without its window, which starts in a third of the time. It cannot ask its user for a permission."""
MICROPHONE_RATE_HZ = 48_000

OpenPage = Callable[..., Awaitable[Page]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    skip = pytest.mark.skip(reason="Chromium is not installed (Debian and Ubuntu: apt install chromium)")
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)  # the browsers' loop
            if not CHROMIUM and "browsers" in getattr(item, "fixturenames", ()):
                item.add_marker(skip)


class Browsers:
    """Browsers that live as long as the tests: for users who allow the microphone and users who forbid it."""

    def __init__(self, playwright: Playwright) -> None:
        self._playwright = playwright
        self._kept: dict[tuple[bool, bool], Browser] = {}

    async def launched(self, *, microphone: bool, whole: bool = False, hears: Path | None = None) -> Browser:
        """A new browser. Its microphone hears a recording once, or beeps. See `open_page` for `whole`."""
        arguments = ["--use-fake-device-for-media-stream", "--disable-extensions"]
        if microphone:
            arguments.append("--use-fake-ui-for-media-stream")
        if hears is not None:
            arguments.append(f"--use-file-for-fake-audio-capture={hears}%noloop")
        program = SHELL if microphone and not whole else CHROMIUM
        return await self._playwright.chromium.launch(executable_path=program, args=arguments, chromium_sandbox=False)

    async def kept(self, *, microphone: bool, whole: bool) -> Browser:
        """The browser of all tests."""
        kind = microphone, whole
        if kind not in self._kept:
            self._kept[kind] = await self.launched(microphone=microphone, whole=whole)
        return self._kept[kind]

    async def close(self) -> None:
        for browser in self._kept.values():
            await browser.close()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browsers() -> AsyncIterator[Browsers]:
    async with async_playwright() as playwright:
        browsers = Browsers(playwright)
        yield browsers
        await browsers.close()


@pytest_asyncio.fixture(loop_scope="session")
async def open_page(browsers: Browsers, tmp_path: Path) -> AsyncIterator[OpenPage]:
    """Opens an address as a user of its own does, whose microphone hears `hears` (samples at 48 kHz) once.

    `microphone=False` stands for a user who forbids it. `whole` is for a page that needs what the user has allowed to
    be remembered, such as microphones that keep their ids. Other arguments are those of a browser context; by default
    the page's files are not cached for times without the server. A page that breaks its own security policy, or fails
    in JavaScript, fails the test.
    """
    troubles: list[str] = []
    opened: list[Browser | BrowserContext] = []

    async def open_(
        url: str,
        hears: NDArray[np.float32] | None = None,
        *,
        microphone: bool = True,
        whole: bool = False,
        **context: Any,
    ) -> Page:
        if hears is None:
            browser = await browsers.kept(microphone=microphone, whole=whole)
        else:
            path = tmp_path / "microphone.wav"
            write_wav(path, hears, MICROPHONE_RATE_HZ)
            browser = await browsers.launched(microphone=microphone, whole=whole, hears=path)
            opened.append(browser)
        user = await browser.new_context(**{"service_workers": "block"} | context)
        opened.append(user)
        page = await user.new_page()
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("console", lambda line: troubles.append(line.text) if "Security Policy" in line.text else None)
        await page.goto(url)
        return page

    yield open_
    for one in reversed(opened):
        await one.close()
    assert not troubles


def write_wav(path: Path, samples: NDArray[np.float32], rate_hz: int) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
