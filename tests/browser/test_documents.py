"""Recordings and files are documents that stay in the browser: listen, correct, find, export, continue."""

import asyncio
import json
import re
import struct
from pathlib import Path

import numpy as np
from playwright.async_api import Locator, Page, expect

from tests.browser.conftest import MICROPHONE_RATE_HZ, OpenPage, write_wav
from tests.browser.files import add_file, until_stored
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


async def test_documents_are_read_again_after_a_failure(stack: Stack, open_page: OpenPage) -> None:
    page = await connected(await open_page(stack.web_url))
    outcome = await page.evaluate(
        """async () => {
            const [{ Keeper }, { Settings }, { Storage }, { Workspace }] = await Promise.all(
                ["keeper", "settings", "storage", "workspace"].map((name) => import(`./${name}.js`)),
            );
            const keeper = new Keeper(await Storage.open(), () => {});
            const workspace = new Workspace(keeper, new Settings(), { queue: [] }, () => {});
            const { getAll } = IDBObjectStore.prototype;
            IDBObjectStore.prototype.getAll = () => { throw new Error("damaged"); };
            const trouble = await workspace.all().catch(({ message }) => message);
            IDBObjectStore.prototype.getAll = getAll;
            return [trouble, await workspace.all()];
        }"""
    )
    assert outcome == ["damaged", []]


async def test_page_works_without_storage_that_does_not_answer(stack: Stack, open_page: OpenPage) -> None:
    page = await connected(await open_page(stack.web_url))
    await page.clock.install()
    await page.add_init_script("IDBFactory.prototype.open = () => ((window.hasAsked = true), new EventTarget())")
    await page.reload()
    await page.wait_for_function("() => window.hasAsked")
    await page.clock.fast_forward(5_000)
    await connected(page)
    await expect(page.get_by_text("audio kept in this browser")).to_be_hidden()
    await recorded(page)
    await expect(page.get_by_role("log")).to_contain_text("seconds")
