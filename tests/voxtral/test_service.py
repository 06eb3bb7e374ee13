"""Voxtral behind the whole service: WebSocket, Redis, Celery, the worker, a tiny checkpoint."""

import contextlib
import signal
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.integration.api_clients import mistral_of, openai_of, wav_of
from tests.integration.native_clients import ask, base64_of, open_client, tell, until
from tests.speech import SENTENCES, silence, synthesise
from tests.stack import Stack
from tests.tiny.voxtral import write_checkpoint
from tests.voxtral.reference import Reference, murmur
from worker.engines.voxtral.answering import MAX_NEW_TOKENS
from worker.engines.voxtral.session import pcm16
from worker.engines.voxtral.transcribing import SPARE_TOKENS, TOKENS_PER_S

NAME = "mistralai/Voxtral-Mini-3B-2507"
QUESTION = "What is said?"
DEFAULT_QUESTION = "Describe what you hear in this audio."


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("checkpoint"))


@pytest.fixture(scope="module")
def reference(checkpoint: Path) -> Reference:
    return Reference(checkpoint)


@pytest.fixture(scope="module")
def service(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    model = {"name": NAME, "path": str(checkpoint), "device": "cpu", "slots": 4, "threads": 1}
    stack = Stack(tmp_path_factory.mktemp("voxtral"), model=model)
    try:
        stack.start("redis", "worker", "websocket", "tcp", "web", "health")
        yield stack
    finally:
        stack.stop_all()


def answer(reference: Reference, pcm: np.ndarray, text: str | None) -> str:
    return reference.text(answer_tokens(reference, pcm, text))


def answer_tokens(reference: Reference, pcm: np.ndarray, text: str | None) -> list[int]:
    return reference.tokens(pcm, reference.message_prompt(pcm, text), MAX_NEW_TOKENS)


@pytest.mark.parametrize(
    ("fields", "asked"),
    [
        ({"mode": "understand", "prompt": QUESTION}, QUESTION),
        ({"mode": "understand"}, DEFAULT_QUESTION),
        ({"mode": "general"}, None),
    ],
)
def test_one_shot_answer_is_that_of_generate(
    service: Stack, reference: Reference, fields: dict[str, str], asked: str | None
) -> None:
    pcm = murmur(1, 34)
    with contextlib.closing(open_client(service, "websocket")) as client:
        reply = ask(client, type="audio", audio_data=base64_of(pcm.tobytes()), encoding="pcm_s16le", **fields)
    assert reply["type"] == "response", reply
    assert reply["text"] == answer(reference, pcm, asked)


def test_answer_streams_as_it_grows(service: Stack, reference: Reference) -> None:
    pcm = murmur(2, 3)
    with contextlib.closing(open_client(service, "websocket")) as client:
        ready = ask(client, type="start", mode="understand", prompt=QUESTION)
        assert ready["model"] == NAME
        client.send_audio(pcm.tobytes())
        tell(client, type="commit")
        events = until(client, "final")
        client.send_audio(pcm[:20_000].tobytes())
        tell(client, type="stop")
        *_, last, done = until(client, "done")
    *partials, final = [event for event in events if event["type"] in ("partial", "final")]
    assert partials
    assert final["text"] == answer(reference, pcm, QUESTION)
    assert all(final["text"].startswith(partial["text"]) for partial in partials)
    assert (final["segment"], final["start"], final["end"]) == (0, 0.0, 3.0)
    prompt_tokens = len(reference.message_prompt(pcm, QUESTION))
    completion_tokens = len(answer_tokens(reference, pcm, QUESTION))
    counted = {"prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens, "truncated": False}
    assert final["usage"] == counted
    assert (last["segment"], last["text"]) == (1, answer(reference, pcm[:20_000], QUESTION))
    assert done["text"] == f"{final['text']} {last['text']}"


def chat_about(pcm: np.ndarray, text: str | None) -> list[dict[str, Any]]:
    audio = b64encode(wav_of(pcm.astype(np.float32) / 32_767)).decode()
    parts: list[dict[str, Any]] = [{"type": "input_audio", "input_audio": {"data": audio, "format": "wav"}}]
    return [{"role": "user", "content": parts if text is None else [*parts, {"type": "text", "text": text}]}]


@pytest.mark.parametrize("text", [QUESTION, None])
def test_chat_of_openai_answers_and_streams(service: Stack, reference: Reference, text: str | None) -> None:
    pcm = murmur(4, 5)
    with openai_of(service) as client:
        asked: Any = {"model": "voxtral-mini-latest", "messages": chat_about(pcm, text)}
        reply = client.chat.completions.create(**asked)
        chunks = list(client.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True}))
    assert reply.choices[0].message.content == answer(reference, pcm, text)
    assert (reply.model, reply.choices[0].finish_reason) == (NAME, "stop")
    *told, last, usage = chunks
    deltas = [chunk.choices[0].delta.content or "" for chunk in told]
    assert "".join(deltas) == reply.choices[0].message.content
    assert sum(map(bool, deltas)) > 1
    assert last.choices[0].finish_reason == "stop"
    prompt_tokens = len(reference.message_prompt(pcm, text))
    completion_tokens = len(answer_tokens(reference, pcm, text))
    assert (usage.choices, usage.usage) == ([], reply.usage)
    assert (usage.usage.prompt_tokens, usage.usage.completion_tokens) == (prompt_tokens, completion_tokens)
    assert usage.usage.total_tokens == prompt_tokens + completion_tokens


