"""The page as its users meet it: with a mouse, a keyboard, a screen reader, a phone, and when things go wrong."""

import asyncio
import re
from pathlib import Path

import numpy as np
from playwright.async_api import Page, expect

from tests.browser.conftest import OpenPage, write_wav
from tests.browser.proxy import proxied_under
from tests.browser.slots import all_taken
from tests.browser.test_accessibility import check
from tests.limits import limit_s
from tests.speech import silence
from tests.stack import Stack

CONTRAST_SCRIPT = (Path(__file__).parent / "contrast.js").read_text()
AA_CONTRAST = 4.5
SMALL_SCREENS = [
    {"width": width, "height": height} for width, height in ((320, 700), (390, 700), (768, 700), (640, 320))
]
SNIPPET = (Path(__file__).parent / "existing_client.js").read_text()
STORED_DOCUMENTS = """
    import("./storage.js").then(async ({ Storage }) => (await (await Storage.open()).documents()).length)
"""
FOCUS_RING_SCRIPT = """
    getComputedStyle(document.querySelector("input[type=radio]:focus + span, :focus:not([type=radio])")).outlineStyle
"""


async def connected(page: Page) -> Page:
    await expect(page.get_by_role("status")).to_have_text("Connected")
    await expect(page.get_by_text("echo on cpu")).to_be_visible()
    return page


async def with_options(page: Page) -> Page:
    await page.get_by_role("button", name="Options").click()
    return page


async def test_recording_shows_partials_then_finals_and_latency(stack: Stack, open_page: OpenPage) -> None:
    page = await with_options(await connected(await open_page(stack.web_url)))
    await page.get_by_role("button", name="Start recording").click()
    partial = page.get_by_role("list", name="Text that may still change").get_by_role("listitem")
    await expect(partial).to_contain_text("seconds")
    await expect(page).to_have_title(re.compile(r"^● 0:0\d "))
    await expect(page.locator("#latency-latest")).to_have_text(re.compile(r"^\d+ ms$"))
    await expect(page.locator("#latency-median")).to_have_text(re.compile(r"^\d+ ms$"))
    await page.get_by_role("button", name="Stop").click()
    await expect(page.get_by_role("log").get_by_role("listitem")).to_contain_text("seconds")
    await expect(partial).to_have_count(0)
    await expect(page.get_by_role("button", name="Start recording")).to_be_visible()


async def test_only_settled_text_is_announced(stack: Stack, open_page: OpenPage) -> None:
    page = await connected(await open_page(stack.web_url))
    settled, unsettled = page.get_by_role("log"), page.get_by_role("list", name="Text that may still change")
    await expect(settled).to_have_attribute("aria-label", "Final text")
    assert (
        await unsettled.evaluate("list => list.closest('[aria-live], [role=log], [role=status], [role=alert]')") is None
    )


async def test_everything_works_from_the_keyboard(stack: Stack, open_page: OpenPage) -> None:
    page = await connected(await open_page(stack.web_url))
    reached = []
    for _ in range(8):
        await page.keyboard.press("Tab")
        reached.append(await page.evaluate("document.activeElement.id"))
        assert await page.evaluate(FOCUS_RING_SCRIPT) == "solid", reached[-1]
    opened = ["skip", "toggle-history", "toggle-options", "search", "bound", "transcript", "record", "choose-file"]
    assert [one for one in reached if one] == opened
    await page.keyboard.press("o")
    await page.get_by_role("radio", name="Transcribe").focus()
    await page.keyboard.press("ArrowRight")
    await expect(page.get_by_role("radio", name="Translate to English")).to_be_checked()
    await page.keyboard.press("ArrowLeft")
    await page.get_by_role("button", name="Start recording").focus()
    await page.keyboard.press("Space")
    await expect(page.get_by_role("button", name="Stop")).to_be_focused()
    await expect(page.get_by_text("seconds")).to_be_visible()
    await page.keyboard.press("p")
    await expect(page.get_by_role("button", name="Resume")).to_be_visible()
    await page.keyboard.press("r")
    await expect(page.get_by_role("button", name="Start recording")).to_be_focused()
    await page.keyboard.press("?")
    await expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_contain_text("Search all transcripts")
    await page.keyboard.press("Escape")
    await page.keyboard.press("/")
    await expect(page.get_by_role("searchbox", name="Search all transcripts")).to_be_focused()


