"""Documents that the browser has stored are read, played and searched."""

from typing import Any

from playwright.async_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.stack import Stack

STORE = """
    async (documents) => {
        const storage = await (await import("./storage.js")).Storage.open();
        for (const [createdMs, given] of documents.entries()) {
            const made = { id: given.name, createdMs, kind: "recording", mode: "transcribe", state: "done" };
            await storage.save({ ...made, model: null, speakers: {}, peaks: [], ...given });
            if (!given.durationS) continue;
            const blob = new Blob([new Int16Array(8000 * given.durationS)]);
            await storage.putAudio({ id: given.name, index: 0, blob }, { bytes: blob.size, sampleRate: 8000 });
        }
    }
"""
SCROLLED_PX = "document.querySelector('#transcript').scrollTop"


def document(name: str, texts: list[str], *, played_s: int = 0, start_s: float = 0) -> dict[str, Any]:
    """What is stored of a document with a segment for each second and, if `played_s` is given, silence as its audio."""
    segments = [
        {"id": f"1.{at}", "start": start_s + at, "end": start_s + at + 1, "text": text, "words": []}
        for at, text in enumerate(texts)
    ]
    return {"name": name, "segments": segments, "durationS": played_s}


def long(name: str, *, played_s: int = 0) -> dict[str, Any]:
    """A document that is longer than the screen, and begins with silence."""
    texts = [f"Sentence number {at} of this text." for at in range(100)]
    return document(name, texts, played_s=played_s, start_s=0.5)


async def stored(page: Page, *documents: dict[str, Any]) -> Page:
    """A page whose browser has these documents, the newest last."""
    await expect(page.locator("#link-state")).to_have_text("Connected")
    await page.evaluate(STORE, documents)
    await page.reload()
    await expect(page.locator("#documents button")).to_have_count(len(documents))
    return page


async def opened(page: Page, name: str) -> None:
    await page.locator("#documents button", has_text=name).click()
    await expect(page.get_by_label("Name", exact=True)).to_have_value(name)


async def test_document_opens_at_its_beginning(stack: Stack, open_page: OpenPage) -> None:
    page = await stored(await open_page(stack.web_url), long("talk"), long("meeting"))
    for name in ("talk", "meeting"):
        await opened(page, name)
        assert await page.evaluate(SCROLLED_PX) == 0
        await page.evaluate(f"{SCROLLED_PX} = 100000")


async def test_transcript_without_speech_says_so(stack: Stack, open_page: OpenPage) -> None:
    page = await stored(await open_page(stack.web_url), document("silence", []))
    await expect(page.get_by_text("The transcript appears here")).to_be_visible()
    await opened(page, "silence")
    await expect(page.get_by_text("no speech was found")).to_be_visible()
    await page.get_by_role("button", name="Delete").click()
    await expect(page.get_by_text("The transcript appears here")).to_be_visible()


async def test_playing_does_not_pull_back_a_view_that_was_scrolled_away(stack: Stack, open_page: OpenPage) -> None:
    page = await stored(await open_page(stack.web_url), long("talk", played_s=100))
    await opened(page, "talk")
    await page.get_by_role("button", name="Play").click()
    await expect(page.locator(".played")).to_contain_text("Sentence number 0")
    await page.evaluate(f"{SCROLLED_PX} = 100000")
    scrolled_px = await page.evaluate(SCROLLED_PX)
    await page.wait_for_function("() => document.querySelectorAll('#finals li')[2].querySelector('.played')")
    assert await page.evaluate(SCROLLED_PX) == scrolled_px
    await page.evaluate(f"{SCROLLED_PX} = 0")
    await page.get_by_role("slider", name="Position").fill("80")
    await expect(page.locator("#finals li").nth(80)).to_be_in_viewport()
    await page.wait_for_function(  # the view follows again
        "() => document.querySelectorAll('#finals li')[82].querySelector('.played')"
    )
    await expect(page.locator("#finals li").nth(82)).to_be_in_viewport()


async def test_nothing_is_marked_before_the_audio_is_played(stack: Stack, open_page: OpenPage) -> None:
    page = await stored(await open_page(stack.web_url), document("talk", ["Good morning."], played_s=2))
    await opened(page, "talk")
    await expect(page.get_by_role("group", name="Player")).to_be_visible()
    await expect(page.locator(".played")).to_have_count(0)
    await page.get_by_role("slider", name="Position").fill("0.5")
    await expect(page.locator(".played")).to_have_text("Good morning.")


async def test_keys_for_a_document_do_nothing_without_one(stack: Stack, open_page: OpenPage) -> None:
    page = await stored(await open_page(stack.web_url), document("talk", ["Good morning."]))
    await page.keyboard.press("e")
    await page.keyboard.press("f")
    await opened(page, "talk")
    await expect(page.get_by_role("button", name="Edit")).to_have_attribute("aria-pressed", "false")
    await expect(page.locator("#find")).to_be_hidden()


