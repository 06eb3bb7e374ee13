"""Recordings and files are documents that stay in the browser: listen, correct, find, export, continue."""

import asyncio
import json
import os
import re
import struct
from pathlib import Path

import numpy as np
from playwright.async_api import Locator, Page, expect

from tests.browser.conftest import MICROPHONE_RATE_HZ, OpenPage, write_wav
from tests.browser.files import add_file, decode_without_end, until_stored
from tests.limits import limit_s
from tests.speech import silence, synthesise
from tests.stack import Stack

SENTENCE = "Please remember to water the plants in the kitchen."
LONG_MS = limit_s(30) * 1000
PLAYED_S = "document.querySelector('audio').currentTime"


async def connected(page: Page) -> Page:
    await expect(page.locator("#link-state")).to_have_text("Connected")
    return page


def listed(page: Page) -> Locator:
    return page.get_by_role("navigation", name="Recordings").get_by_role("listitem")


async def recorded(page: Page, text: str = "seconds") -> None:
    """Records until this text is final or may still change, and stops."""
    await page.get_by_role("button", name="Start recording").click()
    await expect(page.locator("#transcript")).to_contain_text(re.compile(text, re.IGNORECASE), timeout=LONG_MS)
    await page.get_by_role("button", name="Stop").click()
    await expect(page.get_by_role("button", name="Start recording")).to_be_visible(timeout=LONG_MS)


async def exported(page: Page, name: str) -> str:
    await page.get_by_text("Export").click()
    async with page.expect_download() as started:
        await page.get_by_role("button", name=name, exact=True).click()
    return await asyncio.to_thread((await (await started.value).path()).read_text)


async def test_recording_is_there_after_a_reload_and_can_be_played_corrected_and_exported(
    whisper_stack: Stack, open_page: OpenPage
) -> None:
    pause = np.zeros(MICROPHONE_RATE_HZ, np.float32)
    spoken = synthesise(SENTENCE, sample_rate=MICROPHONE_RATE_HZ)
    page = await connected(await open_page(whisper_stack.web_url, hears=np.concatenate([pause, spoken, pause])))
    await recorded(page, "kitchen")
    await connected_again(page)
    await listed(page).get_by_role("button").click()
    text = page.locator("#finals p")
    await expect(text).to_contain_text("plants")
    word = text.get_by_text("plants", exact=True)
    start_s = float(await word.get_attribute("data-start") or "nan")
    await word.click()
    await expect(word).to_have_class("played")
    assert await page.evaluate(PLAYED_S) == start_s
    await page.get_by_role("button", name="Play").click()
    await page.wait_for_function(f"() => {PLAYED_S} > {start_s}")
    await page.get_by_role("button", name="Pause").click()
    await page.get_by_role("button", name="Edit").click()
    before = await text.inner_text()
    await text.fill(before.replace("plants", "flowers"))
    await page.get_by_role("button", name="Done").click()
    subtitles = await exported(page, "SRT subtitles")
    assert "flowers" in subtitles
    assert "plants" not in subtitles
    await connected_again(page)
    await listed(page).get_by_role("button").click()
    await expect(text).to_have_text(before.replace("plants", "flowers"))
    words = json.loads(await exported(page, "JSON with words"))["segments"][0]["words"]
    assert [word["start"] for word in words if word["text"] == "flowers"] == [start_s]


async def connected_again(page: Page) -> None:
    await until_stored(page, "one => one.state === 'done'")
    await page.reload()
    await connected(page)


async def test_interrupted_recording_is_continued_or_transcribed_again(stack: Stack, open_page: OpenPage) -> None:
    page = await connected(await open_page(stack.web_url))
    page.on("dialog", lambda dialog: asyncio.ensure_future(dialog.accept()))
    await page.get_by_role("button", name="Start recording").click()
    await expect(page.locator("#partials")).to_contain_text("seconds")
    await page.wait_for_function("() => parseFloat(document.querySelector('#activity-text').textContent.slice(2)) >= 2")
    await page.reload()
    await expect(listed(page)).to_contain_text("Not finished")
    await listed(page).get_by_role("button").click()
    await expect(page.locator("#transcript .unsettled")).to_contain_text("seconds")
    await page.get_by_role("button", name="Continue").click()
    await expect(page.locator("#partials")).to_contain_text("seconds")
    await page.get_by_role("button", name="Stop").click()
    await expect(page.locator("#transcript .unsettled")).to_have_count(0)
    row = page.get_by_role("log").get_by_role("listitem")
    await expect(row).to_have_count(1)
    await expect(row.locator("time")).to_have_text("0:00")
    text = await row.get_by_role("paragraph").inner_text()
    assert float(text.split()[0]) > 2
    await page.get_by_role("button", name="Transcribe again").click()
    await expect(page.get_by_role("button", name="Transcribe again")).to_be_visible()
    await expect(row.get_by_role("paragraph")).to_have_text(text)
    await expect(listed(page)).not_to_contain_text("Not finished")


