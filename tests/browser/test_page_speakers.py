"""Speakers on the page and in live captions: their labels, later labels, names that the reader gives, and the files."""

import asyncio
from typing import Any

import orjson
from playwright.async_api import Locator, Page, expect
from redis import Redis

from shared.bus import keys
from tests.browser.conftest import OpenPage
from tests.browser.test_captions import address
from tests.browser.test_page import connected
from tests.integration.viewers import speaking
from tests.stack import Stack

OPTIONS_SCRIPT = """async () => {
    const { OptionsForm } = await import("./options.js");
    const settings = { choices: { options: {}, recentLanguages: [] }, save() {} };
    return new OptionsForm(document.getElementById("options"), settings).chosen;
}"""
SHOW_SCRIPT = """async (events) => {
    const { TranscriptDocument } = await import("./transcript-document.js");
    const { DocumentView } = await import("./document-view.js");
    const { asText, asSrt } = await import("./exports.js");
    if (!window.shown) {
        const given = { name: "a", kind: "recording", mode: "transcribe" };
        window.shown = TranscriptDocument.create(given, { id: "1", createdMs: 0 });
        const elements = { scroller: document.getElementById("transcript") };
        for (const id of ["finals", "partials", "empty"]) elements[id] = document.getElementById(id);
        const onSpeaker = (label) => (window.renamed = label);
        window.view = new DocumentView(elements, { onSeek() {}, onEdit() {}, onSpeaker });
        window.view.show(window.shown);
    }
    for (const event of events) window.shown.apply(event);
    window.view.draw();
    return [asText(window.shown.saved), asSrt(window.shown.saved)];
}"""


def final(segment: int, tagged: str) -> dict[str, Any]:
    """`A:word` is spoken by A."""
    words = [
        {"text": one.rpartition(":")[2], "start": segment * 10 + index, "end": segment * 10 + index + 1}
        | ({"speaker": one.rpartition(":")[0]} if ":" in one else {})
        for index, one in enumerate(tagged.split())
    ]
    text = " ".join(word["text"] for word in words)
    end = segment * 10 + len(words)
    label = {"speaker": words[0]["speaker"]} if "speaker" in words[0] else {}
    return {
        "type": "final",
        "segment": segment,
        "text": text,
        "start": segment * 10,
        "end": end,
        "words": words,
        **label,
    }


def labels(segment: int, *speakers: str | None) -> dict[str, Any]:
    said = {"segment": segment, "word_speakers": list(speakers)} | ({"speaker": speakers[0]} if speakers[0] else {})
    return {"type": "speakers", "segments": [said]}


def rows(page: Page) -> Locator:
    return page.get_by_role("log").get_by_role("listitem")


def speakers(page: Page) -> Locator:
    return page.get_by_role("log").locator(".speaker")


async def test_the_options_of_the_text_are_sent_only_if_they_are_checked(stack: Stack, open_page: OpenPage) -> None:
    page = await connected(await open_page(stack.web_url))
    await page.keyboard.press("o")
    assert await page.evaluate(OPTIONS_SCRIPT) == {"mode": "transcribe", "language": None, "prompt": None}
    for name in ("Speakers", "Numbers in digits", "Mask profanity", "Drop filler words"):
        await page.get_by_role("checkbox", name=name).check()
    await page.get_by_label("Key terms").fill("Kowalczyk, Ann Lee,")
    await page.get_by_label("Key terms").blur()
    written = {"numerals": True, "profanity": "mask", "filler_words": "drop"}
    of_transcripts = {"diarize": True, "keyterms": ["Kowalczyk", "Ann Lee"]}
    chosen = await page.evaluate(OPTIONS_SCRIPT)
    assert {name: chosen[name] for name in written | of_transcripts} == written | of_transcripts
    await page.reload()
    await connected(page)
    await page.keyboard.press("o")
    await expect(page.get_by_role("checkbox", name="Mask profanity")).to_be_checked()
    await page.get_by_role("radio", name="Translate to English").check()
    await expect(page.get_by_role("checkbox", name="Speakers")).to_be_disabled()
    chosen = await page.evaluate(OPTIONS_SCRIPT)
    assert chosen.items() >= written.items()
    assert not of_transcripts.keys() & chosen.keys()


async def test_each_turn_is_labelled_where_the_speaker_changes(stack: Stack, open_page: OpenPage) -> None:
    page = await connected(await open_page(stack.web_url))
    text, subtitles = await page.evaluate(SHOW_SCRIPT, [final(0, "A:Hello A:there. B:Hi!"), final(1, "B:Yes.")])
    await expect(speakers(page)).to_have_text(["Speaker A", "Speaker B"])
    await expect(rows(page).locator("p")).to_have_text(["Hello there.", "Hi!", "Yes."])
    assert text == "Speaker A:\nHello there.\n\nSpeaker B:\nHi!\nYes.\n"
    assert "\nSpeaker B: Hi!\n" in subtitles
    await speakers(page).last.click()
    assert await page.evaluate("window.renamed") == "B"
    await page.evaluate("window.view.setEditing(true)")
    await expect(rows(page).locator("p")).to_have_text(["Hello there. Hi!", "Yes."])
    await page.evaluate("window.view.setEditing(false)")
    await expect(rows(page).locator("p")).to_have_text(["Hello there.", "Hi!", "Yes."])


async def test_later_labels_replace_those_of_past_finals(stack: Stack, open_page: OpenPage) -> None:
    page = await connected(await open_page(stack.web_url))
    await page.evaluate(SHOW_SCRIPT, [final(0, "A:Hello."), final(1, "Oh. Yes."), final(2, "A:Bye.")])
    await expect(speakers(page)).to_have_text(["Speaker A", "Speaker A"])
    text, _ = await page.evaluate(SHOW_SCRIPT, [labels(1, "B", None), labels(2, "C")])
    await expect(speakers(page)).to_have_text(["Speaker A", "Speaker B", "?", "Speaker C"])
    assert text == "Speaker A:\nHello.\n\nSpeaker B:\nOh.\n\n?:\nYes.\n\nSpeaker C:\nBye.\n"
    await expect(rows(page).get_by_role("button", name="?")).to_have_count(0)


async def test_captions_name_the_speakers(stack: Stack, open_page: OpenPage) -> None:
    with speaking(stack) as speaker:
        said = [final(7, "A:Hello B:Hi!"), final(8, "Oh."), labels(8, "A")]
        page = await open_page(address(stack, speaker.session_id, speaker.token))
        await expect(page.get_by_role("status")).to_have_text("Live")
        assert await asyncio.to_thread(published, stack, speaker.session_id, said) == len(said)
        lines = page.get_by_role("log").locator("p")
        await expect(lines).to_have_text(["Speaker A: Hello", "Speaker B: Hi!", "Speaker A: Oh."])


def published(stack: Stack, session_id: str, events: list[dict[str, Any]]) -> int:
    """Publish events as the session's worker does; returns how many were received."""
    with Redis.from_url(stack.settings.redis_url) as redis:
        seq = int(redis.hget(keys.session(session_id), "seq") or 0)
        return sum(
            redis.publish(
                keys.channel(session_id), orjson.dumps(event | {"session_id": session_id, "seq": seq + number})
            )
            > 0
            for number, event in enumerate(events, start=1)
        )
