"""Transcriptions and translations with the SDKs that people have."""

import asyncio
from typing import Any

import pytest
from mistralai.client import Mistral
from mistralai.client.models import File
from openai import AsyncOpenAI, OpenAI

from tests.bench.scoring import word_error_rate
from tests.integration.api_clients import post_form, silent_wav, wav_of
from tests.speech import SENTENCES, can_speak, conversation, spoken
from tests.stack import Stack

SPOKEN = SENTENCES[:2]
MAX_WER = 0.06
ONE_WORD = 0.1
"""Of the first sentence."""


@pytest.fixture(scope="module")
def speech() -> bytes:
    return wav_of(conversation(sentences=SPOKEN))


@pytest.fixture(scope="module")
def sentence() -> bytes:
    """For what does not depend on the length."""
    return wav_of(conversation(sentences=SPOKEN[:1]))


def file_of(content: bytes) -> tuple[str, bytes]:
    return "speech.wav", content


def test_openai_json_is_what_was_said(whisper_openai: OpenAI, speech: bytes) -> None:
    reply = whisper_openai.audio.transcriptions.create(
        model="whisper-1", file=file_of(speech), language="en", prompt="", temperature=0, include=["logprobs"]
    )
    assert word_error_rate(SPOKEN, reply.text) <= MAX_WER
    assert reply.usage.type == "tokens"
    assert reply.usage.total_tokens == reply.usage.input_tokens + reply.usage.output_tokens
    assert reply.usage.output_tokens >= len(reply.text.split())
    assert reply.usage.seconds == pytest.approx(len(speech) / 32_000, abs=0.01)
    assert "".join(token.token for token in reply.logprobs) == reply.text
    assert all(-10 < token.logprob <= 0 for token in reply.logprobs)


def test_openai_verbose_json_has_segments_and_words(whisper_openai: OpenAI, speech: bytes) -> None:
    reply = whisper_openai.audio.transcriptions.create(
        model="whisper-1",
        file=file_of(speech),
        response_format="verbose_json",
        timestamp_granularities=["word", "segment"],
    )
    assert (reply.language, reply.task) == ("english", "transcribe")
    assert reply.duration == pytest.approx(len(speech) / 32_000, abs=0.01)
    assert " ".join(segment.text for segment in reply.segments) == reply.text
    assert [segment.id for segment in reply.segments] == list(range(len(SPOKEN)))
    assert word_error_rate(SPOKEN, " ".join(word.word for word in reply.words)) <= MAX_WER
    times = [time for word in reply.words for time in (word.start, word.end)]
    assert times == sorted(times)
    for segment in reply.segments:
        assert 0 <= segment.start < segment.end <= reply.duration
        assert (segment.seek, segment.tokens, segment.temperature) == (round(segment.start * 100), [], 0)
        assert 0 < segment.compression_ratio < 2.4
        assert -1 < segment.avg_logprob < 0
        assert 0 < segment.no_speech_prob < 0.6
        assert 0.5 < segment.confidence <= 1


def test_openai_captions_and_text_are_bare(whisper_openai: OpenAI, sentence: bytes) -> None:
    replies = {
        name: str(
            whisper_openai.audio.transcriptions.create(
                model="whisper-1", file=file_of(sentence), response_format=name, language="en"
            )
        )
        for name in ("text", "srt", "vtt")
    }
    assert word_error_rate(SPOKEN[:1], replies["text"]) <= ONE_WORD
    assert replies["srt"].startswith("1\n00:00:0")
    assert replies["vtt"].startswith("WEBVTT\n\n00:00:0")


def test_openai_stream_is_the_transcript_in_pieces(whisper_openai: OpenAI, speech: bytes) -> None:
    events = list(whisper_openai.audio.transcriptions.create(model="whisper-1", file=file_of(speech), stream=True))
    *deltas, done = events
    assert {event.type for event in deltas} == {"transcript.text.delta"}
    assert len(deltas) == len(SPOKEN)
    assert done.type == "transcript.text.done"
    assert done.text == "".join(event.delta for event in deltas)
    assert word_error_rate(SPOKEN, done.text) <= MAX_WER