async def test_every_control_has_a_name(stack: Stack, open_page: OpenPage) -> None:
    page = await with_options(await connected(await open_page(stack.web_url)))
    for role, name in [
        ("heading", "Voxtral"),
        ("button", "Start recording"),
        ("button", "Choose files…"),
        ("navigation", "Recordings"),
        ("searchbox", "Search all transcripts"),
        ("group", "Mode"),
        ("radio", "Transcribe"),
        ("radio", "Understand"),
        ("radio", "General"),
        ("combobox", "Language"),
        ("textbox", "Prompt optional"),
        ("combobox", "Microphone"),
        ("group", "Text"),
        ("checkbox", "Speakers"),
        ("checkbox", "Numbers in digits"),
        ("checkbox", "Mask profanity"),
        ("checkbox", "Drop filler words"),
        ("region", "Transcript"),
    ]:
        await expect(page.get_by_role(role, name=name, exact=True)).to_be_visible()
    nameless = "[...document.querySelectorAll('button')].filter(button => !button.textContent.trim()).length"
    assert await page.evaluate(nameless) == 0
    assert await page.evaluate("document.documentElement.lang") == "en"


async def test_chosen_file_is_transcribed_with_times(stack: Stack, open_page: OpenPage, tmp_path: Path) -> None:
    page = await connected(await open_page(stack.web_url))
    write_wav(tmp_path / "talk.wav", silence(25), 16_000)
    await page.locator("#file").set_input_files(tmp_path / "talk.wav")
    rows = page.get_by_role("log").get_by_role("listitem")
    await expect(rows.nth(1)).to_be_visible()
    await expect(page.get_by_role("button", name="Start recording")).to_be_visible()
    times = await rows.locator("time").all_text_contents()
    assert len(times) >= 2
    assert times[0] == "0:00"
    assert times[1] >= "0:10"
    await page.get_by_text("Export").click()
    async with page.expect_download() as started:
        await page.get_by_role("button", name="SRT subtitles").click()
    assert (await started.value).suggested_filename == "talk.srt"
    subtitles = await asyncio.to_thread((await (await started.value).path()).read_text)
    assert re.match(r"1\n00:00:00,000 --> 00:00:\d\d,\d{3}\n1[\d.]+ seconds\n\n2\n00:00:1\d,\d{3} --> ", subtitles)
    await page.get_by_role("button", name="Clear").click()
    await expect(rows).to_have_count(0)
    await page.locator("#toast").get_by_role("button", name="Undo").click()
    await expect(rows.nth(1)).to_be_visible()


async def test_dropped_file_is_transcribed(stack: Stack, open_page: OpenPage, tmp_path: Path) -> None:
    page = await connected(await open_page(stack.web_url))
    write_wav(tmp_path / "talk.wav", silence(2), 16_000)
    samples = list((tmp_path / "talk.wav").read_bytes())
    dropped = await page.evaluate_handle(
        """bytes => {
            const transfer = new DataTransfer();
            transfer.items.add(new File([new Uint8Array(bytes)], "talk.wav", {type: "audio/wav"}));
            return transfer;
        }""",
        samples,
    )
    await page.dispatch_event("body", "drop", {"dataTransfer": dropped})
    await expect(page.get_by_role("log")).to_contain_text("2 seconds")


async def test_question_about_a_file_is_answered_as_one(stack: Stack, open_page: OpenPage, tmp_path: Path) -> None:
    page = await with_options(await connected(await open_page(stack.web_url)))
    write_wav(tmp_path / "talk.wav", silence(3), 16_000)
    await page.get_by_role("radio", name="Understand").check()
    await page.locator("#file").set_input_files(tmp_path / "talk.wav")
    await expect(page.get_by_role("log").get_by_role("listitem")).to_have_count(1)
    await expect(page.get_by_role("log")).to_contain_text("3 seconds")


async def test_file_that_is_no_audio_is_explained(stack: Stack, open_page: OpenPage, tmp_path: Path) -> None:
    page = await connected(await open_page(stack.web_url))
    (tmp_path / "letter.wav").write_bytes(b"RIFF" + b"this is no recording at all " * 40)
    await page.locator("#file").set_input_files(tmp_path / "letter.wav")
    await expect(page.get_by_role("alert")).to_contain_text("The file is text; send a recording")
    (tmp_path / "broken.ogg").write_bytes(b"OggS\x00\x02" + b"this breaks off" * 40)
    await page.locator("#file").set_input_files(tmp_path / "broken.ogg")
    await expect(page.get_by_role("alert")).to_contain_text("Ogg file")
    await expect(page.get_by_role("button", name="Start recording")).to_be_visible()


