"""The controls of a recording: pause, the title of the tab, the microphone, and the question before leaving."""

import re
from pathlib import Path

import pytest
from playwright.async_api import Dialog, expect

from tests.browser.conftest import OpenPage, write_wav
from tests.browser.test_resuming import recording
from tests.speech import silence
from tests.stack import Stack

ASKED_SCRIPT = """
    const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
    window.asked = [];
    navigator.mediaDevices.getUserMedia = (constraints) => {
        window.asked.push(constraints.audio.deviceId);
        return ask(constraints);
    };
"""

CONTEXTS_SCRIPT = """
    window.contexts = [];
    window.AudioContext = class extends AudioContext {
        constructor(...options) {
            super(...options);
            window.contexts.push(this);
        }
    };
"""

STORES_NOTHING_SCRIPT = """
    Object.defineProperty(window, "indexedDB", { value: { open: () => { throw new Error("no storage"); } } });
"""

TRACKS_SCRIPT = """async ([url, options]) => {
    const { MicrophoneTranscription } = await import("./lib/index.js");
    const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
    navigator.mediaDevices.getUserMedia = async (constraints) => (window.stream = await ask(constraints));
    try {
        for await (const event of await MicrophoneTranscription.start(url, options));
    } catch (error) {
        return error.message;
    }
}"""

FACTS_SCRIPT = """() => {
    window.facts = [];
    const facts = document.getElementById("facts");
    new MutationObserver(() => window.facts.push(facts.textContent)).observe(facts, { childList: true });
}"""


async def test_pause_settles_the_text_and_the_title_says_it(stack: Stack, open_page: OpenPage) -> None:
    page = await open_page(stack.web_url)
    await recording(page)
    await expect(page).to_have_title(re.compile(r"^● \d:\d\d "))
    await page.get_by_role("button", name="Pause").click()
    await expect(page.get_by_role("log")).to_contain_text("seconds")
    await expect(page).to_have_title(re.compile(r"^❚❚ \d:\d\d "))
    await page.get_by_role("button", name="Resume").click()
    await expect(page).to_have_title(re.compile(r"^● \d:\d\d "))
    await expect(page.locator("#partials")).to_contain_text("seconds")
    await page.get_by_role("button", name="Stop").click()
    await expect(page).to_have_title(re.compile(r"^[^●❚]+$"))
    await expect(page.get_by_role("log").get_by_role("listitem")).to_have_count(2)


async def test_length_of_a_recording_is_shown_when_it_has_ended(stack: Stack, open_page: OpenPage) -> None:
    page = await open_page(stack.web_url)
    await page.evaluate(FACTS_SCRIPT)
    await recording(page)
    await expect(page).to_have_title(re.compile(r"^● 0:0[1-9] "))
    meanwhile = await page.evaluate("window.facts")
    assert meanwhile
    assert not [one for one in meanwhile if "· 0:0" in one]
    await page.get_by_role("button", name="Stop").click()
    await expect(page.locator("#facts")).to_contain_text(re.compile(r" · 0:0[1-9] · "))


async def test_leaving_in_mid_recording_is_asked_about(stack: Stack, open_page: OpenPage) -> None:
    page = await open_page(stack.web_url)
    dialogs: list[str] = []

    async def leave(dialog: Dialog) -> None:
        dialogs.append(dialog.type)
        await dialog.accept()

    page.on("dialog", leave)
    await recording(page)
    await page.reload()
    assert dialogs == ["beforeunload"]
    await page.reload()
    assert dialogs == ["beforeunload"], "nothing is being recorded"


async def test_chosen_microphone_is_used_and_remembered(stack: Stack, open_page: OpenPage) -> None:
    page = await open_page(stack.web_url, whole=True)
    await page.add_init_script(ASKED_SCRIPT)
    await page.reload()
    await recording(page)
    await page.get_by_role("button", name="Stop").click()
    await page.get_by_role("button", name="Options").click()
    microphone = page.get_by_role("combobox", name="Microphone")
    await microphone.focus()
    second = microphone.get_by_role("option", name="Fake Audio Input 2")
    await expect(second).to_have_count(1)
    device = await second.get_attribute("value")
    await microphone.select_option(device)
    await page.reload()
    await recording(page)
    (asked,) = await page.evaluate("asked")
    assert device in str(asked)
    await page.get_by_role("button", name="Stop").click()


