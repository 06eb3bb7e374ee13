"""The page of the API: it shows both documents whole, and its programs run as they are."""

import asyncio
import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.async_api import Page, expect

from frontend.api.openapi import asyncapi
from tests.browser.conftest import OpenPage, write_wav
from tests.browser.proxy import proxied_under
from tests.browser.test_accessibility import check
from tests.browser.test_page import AA_CONTRAST, CONTRAST_SCRIPT
from tests.integration.node import needs_node
from tests.integration.viewers import Speaker, speaking
from tests.keys import KeyList
from tests.limits import limit_s
from tests.stack import Stack

INTERPRETERS = {"curl": ["bash"], "Python": [sys.executable], "JavaScript": ["node", "--experimental-websocket"]}
SUFFIXES = {"curl": "sh", "Python": "py", "JavaScript": "mjs"}
EXAMPLE_SESSION = "5f0c2a9be1d84c70"
OPERATIONS = ["createTranscription", "createChatCompletion", "listModels"]
SOCKETS = {
    "native": "done",
    "mistral": "transcription.done",
    "openai": "conversation.item.input_audio_transcription.completed",
    "openaiBeta": "conversation.item.input_audio_transcription.completed",
    "vllm": "transcription.done",
}


needs_curl = pytest.mark.skipif(
    not shutil.which("curl"), reason="curl is not installed (Debian and Ubuntu: apt install curl)"
)

ALWAYS = {"whisperlive": '"uid"', "twilio": '"event"', "telnyx": '"event"'}
"""A field of all messages of a channel, if it is not their type."""


async def opened(open_page: OpenPage, url: str, **context: object) -> Page:
    page = await open_page(url, **context)
    await expect(page.get_by_role("heading", name="vLLM's realtime dialect")).to_be_visible()
    return page


async def test_docs_show_every_operation_and_socket_behind_a_proxy(stack: Stack, open_page: OpenPage) -> None:
    async with proxied_under("/tools/voxtral/", stack.settings.server.http_port) as address:
        page = await opened(open_page, f"{address}docs")
        await expect(page.get_by_text("timestamp_granularities[]").first).to_be_visible()
        assert "`" not in "".join(await page.locator(".text").all_text_contents())
        await expect(page.locator("main")).to_contain_text(f"curl {address}v1/audio/transcriptions")
        await expect(page.locator("main")).to_contain_text(f"{address.replace('http', 'ws', 1)}v1/realtime")
        contents = page.get_by_role("navigation", name="Contents").get_by_role("link")
        assert await contents.count() == await page.get_by_role("heading", level=3).count()
        await contents.last.click()
        await expect(page.get_by_role("heading", level=3).last).to_be_in_viewport()


async def test_docs_show_each_message_with_its_example(stack: Stack, open_page: OpenPage) -> None:
    page = await opened(open_page, f"{stack.web_url}/docs")
    channels = json.loads(asyncapi.as_json())["channels"]
    for name in set(channels) - {"page"}:  # it has the messages of the native protocol, and is shown with it
        messages = page.locator(f"#socket-{name} .messages > details")
        assert await messages.count() == len(channels[name]["messages"])
        examples = await messages.locator(".message > .code").all_text_contents()
        always = ALWAYS.get(name, '"type"')
        assert sum(always in example for example in examples) == len(channels[name]["messages"].keys() - {"samples"})


async def test_docs_are_readable_with_everything_open(stack: Stack, open_page: OpenPage) -> None:
    page = await opened(open_page, f"{stack.web_url}/docs")
    await page.evaluate("document.querySelectorAll('details').forEach((one) => (one.open = true))")
    for width, scheme in ((1280, "light"), (360, "dark")):
        await page.set_viewport_size({"width": width, "height": 720})
        await page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        assert await page.evaluate("document.documentElement.scrollWidth") == width
        assert [found for found in await page.evaluate(CONTRAST_SCRIPT) if found["ratio"] < AA_CONTRAST] == []
    await check(page, "everything open", has_contrast=True)


async def test_docs_remember_the_language_of_programs(stack: Stack, open_page: OpenPage) -> None:
    page = await opened(open_page, f"{stack.web_url}/docs")
    first = page.locator("#createTranscription").get_by_role("tab", name="curl")
    await first.focus()
    await page.keyboard.press("ArrowRight")
    for _ in range(2):
        for place in ("createTranscription", "listModels", "socket-native"):
            chosen = page.locator(f"#{place}").get_by_role("tab", name="Python")
            await expect(chosen).to_have_attribute("aria-selected", "true")
        await expect(page.locator("#listModels")).to_contain_text("import requests")
        await page.reload()


