"""Someone speaks into the microphone, and reads what was said."""

import re

import numpy as np
from playwright.async_api import expect

from tests.browser.conftest import MICROPHONE_RATE_HZ, OpenPage
from tests.limits import limit_s
from tests.speech import synthesise
from tests.stack import Stack

KEEP_TEXTS = """list => {
    window.shownTexts = [];
    new MutationObserver(() => window.shownTexts.push(list.textContent))
        .observe(list, {childList: true, characterData: true, subtree: true});
}"""
"""A text may be replaced sooner than a test that polls can see it."""
SENTENCE = "Please remember to water the plants in the kitchen while we are away."


async def test_spoken_words_appear_while_they_are_spoken(whisper_stack: Stack, open_page: OpenPage) -> None:
    pause = np.zeros(MICROPHONE_RATE_HZ, np.float32)
    speech = np.concatenate([pause, synthesise(SENTENCE, sample_rate=MICROPHONE_RATE_HZ)])
    page = await open_page(whisper_stack.web_url, hears=speech)
    await expect(page.get_by_role("status")).to_have_text("Connected")
    partials = page.get_by_role("list", name="Text that may still change")
    await partials.evaluate(KEEP_TEXTS)
    await page.get_by_role("button", name="Start recording").click()
    settled = page.get_by_role("log")
    await expect(settled).to_contain_text(re.compile("while we are away", re.IGNORECASE), timeout=limit_s(20) * 1000)
    await page.get_by_role("button", name="Stop").click()
    await expect(page.get_by_role("button", name="Start recording")).to_be_visible(timeout=limit_s(20) * 1000)
    words = re.sub(r"[^a-z ]", "", (await settled.locator("p").first.inner_text()).lower())
    assert words == re.sub(r"[^a-z ]", "", SENTENCE.lower())
    shown = await page.evaluate("() => window.shownTexts")
    assert any("remember" in text.lower() for text in shown), shown


async def test_modes_of_other_models_are_not_offered(whisper_stack: Stack, open_page: OpenPage) -> None:
    page = await open_page(whisper_stack.web_url)
    await expect(page.get_by_text("whisper-base on cpu")).to_be_visible()
    await page.get_by_role("button", name="Options").click()
    modes = page.get_by_role("group", name="Mode")
    await expect(modes.get_by_role("radio")).to_have_count(2)
    await expect(modes.get_by_role("radio", name="Translate to English")).to_be_enabled()
    await expect(modes).to_have_accessible_description(re.compile(r"Voxtral.* adds: Understand, General\."))


async def test_choices_are_there_after_a_reload(whisper_stack: Stack, open_page: OpenPage) -> None:
    page = await open_page(whisper_stack.web_url)
    for _ in range(2):
        await expect(page.get_by_text("whisper-base on cpu")).to_be_visible()
        await page.get_by_role("button", name="Options").click()
        await page.get_by_role("combobox", name="Language").select_option(label="German")
        await page.get_by_label("Prompt").fill("Anna Schmidt")
        await page.get_by_label("Prompt").blur()
        await page.reload()
        await expect(page.get_by_role("combobox", name="Language", include_hidden=True)).to_have_value("de")
        await expect(page.get_by_label("Prompt")).to_have_value("Anna Schmidt")
    recent = page.locator("#language optgroup").first
    await expect(recent).to_have_attribute("label", "Recent")
    await expect(recent.locator("option")).to_have_text(["German"])
