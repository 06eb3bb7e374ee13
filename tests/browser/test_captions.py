"""Live captions in a browser: what a projector shows while somebody speaks."""

import asyncio

import pytest
from playwright.async_api import Locator, Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.test_page import AA_CONTRAST, CONTRAST_SCRIPT, connected
from tests.integration.viewers import SECOND, Speaker, speaking
from tests.stack import Stack

PROJECTOR = {"width": 1920, "height": 1080}


def address(stack: Stack, session_id: str, token: str) -> str:
    return f"{stack.web_url}/captions?session={session_id}#token={token}"


async def test_captions_show_what_was_said_and_what_is_being_said(stack: Stack, open_page: OpenPage) -> None:
    with speaking(stack) as speaker:
        speaker.say(SECOND)
        page = await open_page(address(stack, speaker.session_id, speaker.token), viewport=PROJECTOR)
        settled, unsettled = page.get_by_role("log"), page.locator("#partials")
        await expect(settled.locator("p")).to_have_text(["1 seconds"])
        await expect(page.get_by_role("status")).to_have_text("Live")
        speaker.client.send_audio(SECOND * 2)
        await expect(unsettled.locator("p")).to_have_text(["2 seconds"])
        assert [found for found in await page.evaluate(CONTRAST_SCRIPT) if found["ratio"] < AA_CONTRAST] == []
        size = await settled.locator("p").evaluate("line => parseFloat(getComputedStyle(line).fontSize)")
        assert size >= 64, "legible from the back row"
        speaker.say()
        speaker.stop()
    await expect(settled.locator("p")).to_have_text(["1 seconds", "2.1 seconds"])
    await expect(unsettled.locator("p")).to_have_count(0)
    await expect(page.get_by_role("status")).to_have_text("The session has ended")


DRAW_SCRIPT = """
    async ([id, event]) => {
        const { drawText } = await import("./lib/partial.js");
        const line = document.createElement("p");
        document.getElementById(id).append(line);
        drawText(line, event);
        const settled = line.querySelector(".committed");
        return [line.textContent, settled?.textContent, getComputedStyle(settled ?? line).color]
    }
"""


FOLLOW_SCRIPT = """
    async (links) => {
        await import("./lib/captions-element.js");
        const captions = document.body.appendChild(document.createElement("voxtral-captions"));
        captions.addEventListener("end", () => (captions.title = "ended"));
        for (const link of links) captions.setAttribute("href", link);
    }
"""


async def test_element_shows_only_the_session_of_its_link_and_each_line_once(stack: Stack, open_page: OpenPage) -> None:
    with speaking(stack) as speaker, speaking(stack) as other:
        speaker.say(SECOND)
        other.say(SECOND * 2)
        page = await open_page(stack.web_url)
        first, second = (address(stack, one.session_id, one.token) for one in (speaker, other))
        await page.evaluate(FOLLOW_SCRIPT, [first, second, first])
        captions = page.locator("voxtral-captions")
        lines = captions.locator(".final p")
        await expect(lines).to_have_text(["1 seconds"])
        other.stop()
        speaker.say()
        await expect(lines).to_have_count(2)
        await expect(captions).not_to_have_attribute("title", "ended")
        await expect(captions).to_have_attribute("live", "")
        await captions.evaluate("(captions, link) => captions.setAttribute('href', link)", second)
        await expect(lines).to_have_text(["2 seconds"])
        await expect(captions).to_have_attribute("title", "ended")
        speaker.stop()


async def test_transcript_that_cannot_be_saved_is_reported(stack: Stack, open_page: OpenPage) -> None:
    with speaking(stack) as speaker:
        page = await open_page(address(stack, speaker.session_id, speaker.token))
        speaker.say(SECOND)
        speaker.stop()
        await expect(page.get_by_role("button", name="Subtitles")).to_be_visible()
        await page.context.set_offline(True)
        await page.get_by_role("button", name="Subtitles").click()
        await expect(page.get_by_role("status")).to_contain_text("was not saved")