async def test_openai_async_uploads_at_once(stack: Stack) -> None:
    async with AsyncOpenAI(base_url=f"{stack.web_url}/v1", api_key="none", max_retries=0) as client:
        files = [silent_wav(seconds) for seconds in (1, 2, 3)]
        replies = await asyncio.gather(
            *(client.audio.transcriptions.create(model="echo", file=file_of(file)) for file in files)
        )
        stream = await client.audio.transcriptions.create(model="echo", file=file_of(files[1]), stream=True)
        assert [event.type async for event in stream] == ["transcript.text.delta", "transcript.text.done"]
    assert [reply.text for reply in replies] == ["1 seconds", "2 seconds", "3 seconds"]


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")  # the SDK says so of each translation
@pytest.mark.skipif(not can_speak(), reason="espeak-ng is not installed")
def test_openai_translation_is_english(whisper_openai: OpenAI) -> None:
    spanish = wav_of(spoken("Buenos días, me gustaría reservar una mesa para cuatro personas.", "es"))
    translations = whisper_openai.audio.translations
    text = translations.create(model="whisper-1", file=file_of(spanish)).text.lower()
    assert all(word in text for word in ("morning", "table", "people"))
    reply: Any = translations.create(model="whisper-1", file=file_of(spanish), response_format="verbose_json")
    assert (reply.task, reply.language) == ("translate", "english")
    assert reply.segments[0].text in reply.text


def test_mistral_reply_has_segments_only_on_request(whisper_mistral: Mistral, sentence: bytes) -> None:
    transcriptions = whisper_mistral.audio.transcriptions
    file = File(file_name="speech.wav", content=sentence)
    plain = transcriptions.complete(model="whisper-base", file=file)
    assert word_error_rate(SPOKEN[:1], plain.text) <= ONE_WORD
    assert (plain.model, plain.language, plain.segments) == ("whisper-base", "en", [])
    assert plain.usage.prompt_audio_seconds == -(-(len(sentence) - 44) // 32_000)
    timed = transcriptions.complete(
        model="whisper-base", file=file, timestamp_granularities=["segment"], context_bias=["train", "kitchen"]
    )
    assert " ".join(segment.text for segment in timed.segments) == timed.text
    words = transcriptions.complete(model="whisper-base", file=file, timestamp_granularities=["word"])
    assert word_error_rate(SPOKEN[:1], " ".join(segment.text for segment in words.segments)) <= ONE_WORD


@pytest.mark.parametrize(
    ("fields", "is_mistral"),
    [
        ({"timestamp_granularities": "segment"}, True),
        ({"context_bias": "tea"}, True),
        ({"timestamp_granularities": "segment", "response_format": "verbose_json"}, False),
        ({"timestamp_granularities[]": "segment", "response_format": "verbose_json"}, False),
        ({"prompt": "tea"}, False),
    ],
)
def test_request_without_an_sdk_is_known_by_its_fields(stack: Stack, fields: dict[str, str], is_mistral: bool) -> None:
    status, body = post_form(stack, "/v1/audio/transcriptions", silent_wav(1), model="echo", **fields)
    assert status == 200
    assert ("prompt_audio_seconds" in body["usage"]) is is_mistral


def test_mistral_stream_has_its_events_in_order(whisper_mistral: Mistral, speech: bytes) -> None:
    with whisper_mistral.audio.transcriptions.stream(
        model="whisper-base",
        file=File(file_name="speech.wav", content=speech),
        timestamp_granularities=["segment"],
    ) as stream:
        events = [event.data for event in stream]
    kinds = [event.type for event in events]
    assert kinds[:3] == ["transcription.language", "transcription.text.delta", "transcription.segment"]
    assert kinds[-1] == "transcription.done"
    done = events[-1]
    assert done.text == "".join(event.text for event in events if event.type == "transcription.text.delta")
    assert word_error_rate(SPOKEN, done.text) <= MAX_WER
    assert len(done.segments) == kinds.count("transcription.segment") == len(SPOKEN)