async def test_each_dropped_file_is_a_document_with_times_of_its_own(
    stack: Stack, open_page: OpenPage, tmp_path: Path
) -> None:
    page = await connected(await open_page(stack.web_url))
    names = ["one.wav", "two.wav", "three.wav"]
    for number, name in enumerate(names, start=1):
        write_wav(tmp_path / name, silence(number), 16_000)
    await page.locator("#file").set_input_files([tmp_path / name for name in names])
    await expect(listed(page)).to_have_count(3)
    await expect(page.get_by_text("Finishing…")).to_have_count(0)
    for number, name in enumerate(names, start=1):
        await listed(page).filter(has_text=name).click()
        await expect(page.get_by_label("Name")).to_have_value(name)
        await expect(page.get_by_role("log")).to_contain_text(f"{number} seconds")
        await expect(page.get_by_role("log").locator("time")).to_have_text("0:00")
        assert json.loads(await exported(page, "JSON with words"))["duration"] == number


async def test_file_that_only_the_server_decodes_is_as_complete_as_others(
    whisper_stack: Stack, open_page: OpenPage, tmp_path: Path
) -> None:
    spoken = np.concatenate([synthesise(SENTENCE), silence(2), synthesise("The museum is closed on Monday.")])
    samples = (np.clip(spoken, -1, 1) * 32767).astype("<i2")
    write_wav(tmp_path / "a.wav", spoken, 16_000)
    header = struct.pack(">4s5I", b".snd", 24, samples.nbytes, 3, 16_000, 1)
    (tmp_path / "b.au").write_bytes(header + samples.astype(">i2").tobytes())
    page = await connected(await open_page(whisper_stack.web_url))
    of_file = []
    for name in ("a.wav", "b.au"):
        await page.locator("#file").set_input_files(tmp_path / name)
        await expect(page.get_by_label("Name")).to_have_value(name)
        await expect(page.get_by_role("button", name="Edit")).to_be_enabled(timeout=LONG_MS)
        await expect(page.locator("#facts")).to_contain_text(re.compile("English · .*whisper-base"))
        of_file.append(json.loads(await exported(page, "JSON with words"))["segments"])
    for segments in of_file:
        for timed in [*segments, *(word for segment in segments for word in segment["words"])]:
            timed["start"], timed["end"] = round(timed["start"], 1), round(timed["end"], 1)
            timed.pop("confidence", None)
    assert of_file[0] == of_file[1]
    assert len(of_file[0]) > 1


async def test_documents_are_searched_renamed_and_deleted(stack: Stack, open_page: OpenPage, tmp_path: Path) -> None:
    page = await connected(await open_page(stack.web_url))
    for seconds in (1, 2):
        write_wav(tmp_path / f"{seconds}.wav", silence(seconds), 16_000)
    await page.locator("#file").set_input_files([tmp_path / "1.wav", tmp_path / "2.wav"])
    await page.get_by_role("searchbox").fill("2 seconds")
    await expect(listed(page)).to_have_count(1)
    await expect(listed(page)).to_contain_text("2.wav")
    await listed(page).get_by_role("button").click()
    await page.get_by_label("Name").fill("The second one")
    await page.keyboard.press("Enter")
    await page.get_by_role("searchbox").fill("")
    await expect(listed(page).filter(has_text="The second one")).to_have_count(1)
    await page.get_by_role("button", name="Delete").click()
    await expect(listed(page)).to_have_count(1)
    await page.locator("#toast").get_by_role("button", name="Undo").click()
    await expect(listed(page)).to_have_count(2)
    await page.get_by_role("button", name="Find").click()
    await page.get_by_label("Find", exact=True).fill("SECONDS")
    await page.get_by_label("Replace with").fill("minutes")
    await page.get_by_role("button", name="Replace all").click()
    await expect(page.get_by_text("1 place replaced")).to_be_visible()
    await expect(page.get_by_role("log")).to_contain_text("2 minutes")
    await page.get_by_role("button", name="Undo").click()
    await expect(page.get_by_role("log")).to_contain_text("2 seconds")