async def test_docs_try_a_request(stack: Stack, open_page: OpenPage) -> None:
    page = await opened(open_page, f"{stack.web_url}/docs")
    tried = page.locator("#getModel")
    await tried.get_by_role("button", name="Try it").click()
    await expect(tried.get_by_role("status")).to_contain_text('"id": "echo"')
    await tried.get_by_role("textbox", name="model").fill("none")
    await tried.get_by_role("button", name="Try it").click()
    await expect(tried.get_by_role("status")).to_contain_text("404")


@needs_node
@needs_curl
async def test_programs_run(stack: Stack, open_page: OpenPage, tmp_path: Path) -> None:
    page = await opened(open_page, f"{stack.web_url}/docs")
    write_wav(tmp_path / "speech.wav", np.full(16_000, 0.1, np.float32), 16_000)
    for operation in OPERATIONS:
        for language in INTERPRETERS:
            printed = await run(await program(page, operation, language), language, tmp_path)
            assert "error" not in json.loads(printed.removeprefix("200 ")), (operation, language)
    for socket, last in SOCKETS.items():
        for language in ("Python", "JavaScript"):
            printed = await run(await program(page, f"socket-{socket}", language), language, tmp_path)
            assert json.loads(printed.splitlines()[-1])["type"] == last, (socket, language)


@needs_node
@needs_curl
async def test_programs_send_keys(keyed_stack: Stack, key_list: KeyList, open_page: OpenPage, tmp_path: Path) -> None:
    page = await opened(open_page, f"{keyed_stack.web_url}/docs")
    write_wav(tmp_path / "speech.wav", np.full(16_000, 0.1, np.float32), 16_000)
    key = {"VOXTRAL_KEY": key_list.keys["anna"]}
    for language in INTERPRETERS:
        printed = await run(await program(page, "createClientSecret", language), language, tmp_path, **key)
        assert "value" in json.loads(printed.removeprefix("200 ")), language
    for language in ("Python", "JavaScript"):
        printed = await run(await program(page, "socket-vllm", language), language, tmp_path, **key)
        assert json.loads(printed.splitlines()[-1])["type"] == SOCKETS["vllm"], language


@needs_node
@needs_curl
async def test_programs_follow_and_erase_a_session(
    stack: Stack, open_page: OpenPage, tmp_path: Path, speaker: Speaker
) -> None:
    page = await opened(open_page, f"{stack.web_url}/docs")
    speaker.say()
    speaker.stop()
    tokens = {"VIEWER_TOKEN": speaker.token, "RESUME_TOKEN": speaker.ready["resume_token"]}

    async def printed(place: str, language: str) -> str:
        text = (await program(page, place, language)).replace(EXAMPLE_SESSION, speaker.session_id)
        return await run(text.replace("token=VIEWER_TOKEN", f"token={speaker.token}"), language, tmp_path, **tokens)

    for language in INTERPRETERS:
        assert "-->" in await printed("getTranscript", language)
        assert '"type":"done"' in await printed("followSession", language)
    for language in ("Python", "JavaScript"):
        assert '"type":"done"' in await printed("socket-events", language)
    assert await printed("eraseSession", "JavaScript") == "204 \n"


@pytest.fixture
def speaker(stack: Stack) -> Iterator[Speaker]:
    with speaking(stack) as speaker:
        yield speaker


async def program(page: Page, place: str, language: str) -> str:
    tabs = page.locator(f"#{place} > .code .examples").first
    await tabs.get_by_role("tab", name=language).click()
    return await tabs.get_by_role("tabpanel", name=language).locator("code").inner_text()


async def run(text: str, language: str, folder: Path, **environment: str) -> str:
    """What the program prints."""
    file = folder / f"program.{SUFFIXES[language]}"
    file.write_text(text)
    process = await asyncio.create_subprocess_exec(
        *INTERPRETERS[language],
        file.name,
        cwd=folder,
        env=os.environ | environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(limit_s(30)):
            printed, complaints = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0, f"{text}\n{complaints.decode()}"
    return printed.decode()