async def test_microphone_without_a_name_stays_chosen_and_one_that_is_gone_is_replaced(
    stack: Stack, open_page: OpenPage
) -> None:
    page = await open_page(stack.web_url)
    await page.add_init_script(
        ASKED_SCRIPT
        + "navigator.mediaDevices.enumerateDevices = async () => [];"
        + "localStorage.setItem('voxtral-settings', JSON.stringify({ deviceId: 'gone' }));"
    )
    await page.reload()
    await recording(page)
    assert await page.evaluate("asked") == [{"exact": "gone"}, None]
    await page.get_by_role("button", name="Stop").click()
    await expect(page.get_by_role("log")).to_contain_text("seconds")
    await page.get_by_role("button", name="Options").click()
    microphone = page.get_by_role("combobox", name="Microphone")
    await expect(microphone.locator("option:checked")).to_have_text("Chosen before")
    await microphone.select_option("Default")
    await recording(page)
    assert (await page.evaluate("asked"))[2:] == [None]
    await page.get_by_role("button", name="Stop").click()


async def test_recording_continues_after_the_system_has_interrupted_it(stack: Stack, open_page: OpenPage) -> None:
    page = await open_page(stack.web_url)
    await page.add_init_script(CONTEXTS_SCRIPT)
    await page.reload()
    await recording(page)
    alert = page.get_by_role("alert")
    await page.evaluate("void (contexts[0].resume = () => Promise.reject('not permitted yet'))")
    await page.evaluate("contexts[0].suspend()")
    await expect(alert).to_contain_text("interrupted the microphone")
    await page.evaluate("delete contexts[0].resume && contexts[0].resume()")
    await expect(alert).to_be_hidden()
    await page.evaluate("contexts[0].suspend()")
    await page.wait_for_function("contexts[0].state === 'running'")
    await page.get_by_role("button", name="Stop").click()
    await expect(page.get_by_role("log")).to_contain_text("seconds")
    assert await page.evaluate("contexts.map(({ state }) => state)") == ["closed"]


async def test_microphone_that_cannot_be_read_is_freed(stack: Stack, open_page: OpenPage) -> None:
    page = await open_page(stack.web_url)
    await page.add_init_script(CONTEXTS_SCRIPT + "AudioWorklet.prototype.addModule = () => Promise.reject('no');")
    await page.reload()
    await expect(page.get_by_role("status")).to_have_text("Connected")
    await page.get_by_role("button", name="Start recording").click()
    await expect(page.get_by_role("alert")).to_contain_text("could not be started")
    assert await page.evaluate("contexts.map(({ state }) => state)") == ["closed"]


@pytest.mark.parametrize(("url", "trouble"), [(None, "klingon"), ("127.0.0.1:8000", "URL")])
async def test_transcription_of_the_microphone_that_fails_frees_it(
    stack: Stack, open_page: OpenPage, url: str | None, trouble: str
) -> None:
    page = await open_page(stack.web_url)
    assert trouble in await page.evaluate(TRACKS_SCRIPT, [url or stack.web_url, {"language": "klingon"}])
    await page.wait_for_function("stream.getTracks().every(({ readyState }) => readyState === 'ended')")


async def test_browser_that_stores_no_audio_is_reported(stack: Stack, open_page: OpenPage, tmp_path: Path) -> None:
    page = await open_page(stack.web_url)
    await page.add_init_script(STORES_NOTHING_SCRIPT)
    await page.reload()
    await recording(page)
    warning = page.get_by_role("alert").get_by_text("does not store audio")
    await expect(warning).to_be_visible()
    await page.get_by_role("button", name="Stop").click()
    await expect(page.get_by_role("log")).to_contain_text("seconds")
    await expect(warning).to_be_visible()
    await page.get_by_role("button", name="Dismiss").click()
    write_wav(tmp_path / "talk.wav", silence(2), 16_000)
    await page.locator("#file").set_input_files(tmp_path / "talk.wav")
    await expect(page.get_by_role("log")).to_contain_text("2 seconds")
    await expect(warning).to_be_visible()
