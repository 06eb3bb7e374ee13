"""A recording on the page outlives its connection, and says so when it cannot."""

import asyncio
import random
import re
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from shared.bus import keys
from shared.bus.connect import connect
from tests.browser.conftest import MICROPHONE_RATE_HZ, OpenPage
from tests.command import counted_s
from tests.keys import KeyList
from tests.limits import limit_s
from tests.speech import synthesise
from tests.stack import Stack
from tests.wire import Wire, wire_to

SENTENCES = (
    "Please remember to water the plants in the kitchen while we are away.",
    "Nobody knew who had left the heavy parcel in front of the door.",
)
START_S = limit_s(30)
"""A web process is up within this on a busy machine."""
# On a page that opens no connection of its own.
SPEAK = """
    async ([rate, chunks, samples, pauseMs]) => {
        const { Connection } = await import("./lib/connection.js");
        const { webSocketUrl } = await import("./socket-address.js");
        const { LiveSession } = await import("./lib/session.js");
        const { page_token: token } = await (await fetch("config.json")).json();
        const heard = { finals: [], losses: 0, trouble: null };
        const counts = document.body.dataset;
        const over = new Promise((resolve) => {
            const connection = new Connection(async () => webSocketUrl(document.baseURI, token), () => null, {
                onState: () => {},
                onMessage: (message) => session.receive(message),
                onLost: () => session.lost(),
            });
            const session = new LiveSession(connection, {
                onEvent: (event) => {
                    counts[event.type] = Number(counts[event.type] ?? 0) + 1;
                    if (event.type === "final") heard.finals.push([event.start, event.end]);
                },
                onDone: resolve,
                onError: (message) => resolve((heard.trouble = message)),
                onReconnecting: (isLost) => (heard.losses += isLost ? 1 : 0),
            });
            void connection.whenOpen().then(async () => {
                session.start({ sample_rate: rate });
                for (let sent = 0; sent < chunks; sent++) {
                    session.write(new Int16Array(samples).buffer);
                    await new Promise((resolve) => setTimeout(resolve, pauseMs));
                }
                session.stop();
            });
        });
        await over;
        return heard;
    }
"""
UNTIL_CACHED = """
    async () => {
        const cache = await caches.open("voxtral-page");
        const isCached = async () => {
            const loaded = performance.getEntriesByType("resource").map(({ name }) => name);
            const files = loaded.filter((name) => /[.](js|css)$/.test(name));
            const needed = [location.href, "lib/recorder-worklet.js", ...files];
            const found = await Promise.all(needed.map((name) => cache.match(name)));
            return navigator.serviceWorker.controller !== null && found.every((one) => one);
        };
        while (!(await isCached())) await new Promise((resolve) => setTimeout(resolve, 50));
    }
"""
SAVED = """
    async () => {
        const { Storage } = await import("./storage.js");
        return (await (await Storage.open()).documents())[0];
    }
"""


@pytest_asyncio.fixture(loop_scope="session")
async def wire(stack: Stack) -> AsyncIterator[Wire]:
    async with wire_to(stack.settings.server.http_port) as laid:
        yield laid


@asynccontextmanager
async def web_killed(stack: Stack) -> AsyncIterator[None]:
    """Without its web process inside, and with a new one afterwards."""
    await asyncio.to_thread(stack.stop, "web", signal.SIGKILL)
    try:
        yield
    finally:
        stack.spawn("web")


async def recording(page: Page) -> None:
    await expect(page.get_by_role("status")).to_have_text("Connected")
    await page.get_by_role("button", name="Start recording").click()
    await expect(page.get_by_role("list", name="Text that may still change")).to_contain_text("seconds")


async def reconnected(page: Page) -> None:
    await expect(page.get_by_role("status")).to_have_text("Connected", timeout=START_S * 1000)
    await expect(page.get_by_role("button", name="Stop")).to_be_visible()
    await expect(page.get_by_role("alert")).to_have_count(0)


async def test_recording_goes_on_at_a_service_that_asks_for_a_key(
    keyed_stack: Stack, key_list: KeyList, open_page: OpenPage
) -> None:
    page = await open_page(keyed_stack.web_url)
    await page.get_by_label("API key").fill(key_list.keys["anna"])
    await page.keyboard.press("Enter")
    await recording(page)
    async with web_killed(keyed_stack):
        await expect(page.get_by_role("status")).to_have_text("Reconnecting…")
    await reconnected(page)
    await page.get_by_role("button", name="Stop").click()
    await expect(page.get_by_role("log")).to_contain_text("seconds")
    assert await page.get_by_label("API key").is_hidden()


