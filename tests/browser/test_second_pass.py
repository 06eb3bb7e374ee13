"""Live captions in a browser while a second model revises what was said."""

from collections.abc import Iterator

import pytest
from playwright.async_api import expect

from tests.browser.conftest import OpenPage
from tests.browser.test_captions import address
from tests.browser.test_page import connected
from tests.browser.test_page_speakers import OPTIONS_SCRIPT
from tests.integration.native_clients import ask, open_client, tell, tone, until
from tests.stack import Stack, serving
from tests.tiny.whisper import write_whisper

ELEMENT_SCRIPT = """async (href) => {
    await import("/lib/captions-element.js");
    const captions = document.createElement("voxtral-captions");
    captions.setAttribute("href", href);
    document.body.append(captions);
}"""


@pytest.fixture(scope="module")
def revising(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("second")
    model = {"second": "whisper", "second_path": str(write_whisper(folder / "tiny"))}
    with serving(Stack(folder, model=model)) as stack:
        yield stack


async def test_captions_replace_a_line_by_its_revised_text(revising: Stack, open_page: OpenPage) -> None:
    client = open_client(revising, "websocket")
    ready = ask(client, type="start", language="en", partials=False, revise=True)
    page = await open_page(address(revising, ready["session_id"], ready["viewer_token"]))
    await expect(page.get_by_role("status")).to_have_text("Live")
    lines = page.get_by_role("log").locator("p")
    other = await open_page(f"{revising.web_url}/captions")
    await other.evaluate(ELEMENT_SCRIPT, page.url)
    other_lines = other.locator("voxtral-captions").get_by_role("log").locator("p")
    client.send_audio(tone(1.0))
    tell(client, type="commit")
    revised = until(client, "revised")[-1]
    for shown in (lines, other_lines):
        await expect(shown).to_have_text([revised["text"]])
    tell(client, type="stop")
    until(client, "done")
    client.close()
    await expect(page.get_by_role("status")).to_have_text("The session has ended")
    await expect(lines).to_have_text([revised["text"]])


async def test_page_offers_a_second_pass_only_if_there_is_a_second_model(
    revising: Stack, stack: Stack, open_page: OpenPage
) -> None:
    plain = await connected(await open_page(stack.web_url))
    await plain.keyboard.press("o")
    await expect(plain.get_by_label("Drop filler words")).to_be_visible()
    await expect(plain.locator("#revise")).to_be_hidden()
    page = await connected(await open_page(revising.web_url))
    await page.keyboard.press("o")
    await page.get_by_label("Correct the text afterwards").check()
    assert (await page.evaluate(OPTIONS_SCRIPT))["revise"] is True