@pytest.mark.parametrize("path", ["", "/captions"])
async def test_committed_words_look_settled_and_the_rest_light(stack: Stack, open_page: OpenPage, path: str) -> None:
    page = await open_page(f"{stack.web_url}{path}")
    partial = {"text": "the <b>quick</b> bro", "committed": {"text": "the <b>quick</b>"}}
    text, settled, settled_color = await page.evaluate(DRAW_SCRIPT, ["partials", partial])
    assert (text, settled) == ("the <b>quick</b> bro", "the <b>quick</b>")
    text, settled, light_color = await page.evaluate(DRAW_SCRIPT, ["partials", {"text": "the quick bro"}])
    assert (text, settled) == ("the quick bro", None)
    _, _, final_color = await page.evaluate(DRAW_SCRIPT, ["finals", {"text": "the quick brown fox."}])
    assert settled_color == final_color != light_color


async def test_captions_stay_at_the_newest_line(stack: Stack, open_page: OpenPage) -> None:
    with speaking(stack) as speaker:
        page = await open_page(address(stack, speaker.session_id, speaker.token))
        for _ in range(30):
            speaker.say()
        await expect(page.get_by_role("log").locator("p")).to_have_count(30)
        await expect(page.get_by_role("log").locator("p").last).to_be_in_viewport(ratio=1)


async def test_captions_follow_through_every_resize(stack: Stack, open_page: OpenPage) -> None:
    with speaking(stack) as speaker:
        page = await open_page(address(stack, speaker.session_id, speaker.token), viewport=PROJECTOR)
        last = await many_lines(speaker, page)
        for size in ({"width": 400, "height": 700}, {"width": 1000, "height": 300}, PROJECTOR):
            await page.set_viewport_size(size)  # type: ignore[arg-type]
            await expect(last).to_be_in_viewport(ratio=1)
        await expect(page.get_by_role("button", name="Live")).to_be_hidden()
        speaker.say()
        await expect(page.get_by_role("log").locator("p")).to_have_count(31)
        await expect(last).to_be_in_viewport(ratio=1)


async def test_captions_leave_the_reader_who_scrolls_back_and_offer_the_way_to_the_newest_line(
    stack: Stack, open_page: OpenPage
) -> None:
    with speaking(stack) as speaker:
        page = await open_page(address(stack, speaker.session_id, speaker.token))
        last = await many_lines(speaker, page)
        live = page.get_by_role("button", name="Live")
        await page.mouse.move(300, 300)
        await page.mouse.wheel(0, -600)
        await expect(live).to_be_visible()
        await expect(last).not_to_be_in_viewport()
        await page.set_viewport_size({"width": 900, "height": 500})
        speaker.say()
        await expect(page.get_by_role("log").locator("p")).to_have_count(31)
        await expect(last).not_to_be_in_viewport()
        assert [found for found in await page.evaluate(CONTRAST_SCRIPT) if found["ratio"] < AA_CONTRAST] == []
        await live.click()
        await expect(last).to_be_in_viewport(ratio=1)
        await expect(live).to_be_hidden()
        await page.mouse.move(300, 200)
        await page.mouse.wheel(0, -200)
        await expect(live).to_be_visible()
        await page.mouse.wheel(0, 2000)
        await expect(live).to_be_hidden()
        await page.set_viewport_size({"width": 500, "height": 900})
        await expect(last).to_be_in_viewport(ratio=1)


async def many_lines(speaker: Speaker, page: Page) -> Locator:
    """The last of thirty lines, once they are shown."""
    for _ in range(30):
        speaker.say()
    lines = page.get_by_role("log").locator("p")
    await expect(lines).to_have_count(30)
    await expect(lines.last).to_be_in_viewport(ratio=1)
    return lines.last


