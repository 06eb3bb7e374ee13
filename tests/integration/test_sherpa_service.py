"""The whole service with a streaming model of sherpa-onnx: native, over Mistral's SDK, and as an upload."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from itertools import pairwise

import numpy as np
import pytest
from mistralai.client import Mistral
from mistralai.client.models import AudioFormat

from frontend.client import TranscriptionClient
from tests.integration.api_clients import openai_of, wav_of
from tests.limits import limit_s
from tests.sherpa_models import marked, write_ctc
from tests.speech import SENTENCES, silence, synthesise
from tests.stack import Stack, serving
from voxtral_client.events import Final, Partial, SessionEvent, Warned

NAME = "sherpa:marks"
TEXT = "forty two中文"
PCM = (
    marked(
        np.concatenate([silence(0.5), synthesise(SENTENCES[0]), silence(1)]),
        [(1.0, "▁for"), (1.4, "ty"), (2.0, "▁two"), (3.0, "中"), (5.0, "文")],
    )
    * 32767
).astype("<i2")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("sherpa")
    model = {"name": NAME, "path": str(write_ctc(folder / "model")), "threads": 1, "slots": 3}
    with serving(Stack(folder, model=model)) as stack:
        yield stack


def test_status_and_models_show_the_name(service: Stack) -> None:
    worker = service.report()
    assert (worker["model"], worker["engine"], worker["modes"]) == (NAME, "sherpa", ["transcribe"])
    with openai_of(service) as client:
        assert [card.id for card in client.models.list().data] == [NAME]
        assert client.models.retrieve("gpt-4o-transcribe").id == NAME


async def test_live_session_is_told_growing_text_and_word_times(service: Stack) -> None:
    half = round(2.9 * 16_000)
    events: list[SessionEvent] = []
    async with (
        asyncio.timeout(limit_s(30)),
        TranscriptionClient(service.ws_url) as client,
        client.live(language="en") as session,
    ):
        await session.send(PCM[:half].tobytes())
        async for event in session:
            events.append(event)
            if isinstance(event, Partial) and event.text == "forty two":
                await session.send(PCM[half:].tobytes())
                await session.stop()
    texts = [event.text for event in events if isinstance(event, Partial)]
    [final] = [event for event in events if isinstance(event, Final)]
    assert final.text == TEXT
    assert [word.text for word in final.words] == ["forty", "two", "中", "文"]
    assert all(after.startswith(before) for before, after in pairwise([*texts, TEXT]))
    assert [event.code for event in events if isinstance(event, Warned)] == ["language_ignored"]


def test_upload_is_transcribed(service: Stack) -> None:
    with openai_of(service) as client:
        answer = client.audio.transcriptions.create(model="auto", file=("marks.wav", wav_of(PCM / 32768)))
    assert answer.text == TEXT


async def test_deltas_of_other_dialects_come_at_once(service: Stack) -> None:
    """A model that revises has its last word held back; this one has not: `two` comes while it is the last."""
    until_two = asyncio.Event()

    async def chunks() -> AsyncIterator[bytes]:
        yield PCM[: round(2.9 * 16_000)].tobytes()
        await until_two.wait()
        yield PCM[round(2.9 * 16_000) :].tobytes()

    deltas: list[str] = []
    realtime = Mistral(api_key="unused", server_url=service.web_url).audio.realtime
    format_16k = AudioFormat(encoding="pcm_s16le", sample_rate=16_000)
    async with asyncio.timeout(limit_s(30)):
        async for event in realtime.transcribe_stream(chunks(), model="auto", audio_format=format_16k):
            if event.type == "transcription.text.delta":
                deltas.append(event.text)
                if "".join(deltas) == "forty two":
                    until_two.set()
    assert "".join(deltas) == TEXT