async def test_audio_stops_when_a_recording_begins(stack: Stack, open_page: OpenPage, tmp_path: Path) -> None:
    page = await open_page(stack.web_url)
    await add_file(page, tmp_path, "one.wav", 60)
    await page.get_by_role("button", name="Play").click()
    await page.wait_for_function(f"() => {PLAYED_S} > 0")
    await page.get_by_role("button", name="Start recording").click()
    await expect(page.get_by_role("button", name="Stop")).to_be_visible()
    await expect(page.get_by_role("group", name="Player")).to_be_hidden()
    assert await page.evaluate("document.querySelector('audio').paused")
    assert await page.evaluate(PLAYED_S) == 0


async def test_editing_and_the_list_by_keyboard(stack: Stack, open_page: OpenPage, tmp_path: Path) -> None:
    page = await connected(await open_page(stack.web_url))
    names = ["one.wav", "two.wav"]
    for name in names:
        write_wav(tmp_path / name, silence(1), 16_000)
    await page.locator("#file").set_input_files([tmp_path / name for name in names])
    for name in names:  # the second is open at the end, and shown with its player
        await expect(listed(page).filter(has_text=name)).not_to_contain_text("In progress")
        await listed(page).filter(has_text=name).get_by_role("button").click()
        await expect(page.get_by_label("Name")).to_have_value(name)
        await expect(page.get_by_role("button", name="Edit")).to_be_enabled()
    paragraph = page.get_by_role("log").get_by_role("textbox")
    await page.locator("#transcript").press("e")
    await expect(paragraph).to_have_count(1)
    await page.keyboard.down("e")
    await expect(paragraph).to_have_count(0)
    await page.keyboard.down("e")  # held
    await page.keyboard.up("e")
    await expect(paragraph).to_have_count(0)
    await page.keyboard.press("e")
    await expect(page.get_by_role("button", name="Done")).to_have_attribute("aria-pressed", "true")
    chosen = listed(page).filter(has_text="one.wav").get_by_role("button")
    await chosen.press("Enter")
    await expect(chosen).to_have_attribute("aria-current", "true")
    await expect(chosen).to_be_focused()
    await expect(page.get_by_role("button", name="Edit")).to_have_attribute("aria-pressed", "false")
    await expect(paragraph).to_have_count(0)


async def test_text_is_kept_while_it_is_typed(stack: Stack, open_page: OpenPage, tmp_path: Path) -> None:
    page = await connected(await open_page(stack.web_url))
    await add_file(page, tmp_path, "one.wav", 1)
    await expect(page.get_by_role("button", name="Edit")).to_be_enabled()
    await page.get_by_role("button", name="Edit").click()
    paragraph = page.get_by_role("log").get_by_role("textbox")
    before = await paragraph.inner_text()
    await paragraph.press("End")
    for typed in ("Zebra", "crossing"):
        await page.keyboard.type(f" {typed}")
        await until_stored(page, f"one => one.segments[0].text.endsWith(' {typed}')")
    await expect(paragraph).to_be_focused()
    await page.reload()
    await connected(page)
    await listed(page).get_by_role("button").click()
    await expect(page.get_by_role("log")).to_contain_text(f"{before} Zebra crossing")


async def test_what_was_typed_at_one_place_is_undone_at_once(stack: Stack, open_page: OpenPage, tmp_path: Path) -> None:
    page = await connected(await open_page(stack.web_url))
    await add_file(page, tmp_path, "one.wav", 1)
    await expect(page.get_by_role("button", name="Edit")).to_be_enabled()
    await page.get_by_role("button", name="Edit").click()
    paragraph = page.get_by_role("log").get_by_role("textbox")
    before = await paragraph.inner_text()
    await paragraph.press("End")
    await page.keyboard.type(" Zebra")
    await until_stored(page, "one => one.segments[0].text.endsWith(' Zebra')")
    await page.keyboard.type(" crossing")
    await page.keyboard.press("Enter")
    await expect(paragraph).to_have_text(f"{before} Zebra crossing")
    await page.locator("#undo").click()
    await expect(paragraph).to_have_text(before)
    await expect(page.locator("#undo")).to_be_disabled()