async def test_recording_that_the_service_has_lost_is_heard_again_from_its_last_final(
    stack: Stack, open_page: OpenPage
) -> None:
    page = await open_page(stack.web_url)
    await recording(page)
    await page.get_by_role("button", name="Pause").click()
    settled = page.get_by_role("log")
    await expect(settled).to_contain_text("seconds")
    await page.get_by_role("button", name="Resume").click()
    await expect(page.get_by_role("list", name="Text that may still change")).to_contain_text("seconds")
    link = await page.get_by_role("link", name="Live captions").get_attribute("href")
    assert link is not None
    async with web_killed(stack), connect(stack.settings) as redis:
        await redis.delete(*keys.of_session(re.findall(r"session=(\w+)", link)[0]))
    await expect(page.get_by_role("link", name="Live captions")).not_to_have_attribute(
        "href", link, timeout=START_S * 1000
    )
    await reconnected(page)
    await expect(page.get_by_role("list", name="Text that may still change")).to_contain_text("seconds")
    await page.get_by_role("button", name="Stop").click()
    await expect(page.get_by_role("button", name="Start recording")).to_be_visible()
    saved = await page.evaluate(SAVED)
    times = [(segment["start"], segment["end"]) for segment in saved["segments"]]
    assert len(times) >= 2
    assert times[0][0] == 0
    assert [start for start, _ in times[1:]] == [end for _, end in times[:-1]]
    assert times[-1][1] == pytest.approx(saved["durationS"], abs=0.05)
    assert not any("isUnsettled" in segment for segment in saved["segments"])


async def test_recording_can_begin_without_the_server(stack: Stack, open_page: OpenPage) -> None:
    page = await open_page(stack.web_url, service_workers="allow")
    await expect(page.get_by_role("status")).to_have_text("Connected")
    await page.evaluate(UNTIL_CACHED)
    async with web_killed(stack):
        await page.reload()
        await expect(page.get_by_role("status")).to_have_text(re.compile("Not connected"))
        await page.get_by_role("button", name="Start recording").click()
        await expect(page.get_by_role("button", name="Stop")).to_be_visible()
        await expect(page).to_have_title(re.compile(r"^● 0:01 "))
    unsettled = page.get_by_role("list", name="Text that may still change")
    await expect(unsettled).to_contain_text("seconds", timeout=START_S * 1000)
    await expect(unsettled.locator("time")).to_have_text("0:00")
    await page.get_by_role("button", name="Stop").click()
    await expect(page.get_by_role("log")).to_contain_text("seconds")


async def test_recording_that_began_without_the_server_can_be_ended(wire: Wire, open_page: OpenPage) -> None:
    page = await open_page(f"http://127.0.0.1:{wire.port}", service_workers="allow")
    await page.evaluate(UNTIL_CACHED)
    await expect(page.get_by_role("status")).to_have_text("Connected")
    wire.refuses = True
    wire.cut()
    await expect(page.get_by_role("status")).to_have_text(re.compile("Not connected"))
    await page.get_by_role("button", name="Start recording").click()
    await expect(page).to_have_title(re.compile(r"^● 0:01 "))
    await page.get_by_role("button", name="Stop").click()
    await page.get_by_role("button", name="Transcribe later").click()
    await expect(page.get_by_role("button", name="Start recording")).to_be_visible()
    await expect(page.locator("#documents")).to_contain_text("Not finished")


async def test_recording_is_transcribed_later_if_the_server_stays_away(stack: Stack, open_page: OpenPage) -> None:
    page = await open_page(stack.web_url)
    await recording(page)
    async with web_killed(stack):
        await expect(page.get_by_role("status")).to_have_text("Reconnecting…")
        await page.get_by_role("button", name="Stop").click()
        await page.get_by_role("button", name="Transcribe later").click()
        await expect(page.get_by_role("button", name="Start recording")).to_be_visible()
        await expect(page.locator("#transcript .unsettled")).to_contain_text("seconds")
        await expect(page.locator("#documents")).to_contain_text("Not finished")
    await expect(page.get_by_role("status")).to_have_text("Connected", timeout=START_S * 1000)
    await page.get_by_role("button", name="Transcribe again").click()
    await expect(page.get_by_role("log")).to_contain_text("seconds")
    await expect(page.locator("#documents")).not_to_contain_text("Not finished")


async def test_stop_that_nobody_hears_is_said_again(wire: Wire, open_page: OpenPage) -> None:
    page = await open_page(f"http://127.0.0.1:{wire.port}")
    await recording(page)
    wire.refuses = True
    wire.cut()
    await expect(page.get_by_role("status")).to_have_text("Reconnecting…")
    await page.get_by_role("button", name="Stop").click()
    await expect(page.get_by_role("button", name="Transcribe later")).to_be_visible()
    wire.refuses = False
    await expect(page.get_by_role("log")).to_contain_text("seconds")
    await expect(page.get_by_role("status")).to_have_text("Connected")
    await expect(page.get_by_role("button", name="Start recording")).to_be_visible()


