"""Those who speak and those who read along, for the tests of live captions."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.viewers import Read, Speaker, SseViewer, Watch, speaking
from tests.stack import Stack


@pytest.fixture
def speaker(stack: Stack) -> Iterator[Speaker]:
    with speaking(stack) as speaker:
        yield speaker


@pytest.fixture
def opened() -> Iterator[list[SseViewer]]:
    viewers: list[SseViewer] = []
    yield viewers
    for viewer in viewers:
        viewer.close()


@pytest.fixture
def read(stack: Stack, opened: list[SseViewer]) -> Read:
    """Asks for a path and gets its answer."""

    def ask_for(path: str, token: str | None, last_event_id: object = None, **more: Any) -> SseViewer:
        opened.append(SseViewer(more.pop("url", stack.web_url), path, token, last_event_id, **more))
        return opened[-1]

    return ask_for


@pytest.fixture
def watch(read: Read) -> Watch:
    """Reads along with a speaker."""

    def begin(speaker: Speaker, last_event_id: object = None, **more: Any) -> SseViewer:
        return read(f"{speaker.path}/events", speaker.token, last_event_id, **more)

    return begin