async def test_icon_of_the_record_button_is_visible_in_forced_colours(stack: Stack, open_page: OpenPage) -> None:
    page = await open_page(stack.web_url, forced_colors="active")
    icon, button = await page.evaluate(
        """[".record-icon", "#record"].map((chosen) => getComputedStyle(document.querySelector(chosen)))
            .map(({ backgroundColor }) => backgroundColor)"""
    )
    assert icon != button


async def test_search_leads_to_the_place_in_the_text(stack: Stack, open_page: OpenPage) -> None:
    page = await stored(await open_page(stack.web_url), long("talk"))
    await page.get_by_role("searchbox").fill("Number 70")
    await opened(page, "talk")
    await expect(page.locator("#finals .found")).to_contain_text("Sentence number 70")
    await expect(page.locator("#finals .found")).to_be_in_viewport()
    await page.get_by_role("searchbox").fill("")
    await opened(page, "talk")
    await expect(page.locator("#finals .found")).to_have_count(0)
    await expect(page.locator("#finals li").first).to_be_in_viewport()


async def test_times_are_chosen_by_keyboard(stack: Stack, open_page: OpenPage) -> None:
    page = await stored(await open_page(stack.web_url), document("talk", ["One.", "Two.", "Three."], played_s=3))
    await opened(page, "talk")
    times = page.get_by_role("log").get_by_role("button")
    await expect(times.first).to_be_enabled()
    await page.locator("#transcript").press("Tab")
    await expect(times.first).to_be_focused()
    for key in ("ArrowDown", "ArrowDown", "ArrowDown", "ArrowUp"):
        await page.keyboard.press(key)
    await page.keyboard.press("Enter")
    await expect(page.locator(".played")).to_have_text("Two.")
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("button", name="Play")).to_be_focused()


async def test_times_of_a_document_without_audio_cannot_be_chosen(stack: Stack, open_page: OpenPage) -> None:
    page = await stored(await open_page(stack.web_url), document("talk", ["One."]))
    await opened(page, "talk")
    await expect(page.get_by_role("log").get_by_role("button", name="0:00")).to_be_disabled()


async def test_screen_readers_announce_new_text_only(stack: Stack, open_page: OpenPage) -> None:
    """A live region announces what is added to it, and all the lines of a document that is opened are."""
    page = await stored(await open_page(stack.web_url), document("talk", ["Good morning."]))
    await page.evaluate(
        """() => {
            window.announced = [];
            const finals = document.querySelector("#finals");
            const isAnnounced = () => finals.closest("[aria-live]").ariaLive !== "off";
            const noted = () => isAnnounced() && window.announced.push(finals.innerText);
            new MutationObserver(noted).observe(finals, { childList: true });
        }"""
    )
    await opened(page, "talk")
    await expect(page.get_by_role("log")).to_contain_text("Good morning.")
    await page.get_by_role("button", name="Start recording").click()
    await expect(page.locator("#partials")).to_contain_text("seconds")
    await page.get_by_role("button", name="Stop").click()
    await expect(page.get_by_role("log")).to_contain_text("seconds")
    assert "seconds" in "".join(await page.evaluate("window.announced"))
    await opened(page, "talk")
    await expect(page.get_by_role("log")).to_contain_text("Good morning.")
    assert "Good morning." not in "".join(await page.evaluate("window.announced"))


async def test_stored_documents_are_read_once(stack: Stack, open_page: OpenPage) -> None:
    """To read the texts of a year takes seconds, so that each opening and each edit would."""
    page = await stored(await open_page(stack.web_url), document("talk", ["One."]), document("meeting", ["Two."]))
    await page.evaluate(
        """() => {
            window.reads = [];
            const { getAll } = IDBObjectStore.prototype;
            IDBObjectStore.prototype.getAll = function (...given) {
                window.reads.push(this.name);
                return getAll.apply(this, given);
            };
        }"""
    )
    other = await stored_elsewhere(page)
    await opened(page, "meeting")
    await page.get_by_label("Name", exact=True).fill("Our meeting")
    await page.keyboard.press("Enter")
    await expect(page.locator("#documents button", has_text="Our meeting")).to_have_attribute("aria-current", "true")
    await expect(other.locator("#documents button", has_text="Our meeting")).to_be_visible()
    await opened(other, "talk")
    await other.get_by_label("Name", exact=True).fill("Their talk")
    await other.keyboard.press("Enter")
    await expect(page.locator("#documents button", has_text="Their talk")).to_be_visible()
    await opened(page, "Their talk")
    await other.get_by_role("button", name="Delete").click()
    await expect(page.locator("#documents button")).to_have_count(1)
    await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    await opened(page, "Our meeting")
    reads = await page.evaluate("window.reads")
    assert "facts" in reads
    assert "documents" not in reads


async def stored_elsewhere(page: Page) -> Page:
    """Another tab with the documents of this one."""
    other = await page.context.new_page()
    await other.goto(page.url)
    await expect(other.locator("#documents button")).to_have_count(await page.locator("#documents button").count())
    return other
