"""Files on the page: each is a document; they wait, are cancelled and are rejected."""

import json
import os
from pathlib import Path

from playwright.async_api import expect

from tests.browser.conftest import OpenPage, write_wav
from tests.browser.files import add_file, decode_without_end
from tests.browser.test_documents import connected, exported, listed
from tests.speech import silence
from tests.stack import Stack


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


async def test_rejected_files_are_named_and_leave_nothing(stack: Stack, open_page: OpenPage, tmp_path: Path) -> None:
    page = await connected(await open_page(stack.web_url))
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


async def test_size_of_the_stored_audio_is_shown_when_some_was_deleted(
    stack: Stack, open_page: OpenPage, tmp_path: Path
) -> None:
    page = await connected(await open_page(stack.web_url))
    await page.evaluate("""localStorage.setItem("voxtral-settings", '{"boundMegabytes": 1}')""")
    await page.reload()
    await add_file(page, tmp_path, "one.wav", 25)
    await expect(page.get_by_role("group", name="Player")).to_be_visible()
    await add_file(page, tmp_path, "two.wav", 25)
    await expect(page.get_by_role("alert")).to_contain_text("The audio of “one.wav” was deleted")
    await expect(page.locator("#used")).to_have_text("1 MB")


async def test_key_of_recording_does_not_cancel_a_file(stack: Stack, open_page: OpenPage, tmp_path: Path) -> None:
    page = await connected(await open_page(stack.web_url))
    await decode_without_end(page)
    await add_file(page, tmp_path, "one.wav", 1)
    await expect(page.get_by_role("button", name="Cancel")).to_be_visible()
    await page.locator("#transcript").press("r")
    await expect(page.get_by_role("button", name="Cancel")).to_be_visible()
    await expect(listed(page)).to_contain_text("In progress")


async def test_dropped_link_is_reported(stack: Stack, open_page: OpenPage) -> None:
    page = await connected(await open_page(stack.web_url))
    is_taken = """(id) => {
        const dataTransfer = new DataTransfer();
        dataTransfer.setData("text/uri-list", "http://a.example/");
        const drop = new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true });
        return !document.getElementById(id).dispatchEvent(drop);
    }"""
    assert not await page.evaluate(is_taken, "search")
    await expect(page.get_by_role("alert")).to_be_hidden()
    assert await page.evaluate(is_taken, "transcript")
    await expect(page.get_by_role("alert")).to_have_text("Only files can be dropped here.")