async def test_rejected_files_are_named_and_leave_nothing(stack: Stack, open_page: OpenPage, tmp_path: Path) -> None:
    page = await open_page(stack.web_url)
    await page.evaluate("""localStorage.setItem("voxtral-settings", '{"boundMegabytes": 0.05}')""")
    await page.reload()
    await connected(page)
    await add_file(page, tmp_path, "one.wav", 1)
    await expect(page.get_by_role("group", name="Player")).to_be_visible()
    files = {"notes.txt": b"Notes. " * 5000, "empty.wav": b"", "large.wav": b""}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    os.truncate(tmp_path / "large.wav", 101_000_000)
    notice = page.get_by_role("alert")
    await page.locator("#file").set_input_files([tmp_path / name for name in files])
    await expect(notice).to_contain_text("large.wav: The file has 101 MB; the limit is 100 MB.")
    await expect(notice).to_contain_text("notes.txt: The file")
    await expect(notice).to_contain_text("empty.wav: ")
    await expect(listed(page)).to_have_count(1)
    await listed(page).get_by_role("button").click()
    await expect(page.get_by_role("group", name="Player")).to_be_visible()
    await add_file(page, tmp_path, "two.wav", 1)
    await expect(notice).to_have_text("The audio of “one.wav” was deleted to make room; its text stays.")
    await expect(page.get_by_role("group", name="Player")).to_be_visible()
    await expect(page.locator("#facts")).not_to_contain_text("Audio not kept")
    await listed(page).filter(has_text="one.wav").get_by_role("button").click()
    await expect(page.get_by_role("group", name="Player")).to_be_hidden()
    await expect(page.locator("#facts")).to_contain_text("Audio not kept")


async def test_files_that_wait_are_seen_deleted_and_cancelled(
    stack: Stack, open_page: OpenPage, tmp_path: Path
) -> None:
    page = await connected(await open_page(stack.web_url))
    await decode_without_end(page)
    names = ["one.wav", "two.wav", "three.wav", "four.wav"]
    for name in names:
        write_wav(tmp_path / name, silence(1), 16_000)
    await page.locator("#file").set_input_files([tmp_path / name for name in names])
    await expect(page.locator("#activity-text")).to_have_text("one.wav, 1 of 4")
    await expect(listed(page).filter(has_text="Waiting")).to_have_count(3)
    await listed(page).filter(has_text="two.wav").get_by_role("button").click()
    await page.get_by_role("button", name="Delete").click()
    await expect(listed(page)).to_have_count(3)
    await expect(page.locator("#activity-text")).to_have_text("one.wav, 1 of 3")
    await page.get_by_role("button", name="Cancel", exact=True).click()
    await expect(page.locator("#activity-text")).to_have_text("three.wav, 2 of 3")
    await expect(listed(page).filter(has_text="Waiting")).to_have_count(1)
    await page.get_by_role("button", name="Cancel all").click()
    await expect(page.get_by_role("button", name="Start recording")).to_be_visible()
    await expect(listed(page).filter(has_text="Not finished")).to_have_count(3)


async def test_find_goes_from_place_to_place_and_replaces_only_if_asked(
    stack: Stack, open_page: OpenPage, tmp_path: Path
) -> None:
    page = await connected(await open_page(stack.web_url))
    for seconds in (1, 2):
        await add_file(page, tmp_path, f"{seconds}.wav", seconds)
        await expect(page.get_by_role("log")).to_contain_text(f"{seconds} seconds")
        await expect(page.get_by_role("button", name="Edit")).to_be_enabled()
    text = await page.get_by_role("log").inner_text()
    count, found = page.locator("#found-count"), page.get_by_label("Find", exact=True)
    current = "[...CSS.highlights.get('found-current')].map(range => `${range.startOffset} ${range}`)"
    await page.locator("#transcript").press("f")
    await page.keyboard.type("S")
    await expect(count).to_have_text("2 places")
    await page.keyboard.press("Enter")
    await expect(count).to_have_text("1 of 2")
    first = await page.evaluate(current)
    await page.keyboard.press("Enter")
    await expect(count).to_have_text("2 of 2")
    second = await page.evaluate(current)
    assert [first[0][-1], second[0][-1]] == ["s", "s"]
    assert first != second
    await page.keyboard.press("Enter")
    await expect(count).to_have_text("1 of 2")
    assert await page.evaluate(current) == first
    assert await page.get_by_role("log").inner_text() == text
    await found.fill("seconds")
    await page.get_by_label("Replace with").fill("minutes")
    await page.keyboard.press("Enter")
    await expect(count).to_have_text("1 place replaced")
    await expect(page.get_by_role("log")).to_contain_text("2 minutes")
    await listed(page).filter(has_text="1.wav").get_by_role("button").click()
    await expect(count).to_have_text("1 place")


