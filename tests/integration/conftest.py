"""Shared fixtures: Redis without other processes, workers on it, SDKs, speakers and viewers."""

import hashlib
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

import pytest
from mistralai.client import Mistral
from openai import OpenAI
from redis.asyncio import Redis

from frontend.process import FrontendProcess
from frontend.sessions.gateway import Gateway
from shared.bus.hash_slots import slot_of
from shared.bus.lua.audio import APPEND
from shared.bus.registry import Registry
from shared.bus.scripts import Script
from tests.integration.api_clients import mistral_of, openai_of
from tests.integration.viewers import Read, Speaker, SseViewer, Watch, speaking
from tests.integration.workers import Fleet, emptied, redis_alone
from tests.keeping import Services
from tests.stack import Stack


@pytest.fixture(scope="session", autouse=True)
def _scripts_stay_on_one_slot() -> Iterator[None]:
    """Redis Cluster accepts a script only if all its keys have one hash slot. One script writes the audio of many
    sessions at once, which only one server does."""
    usual = Script._command
    many = hashlib.sha1(APPEND.encode(), usedforsecurity=False).hexdigest()

    def checked(script: Script, names: Sequence[str], arguments: Sequence[Any]) -> Any:
        assert script._sha == many or len({slot_of(name) for name in names}) == 1, names
        return usual(script, names, arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Script, "_command", checked)
        yield


@pytest.fixture(scope="module")
def server(kept_services: Services, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Only Redis, for tests that do not change its settings."""
    with kept_services.lent("redis", lambda: redis_alone(tmp_path_factory.mktemp("server"))) as stack:
        yield stack


@pytest.fixture
async def redis(server: Stack) -> AsyncIterator[Redis]:
    async with emptied(server) as redis:
        yield redis


@pytest.fixture
async def fleet(service: Stack) -> AsyncIterator[Fleet]:
    """Workers of the service that a module has created."""
    async with Fleet.of(service) as fleet:
        yield fleet


@pytest.fixture
def gateway(frontend: FrontendProcess) -> Gateway:
    """The gateway of the frontend that a module has created."""
    return frontend.gateway


@pytest.fixture
def registry(frontend: FrontendProcess) -> Registry:
    """The registry of the same frontend."""
    return frontend.registry


@pytest.fixture(scope="module")
def openai_client(stack: Stack) -> Iterator[OpenAI]:
    with openai_of(stack) as client:
        yield client


@pytest.fixture(scope="module")
def mistral_client(stack: Stack) -> Iterator[Mistral]:
    with mistral_of(stack) as client:
        yield client


@pytest.fixture(scope="module")
def whisper_openai(whisper_stack: Stack) -> Iterator[OpenAI]:
    with openai_of(whisper_stack) as client:
        yield client


@pytest.fixture(scope="module")
def whisper_mistral(whisper_stack: Stack) -> Iterator[Mistral]:
    with mistral_of(whisper_stack) as client:
        yield client


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
    """Requests a path and returns the answer."""

    def ask_for(path: str, token: str | None, last_event_id: object = None, **more: Any) -> SseViewer:
        opened.append(SseViewer(more.pop("url", stack.web_url), path, token, last_event_id, **more))
        return opened[-1]

    return ask_for


@pytest.fixture
def watch(read: Read) -> Watch:
    """Views a speaker's session."""

    def begin(speaker: Speaker, last_event_id: object = None, **more: Any) -> SseViewer:
        return read(f"{speaker.path}/events", speaker.token, last_event_id, **more)

    return begin
