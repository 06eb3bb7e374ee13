"""The pages in Firefox: a recording is transcribed, kept over a reload, and played; the API and operation are shown."""

import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from websockets.sync.client import connect

from tests.browser.firefox import FIREFOX, Tab, firefox
from tests.limits import limit_s
from tests.stack import Stack

pytestmark = pytest.mark.skipif(
    not FIREFOX, reason="Firefox is not installed (Debian: apt install firefox-esr; Ubuntu: firefox)"
)
TEXT = "document.querySelector('#transcript').innerText"
CONNECTED = "document.querySelector('#link-state').textContent === 'Connected'"
RECORDED_S = "parseFloat(document.querySelector('#activity-text').textContent.slice(2))"
PLAYED_S = "document.querySelector('audio').currentTime"
SAVED = """
    import('./storage.js').then(async ({Storage}) => (await (await Storage.open()).documents())[0]?.state === 'done')
"""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def tab(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Tab]:
    async with firefox(tmp_path_factory.mktemp("firefox")) as tab:
        yield tab


async def test_recording_is_kept_and_played_and_docs_are_shown(stack: Stack, tab: Tab) -> None:
    await tab.open(stack.web_url)
    await tab.until(CONNECTED)
    await tab.click("#record")
    await tab.until(f"{TEXT}.includes('seconds')")
    await tab.until(f"{RECORDED_S} >= 1")
    await tab.click("#record")
    text = await tab.until("document.querySelector('#finals p')?.textContent")
    await tab.until("document.querySelector('#record-label').textContent === 'Start recording'")
    await tab.until(f"(await {SAVED})")
    await tab.reload()
    await tab.until(CONNECTED)
    await tab.click("#documents li button")
    assert await tab.until("document.querySelector('#finals p')?.textContent") == text
    await tab.click("#player button")
    assert await tab.until(f"{PLAYED_S} > 0.2")
    await tab.open(f"{stack.web_url}/docs")
    await tab.until("document.querySelector('#socket-vllm')?.innerText.includes('transcription.done')")
    assert tab.troubles == []


async def test_long_recording_is_played_from_any_place(stack: Stack, tab: Tab) -> None:
    await tab.open(stack.web_url)
    await tab.until(CONNECTED)
    await tab.evaluate(
        """import('./storage.js').then(async ({ Storage }) => {
            const storage = await Storage.open();
            const [id, sampleRate, durationS] = ["long", 8000, 600];
            for (let index = 0; index < durationS; index++) {
                const total = { bytes: 2 * sampleRate * (index + 1), sampleRate };
                await storage.put({ id, index, blob: new Blob([new Uint8Array(2 * sampleRate)]) }, total);
            }
            const at = (start) => ({ id: `1.${start}`, start, end: start + 9, text: "A", words: [] });
            const segments = [at(0), at(590)];
            const given = { name: "long", kind: "recording", mode: "transcribe", state: "done", model: null };
            await storage.save({ id, createdMs: Date.now(), durationS, segments, speakers: {}, peaks: [], ...given });
        })"""
    )
    await tab.reload()
    await tab.until(CONNECTED)
    await tab.click("#documents li button")
    await tab.click("button.at[data-start='590']")
    await tab.until(f"document.querySelector('audio').readyState > 0 && {PLAYED_S} > 0")
    assert await tab.evaluate(PLAYED_S) == 590
    assert tab.troubles == []


async def test_operators_page_shows_sessions_and_workers(stack: Stack, tab: Tab) -> None:
    with connect(stack.ws_url) as client:
        client.send(json.dumps({"type": "start", "sample_rate": 16000, "encoding": "pcm_s16le"}))
        session_id = json.loads(client.recv(timeout=limit_s(10)))["session_id"]
        await tab.open(stack.health_url)
        await tab.until(f"document.querySelector('#sessions').innerText.includes({json.dumps(session_id)})")
        await tab.until("document.querySelector('#workers').innerText.includes('serving')")
        paper = "getComputedStyle(document.documentElement).getPropertyValue('--paper')"
        assert await tab.until(paper), "the colours are loaded"
        assert tab.troubles == []
