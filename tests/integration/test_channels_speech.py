"""A telephone call with one party on each channel comes out as a dialogue, recorded and live."""

import io
import wave

import numpy as np
import pytest

from tests.bench.scoring import normalised
from tests.integration.api_clients import multipart, request
from tests.integration.native_clients import ask, open_client, tell, until
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


def test_live_call_is_a_dialogue(whisper_stack: Stack, call: np.ndarray) -> None:
    client = open_client(whisper_stack, "websocket")
    ready = ask(client, type="start", channels=2, channel_mode="separate", language="en", partials=False)
    assert ready["type"] == "ready", ready
    client.send_audio(call.tobytes())
    tell(client, type="stop")
    events = until(client, "done")
    assert_dialogue(events[-1]["text"].splitlines())
    finals = sorted((event for event in events if event["type"] == "final"), key=lambda event: event["start"])
    assert [event["channel"] for event in finals] == [channel for channel, _ in SPOKEN]
    client.close()
