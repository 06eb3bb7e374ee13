"""A telephone call with one party on each channel comes out as a dialogue."""

import io
import wave

import numpy as np
import pytest

from tests.bench.scoring import normalised
from tests.integration.api_clients import multipart, request
from tests.speech import SENTENCES, synthesise
from tests.stack import Stack

SPOKEN = ((0, SENTENCES[4]), (1, SENTENCES[7]), (0, SENTENCES[19]))
"""Channel and sentence of each turn. The second begins before the first has ended."""
OVERLAP_S = 0.4


@pytest.fixture(scope="module")
def call() -> np.ndarray:
    """Int16 [samples, 2] at 16 kHz."""
    voices = [synthesise(text) for _, text in SPOKEN]
    length = sum(map(len, voices))
    tracks = np.zeros((length + 16_000, 2), np.float32)
    at = 0
    for (channel, _), voice in zip(SPOKEN, voices, strict=True):
        tracks[at : at + len(voice), channel] = voice
        at += len(voice) - round(OVERLAP_S * 16_000)
    return (tracks * 32767).astype("<i2")


def assert_dialogue(lines: list[str]) -> None:
    assert [normalised(line) for line in lines] == [normalised(text) for _, text in SPOKEN]


def test_recorded_call_is_a_dialogue(whisper_stack: Stack, call: np.ndarray) -> None:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(2)
        writer.setsampwidth(2)
        writer.setframerate(16_000)
        writer.writeframes(call.tobytes())
    form = multipart(file.getvalue(), response_format="text", channel_mode="separate", language="en")
    _, body = request(whisper_stack, "POST", "/v1/audio/transcriptions", *form)
    lines = [line.partition(": ") for line in body.decode().splitlines()]
    assert [name for name, _, _ in lines] == [f"Channel {channel}" for channel, _ in SPOKEN]
    assert_dialogue([text for _, _, text in lines])