async def test_connection_that_is_dead_and_does_not_say_so_is_given_up(wire: Wire, open_page: OpenPage) -> None:
    page = await open_page(f"http://127.0.0.1:{wire.port}")
    await recording(page)
    wire.refuses = True
    wire.freeze()
    await expect(page.get_by_role("status")).to_have_text("Reconnecting…", timeout=limit_s(20) * 1000)
    wire.refuses = False
    await reconnected(page)
    await page.get_by_role("button", name="Stop").click()
    await expect(page.get_by_role("log")).to_contain_text("seconds")
    await expect(page.get_by_role("button", name="Start recording")).to_be_visible()
    assert counted_s(await page.get_by_role("log").inner_text()) > 10, "what was said meanwhile is heard"


@pytest.mark.parametrize("rate", [16_000, 48_000])
async def test_audio_is_exact_over_cuts_at_random_moments(wire: Wire, open_page: OpenPage, rate: int) -> None:
    page = await open_page(f"http://127.0.0.1:{wire.port}/captions")
    speaking = asyncio.create_task(page.evaluate(SPEAK, [rate, 250, rate // 20, 10]))
    await expect(page.locator("body")).to_have_attribute("data-ready", re.compile("."), timeout=START_S * 1000)
    cutting = asyncio.create_task(cut_again_and_again(wire, random.Random(rate)))
    heard: dict[str, Any] = await speaking
    cutting.cancel()
    assert heard["trouble"] is None
    assert heard["losses"] >= 2
    (first_s, border_s), (second_s, end_s) = heard["finals"]
    assert (first_s, border_s, end_s) == (0.0, second_s, pytest.approx(12.5, abs=0.002))


async def cut_again_and_again(wire: Wire, generator: random.Random) -> None:
    while True:
        await asyncio.sleep(generator.uniform(0.3, 0.9))
        wire.cut()


async def test_resume_that_is_obeyed_late_takes_the_recording_from_nobody(wire: Wire, open_page: OpenPage) -> None:
    """The server obeys the `resume` of a connection that has gone, and so takes the session from its successor."""
    page = await open_page(f"http://127.0.0.1:{wire.port}/captions")
    speaking = asyncio.create_task(page.evaluate(SPEAK, [16_000, 250, 640, 40]))
    async with asyncio.timeout(START_S):
        await expect(page.locator("body")).to_have_attribute("data-partial", re.compile("."))
        wire.hold_next()
        wire.cut()
        await wire.holds.wait()
        await expect(page.locator("body")).to_have_attribute("data-ready", "2", timeout=START_S * 1000)
        wire.deliver()
        heard: dict[str, Any] = await speaking
    assert heard["trouble"] is None
    assert heard["losses"] == 2
    assert heard["finals"][-1][1] == 10.0


async def test_no_word_is_lost_or_doubled_when_the_web_process_is_killed(
    whisper_stack: Stack, open_page: OpenPage
) -> None:
    pause = np.zeros(MICROPHONE_RATE_HZ, np.float32)
    spoken = [synthesise(sentence, sample_rate=MICROPHONE_RATE_HZ) for sentence in SENTENCES]
    page = await open_page(whisper_stack.web_url, hears=np.concatenate([pause, spoken[0], pause, spoken[1]]))
    await expect(page.get_by_role("status")).to_have_text("Connected")
    await page.get_by_role("button", name="Start recording").click()
    unsettled = page.get_by_role("list", name="Text that may still change")
    await expect(unsettled).to_contain_text(re.compile("remember to", re.IGNORECASE), timeout=limit_s(20) * 1000)
    async with web_killed(whisper_stack):
        await expect(page.get_by_role("status")).to_have_text("Reconnecting…")
        await expect(unsettled).to_contain_text(re.compile("remember to", re.IGNORECASE))
    await reconnected(page)
    settled = page.get_by_role("log")
    await expect(settled).to_contain_text(re.compile("front of the door", re.IGNORECASE), timeout=limit_s(30) * 1000)
    await page.get_by_role("button", name="Stop").click()
    await expect(page.get_by_role("button", name="Start recording")).to_be_visible(timeout=limit_s(20) * 1000)
    assert words(" ".join(await settled.locator("p").all_inner_texts())) == words(" ".join(SENTENCES))


def words(text: str) -> list[str]:
    return re.sub(r"[^a-z ]", "", text.lower()).split()