async def test_captions_say_what_is_wrong_with_their_link(stack: Stack, open_page: OpenPage) -> None:
    page = await open_page(address(stack, "0123456789abcdef", "wrong"))
    state = page.get_by_role("status")
    await expect(state).to_contain_text("No session has this id and viewer token")
    box, size = await state.bounding_box(), page.viewport_size
    assert box is not None
    assert size is not None
    assert 0.3 < (box["y"] + box["height"] / 2) / size["height"] < 0.6, "in the middle"
    page = await open_page(f"{stack.web_url}/captions?session=x")
    await expect(page.get_by_role("status")).to_contain_text("This link is incomplete")


async def test_captions_without_a_link_say_in_the_middle_where_one_comes_from(
    stack: Stack, open_page: OpenPage
) -> None:
    page = await open_page(f"{stack.web_url}/captions", viewport=PROJECTOR)
    origin = page.get_by_text("Whoever is recording can copy this link")
    await expect(origin).to_be_visible()
    box = await origin.bounding_box()
    assert box is not None
    assert 0.4 < (box["y"] + box["height"] / 2) / PROJECTOR["height"] < 0.6
    assert [found for found in await page.evaluate(CONTRAST_SCRIPT) if found["ratio"] < AA_CONTRAST] == []
    await page.get_by_role("link", name="the page").click()
    await expect(page).to_have_url(f"{stack.web_url}/")


async def test_a_recording_offers_its_captions(stack: Stack, open_page: OpenPage) -> None:
    page = await connected(await open_page(stack.web_url))
    link = page.get_by_role("link", name="Live captions")
    await expect(link).to_have_count(0)
    await page.get_by_role("button", name="Start recording").click()
    await expect(link).to_be_visible()
    async with page.expect_popup() as opening:
        await link.click()
    captions = await opening.value
    await expect(captions.locator("#partials p")).to_contain_text("seconds")
    await page.get_by_role("button", name="Share").click()
    dialog = page.get_by_role("dialog", name="Share the live captions")
    await expect(dialog.get_by_role("img", name="QR code of the link")).to_be_visible()
    await expect(dialog.get_by_role("textbox", name="Link")).to_have_value(captions.url)
    await expect(dialog.get_by_label("For OBS, over a video")).to_have_value(captions.url.replace("#", "&overlay=1#"))
    await dialog.get_by_role("button", name="Close").click()
    await page.get_by_role("button", name="Stop").click()
    await expect(captions.get_by_role("status")).to_have_text("The session has ended")
    await expect(captions.get_by_role("log").locator("p")).to_contain_text("seconds")


async def test_transcript_can_be_saved_after_the_end(stack: Stack, open_page: OpenPage) -> None:
    with speaking(stack) as speaker:
        page = await open_page(address(stack, speaker.session_id, speaker.token))
        speaker.say(SECOND)
        await expect(page.get_by_role("button", name="Subtitles")).to_be_hidden()
        speaker.stop()
        async with page.expect_download() as started:
            await page.get_by_role("button", name="Subtitles").click()
    text = await asyncio.to_thread((await (await started.value).path()).read_text)
    assert text.startswith("1\n00:00:00,000 --> ")


async def test_overlay_is_transparent_and_shows_only_the_newest_lines(stack: Stack, open_page: OpenPage) -> None:
    with speaking(stack) as speaker:
        url = address(stack, speaker.session_id, speaker.token).replace("#", "&overlay=1&size=40&lines=2&align=right#")
        page = await open_page(url, viewport=PROJECTOR)
        for _ in range(5):
            speaker.say()
        lines = page.get_by_role("log").locator("p")
        await expect(lines).to_have_count(5)
        await expect(lines.last).to_be_in_viewport(ratio=1)
        style = "line => { const s = getComputedStyle(line); return [s.fontSize, s.textAlign] }"
        assert await lines.last.evaluate(style) == ["40px", "right"]
        assert await page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgba(0, 0, 0, 0)"
        await expect(page.get_by_role("status")).to_be_hidden()
        height = await page.locator("#captions").evaluate("captions => captions.clientHeight")
        assert height <= 2 * 1.35 * 40