async def test_key_of_recording_does_not_cancel_a_file(stack: Stack, open_page: OpenPage, tmp_path: Path) -> None:
    page = await connected(await open_page(stack.web_url))
    await decode_without_end(page)
    await add_file(page, tmp_path, "one.wav", 1)
    await expect(page.get_by_role("button", name="Cancel")).to_be_visible()
    await page.locator("#transcript").press("r")
    await expect(page.get_by_role("button", name="Cancel")).to_be_visible()
    await expect(listed(page)).to_contain_text("In progress")


FILLED = """
    async () => {
        const { Storage } = await import("./storage.js");
        const storage = await Storage.open();
        storage.boundBytes = 2500;
        for (const [at, id] of ["a", "b", "c"].entries()) {
            await storage.save({ id, createdMs: at, name: id, state: "done", segments: [] });
            const piece = { id, index: 0, blob: new Blob([new Uint8Array(1000)]) };
            await storage.putAudio(piece, { bytes: 1000, sampleRate: 16000 });
        }
        const facts = await Promise.all(["a", "b", "c"].map((id) => storage.facts(id)));
        return [(await storage.documents()).map(({ id }) => id), facts.map((one) => one?.bytes ?? 0)];
    }
"""


async def test_oldest_audio_is_deleted_first_and_text_stays(stack: Stack, open_page: OpenPage) -> None:
    page = await connected(await open_page(stack.web_url))
    assert await page.evaluate(FILLED) == [["c", "b", "a"], [0, 1000, 1000]]


async def test_audio_of_a_document_that_another_tab_works_on_is_kept(stack: Stack, open_page: OpenPage) -> None:
    page = await connected(await open_page(stack.web_url))
    assert await page.evaluate("async () => (await import('./tabs.js')).hold('a')")
    other = await page.context.new_page()
    await other.goto(stack.web_url)
    assert not await other.evaluate("async () => (await import('./tabs.js')).hold('a')")
    assert await other.evaluate(FILLED) == [["c", "b", "a"], [1000, 0, 1000]]


async def test_document_that_the_browser_has_no_room_for_is_stored_later(stack: Stack, open_page: OpenPage) -> None:
    """A browser without room accepts what is put, and aborts its transaction."""
    page = await connected(await open_page(stack.web_url))
    troubles, before, after = await page.evaluate(
        """async () => {
            const { Storage } = await import("./storage.js");
            const { Keeper } = await import("./keeper.js");
            const { TranscriptDocument } = await import("./transcript-document.js");
            const storage = await Storage.open();
            const stored = async () => (await storage.documents()).map(({ id }) => id);
            const troubles = [];
            const keeper = new Keeper(storage, (error) => troubles.push(String(error)));
            for (const [createdMs, id] of ["a", "b"].entries()) {
                const given = { name: id, kind: "file", mode: "transcribe" };
                keeper.touch(TranscriptDocument.create(given, { id, createdMs }));
            }
            const { put } = IDBObjectStore.prototype;
            IDBObjectStore.prototype.put = function (saved) {
                const request = put.call(this, saved);
                if (saved.id === "a") request.addEventListener("success", () => this.transaction.abort());
                return request;
            };
            await keeper.save();
            const before = await stored();
            IDBObjectStore.prototype.put = put;
            await keeper.save();
            return [troubles.length, before, await stored()];
        }"""
    )
    assert (troubles, before, after) == (1, ["b"], ["b", "a"])


async def test_options_are_those_of_the_mode_of_a_continued_recording(stack: Stack, open_page: OpenPage) -> None:
    page = await connected(await open_page(stack.web_url))
    current, continued = await page.evaluate(
        """async () => {
            const { OptionsForm } = await import("./options.js");
            const { Settings } = await import("./settings.js");
            const options = new OptionsForm(document.querySelector("#options"), new Settings());
            document.querySelector("#diarize").checked = true;
            document.querySelector("input[value=translate]").checked = true;
            return [options.chosen, options.chosenFor("transcribe")];
        }"""
    )
    assert current == {"mode": "translate", "language": None, "prompt": None}
    assert continued == {"mode": "transcribe", "language": None, "prompt": None, "diarize": True}


async def test_page_works_without_storage_that_does_not_answer(stack: Stack, open_page: OpenPage) -> None:
    page = await connected(await open_page(stack.web_url))
    await page.clock.install()
    await page.add_init_script("IDBFactory.prototype.open = () => ((window.hasAsked = true), new EventTarget())")
    await page.reload()
    await page.wait_for_function("() => window.hasAsked")
    await page.clock.fast_forward(5_000)
    await connected(page)
    await recorded(page)
    await expect(page.get_by_role("log")).to_contain_text("seconds")