def test_chat_of_mistral_answers_and_streams(service: Stack, reference: Reference) -> None:
    pcm = murmur(5, 3)
    audio = b64encode(wav_of(pcm.astype(np.float32) / 32_767)).decode()
    parts = [{"type": "input_audio", "input_audio": audio}, {"type": "text", "text": QUESTION}]
    asked: Any = {"model": "voxtral-mini-2507", "messages": [{"role": "user", "content": parts}]}
    with mistral_of(service) as client:
        reply = client.chat.complete(**asked)
        with client.chat.stream(**asked) as stream:
            deltas = [event.data.choices[0].delta.content or "" for event in stream]
    assert reply.choices[0].message.content == answer(reference, pcm, QUESTION)
    assert "".join(deltas) == reply.choices[0].message.content


def test_chat_takes_an_audio_url_and_limits_the_answer(service: Stack, reference: Reference) -> None:
    pcm = murmur(6, 3)
    url = "data:audio/wav;base64," + b64encode(wav_of(pcm.astype(np.float32) / 32_767)).decode()
    asked: Any = [{"role": "user", "content": [{"type": "audio_url", "audio_url": {"url": url}}]}]
    with openai_of(service) as client:
        asked_for: Any = {"model": NAME, "messages": asked, "max_completion_tokens": 8}
        reply = client.chat.completions.create(**asked_for)
        *_, last = client.chat.completions.create(**asked_for, stream=True)
    tokens = reference.tokens(pcm, reference.message_prompt(pcm, None), 8)
    assert reply.choices[0].message.content == reference.text(tokens)
    assert reply.usage is not None
    assert reply.usage.completion_tokens == 8
    assert reply.choices[0].finish_reason == last.choices[0].finish_reason == "length"


def test_live_speech_is_transcribed(service: Stack, reference: Reference) -> None:
    pcm = pcm16(np.concatenate([synthesise(SENTENCES[0]), silence(1)]))
    with contextlib.closing(open_client(service, "websocket")) as client:
        ask(client, type="start", mode="transcribe", language="en")
        for start in range(0, len(pcm), 1600):
            client.send_audio(pcm[start : start + 1600].tobytes())
        tell(client, type="stop")
        events = until(client, "done")
    [final] = [event for event in events if event["type"] == "final"]
    segment = pcm[round(final["start"] * 16_000) : round(final["end"] * 16_000)]
    cap = SPARE_TOKENS + round(TOKENS_PER_S * len(segment) / 16_000)
    spoken = reference.tokens(segment, reference.transcription_prompt(segment, "en"), cap)
    assert final["text"] == reference.text(spoken)
    assert final["language"] == "en"
    assert events[0]["type"] == "speech_started"


def test_another_worker_answers_after_one_is_killed(service: Stack, reference: Reference) -> None:
    pcm = murmur(3, 8)
    with contextlib.closing(open_client(service, "websocket")) as client:
        ask(client, type="start", mode="understand", prompt=QUESTION)
        client.send_audio(pcm[:90_000].tobytes())
        service.stop("worker", signal.SIGKILL)
        service.spawn("worker")
        client.send_audio(pcm[90_000:].tobytes())
        tell(client, type="stop")
        events = until(client, "done")
    assert [event["text"] for event in events if event["type"] == "final"] == [answer(reference, pcm, QUESTION)]
