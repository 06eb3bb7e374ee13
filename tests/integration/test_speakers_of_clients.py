"""Requests for speakers as the SDKs of OpenAI and Mistral send them, and the voices that come with them."""

import asyncio
import contextlib
import json
import time
from base64 import b64encode
from collections.abc import AsyncIterator

import openai
import orjson
import pytest
from mistralai.client import Mistral
from mistralai.client.errors import SDKError
from mistralai.client.models import File
from openai import OpenAI
from redis.asyncio import Redis
from websockets.sync.client import connect

from shared.bus import keys
from shared.bus.connect import connect as connect_redis
from shared.bus.voices import read_voices
from shared.voices import encoded
from tests.integration.api_clients import silent_wav
from tests.limits import limit_s
from tests.stack import Stack
from voxtral_client import ServerError, TranscriptionClient

WAV = silent_wav(1)
VOICE = silent_wav(3)
EMBEDDING = encoded("ge2e", b"\x00\x3c" * 256)


def url_of(wav: bytes) -> str:
    return f"data:audio/wav;base64,{b64encode(wav).decode()}"


def test_openai_sdk_sends_known_speakers_and_gets_turns(openai_client: OpenAI) -> None:
    transcript = openai_client.audio.transcriptions.create(
        model="echo",
        file=("x.wav", WAV),
        response_format="diarized_json",
        chunking_strategy={"type": "server_vad", "threshold": 0.5},
        known_speaker_names=["agent", "customer"],
        known_speaker_references=[url_of(VOICE), url_of(silent_wav(9.5))],
    )
    assert transcript.task == "transcribe"
    assert [(turn.text, turn.type) for turn in transcript.segments] == [("1 seconds", "transcript.text.segment")]


def test_openai_sdk_streams_turns(openai_client: OpenAI) -> None:
    events = list(
        openai_client.audio.transcriptions.create(
            model="echo",
            file=("x.wav", WAV),
            response_format="diarized_json",
            chunking_strategy="auto",
            stream=True,
        )
    )
    assert [event.type for event in events] == [
        "transcript.text.delta",
        "transcript.text.segment",
        "transcript.text.done",
    ]


def test_openai_sdk_gets_its_own_events_with_our_field_for_speakers(openai_client: OpenAI) -> None:
    events = openai_client.audio.transcriptions.create(
        model="echo", file=("x.wav", WAV), stream=True, extra_body={"diarize": True}
    )
    assert [event.type for event in events] == ["transcript.text.delta", "transcript.text.done"]


@pytest.mark.parametrize(
    ("voice", "said"),
    [
        (silent_wav(12), "'agent' cannot be used: it is longer than 10 s; allowed: 1 to 10 s"),
        (silent_wav(0.5), "it has 0.5 s; allowed: 1 to 10 s"),
        (b"no recording at all", "The file is text"),
    ],
)
def test_a_voice_that_cannot_be_used_is_named(openai_client: OpenAI, voice: bytes, said: str) -> None:
    with pytest.raises(openai.BadRequestError, match=said) as caught:
        openai_client.audio.transcriptions.create(
            model="echo",
            file=("x.wav", WAV),
            response_format="diarized_json",
            known_speaker_names=["agent"],
            known_speaker_references=[url_of(voice)],
        )
    assert (caught.value.param, caught.value.code) == ("known_speaker_references", "invalid_value")


def test_mistral_sdk_sends_known_speakers(mistral_client: Mistral) -> None:
    audio, file = mistral_client.audio.transcriptions, File(file_name="x.wav", content=WAV)
    references = {"agent": b64encode(VOICE).decode()}
    response = audio.complete(model="echo", file=file, diarize=True, speaker_references=references)
    assert [segment.text for segment in response.segments or []] == ["1 seconds"]
    short = {"agent": b64encode(silent_wav(0.5)).decode()}
    with pytest.raises(SDKError, match=r"it has 0\.5 s") as caught:
        audio.complete(model="echo", file=file, diarize=True, speaker_references=short)
    assert json.loads(caught.value.body)["param"] == "speaker_references"
    with pytest.raises(SDKError, match="allowed: true if speaker_references is given"):
        audio.complete(model="echo", file=file, speaker_references=references)


@contextlib.asynccontextmanager
async def redis_of(stack: Stack) -> AsyncIterator[Redis]:
    redis = connect_redis(stack.settings)
    try:
        yield redis
    finally:
        await redis.aclose()


async def test_the_voices_of_a_live_session_wait_for_its_worker_and_are_erased_with_it(stack: Stack) -> None:
    known = [{"name": "agent", "audio": b64encode(VOICE).decode()}, {"name": "Bo", "embedding": EMBEDDING}]
    async with redis_of(stack) as redis:
        with connect(stack.ws_url, max_size=None) as socket:
            socket.send(json.dumps({"type": "start", "diarize": True, "known_speakers": known}))
            ready = json.loads(await asyncio.to_thread(socket.recv, limit_s(20)))
            assert ready["type"] == "ready", ready
            stored = orjson.loads(await redis.hget(keys.session(ready["session_id"]), "options") or b"")
            assert stored["known_speakers"] == [{"name": "agent"}, {"name": "Bo", "embedding": EMBEDDING}]
            voices = await read_voices(redis, ready["session_id"])
            assert {name: len(pcm) for name, pcm in voices.items()} in ({"agent": 96_000}, {}), "or embedded already"
            socket.send('{"type": "cancel"}')
            limit = time.monotonic() + limit_s(10)
            while await redis.exists(keys.session(ready["session_id"]), keys.voices(ready["session_id"])):
                assert time.monotonic() < limit
                await asyncio.sleep(0.05)


async def test_a_voice_is_embedded_by_a_worker_or_refused(stack: Stack) -> None:
    async with TranscriptionClient(stack.ws_url) as client:
        with pytest.raises(ServerError, match=r"has 0\.5 s; at least 1 s are needed"):
            await client.embed_voice(silent_wav(0.5))
        async with redis_of(stack) as redis:
            before = await redis.zrange(keys.UNERASED, 0, -1)
            with pytest.raises(ServerError, match="at least 1 s of speech"):
                await client.embed_voice(silent_wav(30))
            assert set(await redis.zrange(keys.UNERASED, 0, -1)) - set(before), "it will be erased from the disk"
