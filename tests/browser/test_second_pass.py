"""Live captions in a browser while a second model revises what was said."""

from collections.abc import Iterator

import pytest
from playwright.async_api import expect

from tests.browser.conftest import OpenPage
from tests.browser.test_captions import address
from tests.integration.native_clients import ask, open_client, tell, tone, until
from tests.stack import Stack
from tests.tiny.whisper import write_whisper


@pytest.fixture(scope="module")
def revising(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("second")
    model = {"second": "whisper", "second_path": str(write_whisper(folder / "tiny"))}
    stack = Stack(folder, model=model)
    try:
        stack.start()
        yield stack
    finally:
        stack.stop_all()


async def test_captions_replace_a_line_by_its_revised_text(revising: Stack, open_page: OpenPage) -> None:
    client = open_client(revising, "websocket")
    ready = ask(client, type="start", language="en", partials=False, revise=True)
    page = await open_page(address(revising, ready["session_id"], ready["viewer_token"]))
    await expect(page.get_by_role("status")).to_have_text("Live")
    lines = page.get_by_role("log").locator("p")
    client.send_audio(tone(1.0))
    tell(client, type="commit")
    revised = until(client, "revised")[-1]
    await expect(lines).to_have_text([revised["text"]])
    tell(client, type="stop")
    until(client, "done")
    client.close()
    await expect(page.get_by_role("status")).to_have_text("The session has ended")
    await expect(lines).to_have_text([revised["text"]])