async def test_forbidden_microphone_is_explained(stack: Stack, open_page: OpenPage) -> None:
    page = await connected(await open_page(stack.web_url, microphone=False))
    await page.get_by_role("button", name="Start recording").click()
    await expect(page.get_by_role("alert")).to_contain_text("does not let this page use the microphone")
    await check(page, "error")
    await expect(page.get_by_role("button", name="Try again", exact=True)).to_be_visible()
    await expect(page.get_by_label("Name")).to_be_hidden()
    assert await page.evaluate(STORED_DOCUMENTS) == 0
    await page.get_by_role("button", name="Dismiss").click()
    await expect(page.get_by_role("alert")).to_have_count(0)
    await expect(page.get_by_role("button", name="Start recording")).to_be_visible()


async def test_audio_that_does_not_start_is_explained(stack: Stack, open_page: OpenPage) -> None:
    """As in Firefox on a computer without an audio output."""
    page = await connected(await open_page(stack.web_url))
    await page.clock.install()
    await page.evaluate("void (AudioContext.prototype.resume = () => new Promise(() => (window.hasAsked = true)))")
    await page.get_by_role("button", name="Start recording").click()
    await page.wait_for_function("() => window.hasAsked")
    await page.clock.fast_forward(10_000)
    await expect(page.get_by_role("alert")).to_contain_text("does not start its audio")
    await expect(page.get_by_role("button", name="Start recording")).to_be_visible()


async def test_recording_continues_while_the_server_is_busy(stack: Stack, open_page: OpenPage) -> None:
    page = await connected(await open_page(stack.web_url))
    async with all_taken(stack):
        await page.get_by_role("button", name="Start recording").click()
        await expect(page.get_by_role("alert")).to_contain_text(re.compile("slot.*Your recording continues"))
        await expect(page.get_by_role("button", name="Stop")).to_be_visible()
    await expect(page.get_by_text("seconds")).to_be_visible(timeout=limit_s(20) * 1000)
    await expect(page.get_by_role("alert")).to_have_count(0)
    assert (await page.locator("#partials time").all_text_contents())[0] == "0:00"
    await page.get_by_role("button", name="Stop").click()


async def test_lost_server_is_told_and_found_again(stack: Stack, open_page: OpenPage) -> None:
    page = await connected(await open_page(stack.web_url))
    await asyncio.to_thread(stack.stop, "web")
    await expect(page.get_by_role("status")).to_have_text("Not connected, retrying…")
    await expect(page.get_by_role("button", name="Reconnect")).to_be_visible()
    await expect(page.get_by_role("button", name="Start recording")).to_be_visible()
    stack.spawn("web")
    await expect(page.get_by_role("status")).to_have_text("Connected", timeout=limit_s(20) * 1000)


async def test_all_text_has_enough_contrast(stack: Stack, open_page: OpenPage, tmp_path: Path) -> None:
    page = await connected(await open_page(stack.web_url))
    (tmp_path / "letter.wav").write_bytes(b"this is no recording")
    await page.locator("#file").set_input_files(tmp_path / "letter.wav")
    await expect(page.get_by_role("alert")).to_be_visible()
    await page.evaluate(
        """async () => {
            const rows = "<li><time>0:01</time><button class=speaker>A</button><p>Some words</p></li>";
            for (const id of ["finals", "partials"]) document.getElementById(id).innerHTML = rows;
            const parts = ["document-header", "options-panel", "latency", "reconnect", "mode-hint", "find"];
            for (const id of [...parts, "player", "toast", "activity"]) document.getElementById(id).hidden = false;
        }"""
    )
    grounds = set()
    for scheme in ("light", "dark"):
        await page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        weak = [found for found in await page.evaluate(CONTRAST_SCRIPT) if found["ratio"] < AA_CONTRAST]
        assert weak == [], scheme
        grounds.add(await page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert len(grounds) == 2


async def test_nothing_is_cut_off_on_small_screens(stack: Stack, open_page: OpenPage) -> None:
    page = await open_page(stack.web_url, viewport=SMALL_SCREENS[0])
    await expect(page.locator("#link-state")).to_have_text("Connected")
    for size in SMALL_SCREENS:
        await page.set_viewport_size(size)  # type: ignore[arg-type]
        assert await page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    await page.get_by_role("button", name="Start recording").click()
    await expect(page.get_by_text("seconds")).to_be_visible()
    for size in SMALL_SCREENS:
        await page.set_viewport_size(size)  # type: ignore[arg-type]
        assert await page.evaluate("document.documentElement.scrollWidth") <= size["width"]
        await expect(page.get_by_role("button", name="Stop")).to_be_in_viewport()
    await page.get_by_role("button", name="Stop").click()


async def test_print_has_the_document_alone(stack: Stack, open_page: OpenPage) -> None:
    page = await open_page(stack.web_url)
    await page.get_by_role("button", name="Start recording").click()
    await expect(page.get_by_text("seconds")).to_be_visible()
    await page.get_by_role("button", name="Stop").click()
    await page.emulate_media(media="print")
    await expect(page.get_by_role("log")).to_contain_text("seconds")
    await expect(page.get_by_role("log")).to_be_visible()
    actions = page.locator("button:not(#transcript *)").filter(visible=True)
    assert await actions.all_text_contents() == []


async def test_page_can_be_installed_as_an_application(stack: Stack, open_page: OpenPage) -> None:
    page = await open_page(stack.web_url)
    link = await page.locator("link[rel=manifest]").get_attribute("href")
    manifest = await (await page.request.get(f"{stack.web_url}/{link}")).json()
    assert {"name", "start_url", "display"} <= manifest.keys()
    for icon in manifest["icons"]:
        assert (await page.request.get(f"{stack.web_url}/{icon['src']}")).headers["content-type"] == icon["type"]


async def test_socket_address_follows_the_page(stack: Stack, open_page: OpenPage) -> None:
    page = await open_page(f"{stack.web_url}/captions")
    addresses = await page.evaluate(
        """async pages => {
            const { webSocketUrl } = await import("./socket-address.js");
            return pages.map((page) => webSocketUrl(page, "a+b"));
        }""",
        [
            "http://localhost:8000/",
            "https://abc-8000.proxy.runpod.net/",
            "https://voice.example/some/path/",
            "https://voice.example/some/path/index.html?a=1#b",
        ],
    )
    assert addresses == [
        "ws://localhost:8000/ws?page=a%2Bb",
        "wss://abc-8000.proxy.runpod.net/ws?page=a%2Bb",
        "wss://voice.example/some/path/ws?page=a%2Bb",
        "wss://voice.example/some/path/ws?page=a%2Bb",
    ]


async def test_page_works_under_a_path(stack: Stack, open_page: OpenPage) -> None:
    async with proxied_under("/voice/here/", stack.settings.server.http_port) as address:
        page = await connected(await open_page(address))
        await page.get_by_role("button", name="Start recording").click()
        await expect(page.get_by_text("seconds")).to_be_visible()
        await page.get_by_role("button", name="Stop").click()
        await expect(page.get_by_role("log")).to_contain_text("seconds")


async def test_snippet_for_existing_browser_clients_works(stack: Stack, open_page: OpenPage) -> None:
    page = await open_page(f"{stack.web_url}/captions")
    snippet = SNIPPET.replace("ws://host:8765", stack.ws_url)
    audio = np.zeros(32_000, np.int16).tobytes()
    async with page.expect_console_message() as logged:
        await page.evaluate(
            "([snippet, bytes]) => new Function('base64AudioData', snippet)(btoa('\\0'.repeat(bytes)))",
            [snippet, len(audio)],
        )
    assert (await logged.value).text == "2 seconds"


async def test_unsure_words_are_marked(stack: Stack, open_page: OpenPage) -> None:
    page = await open_page(f"{stack.web_url}/captions")
    drawn = await page.evaluate("""async () => {
        const { drawText } = await import(new URL("lib/partial.js", document.baseURI));
        const element = document.createElement("p");
        const words = [{ text: "my", confidence: 0.9 }, { text: "my", confidence: 0.2 }, { text: "cat." }];
        drawText(element, { text: "my my cat.", words });
        return element.innerHTML;
    }""")
    assert drawn == 'my <span class="unsure" title="Unsure: 20 %">my</span> cat.'
