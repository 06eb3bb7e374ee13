"""Turns of a streaming model whose stream is replaced in the middle of speech."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from shared.events import SAMPLE_RATE_HZ
from shared.session_options import SessionOptions
from shared.turn_detection import TurnDetection
from worker.engines.base import Final, Output, Partial, SpeechStarted, SpeechStopped, TurnEnded
from worker.engines.sherpa.session import MAX_STREAM_SAMPLES, Session
from worker.engines.sherpa.spelling import Said
from worker.engines.speech.boundaries import SegmenterSettings
from worker.engines.speech.vad import WINDOW_SAMPLES, VadState

SPEECH, QUIET = 0.9, 0.0
WORD_SAMPLES = SAMPLE_RATE_HZ // 2
STREAM_S = MAX_STREAM_SAMPLES // SAMPLE_RATE_HZ


class Stream:
    """Writes a word for every half second, or nothing."""

    def __init__(self, *, writes: bool) -> None:
        self._writes = writes
        self.fed_samples = self.decoded_samples = 0

    def accept_waveform(self, _rate_hz: int, pcm: NDArray[np.float32]) -> None:
        self.fed_samples += len(pcm)

    def input_finished(self) -> None:
        """All text is written at once."""

    @property
    def said(self) -> Said:
        count = self.decoded_samples // WORD_SAMPLES if self._writes else 0
        times_s = [index * WORD_SAMPLES / SAMPLE_RATE_HZ for index in range(count)]
        return Said(["▁two"] * count, times_s, " ".join(["two"] * count))


class Recognizer:
    """Only its first streams write words."""

    window_samples = shift_samples = 5120

    def __init__(self, writing_streams: int) -> None:
        self._writing_streams = writing_streams
        self.opened = 0

    def open_stream(self) -> Stream:
        self.opened += 1
        return Stream(writes=self.opened <= self._writing_streams)

    def is_ready(self, stream: Stream) -> bool:
        return stream.fed_samples - stream.decoded_samples >= self.shift_samples

    def said(self, stream: Stream) -> Said:
        return stream.said


class Voice:
    """A VAD with the given answer."""

    def __init__(self, probability: float) -> None:
        self._probability = probability

    def probabilities(self, _state: VadState, pcm: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.full(len(pcm) // WINDOW_SAMPLES, self._probability, np.float32)


def outputs_of(recognizer: Any, *parts: tuple[float, int]) -> list[Output]:
    """Of audio with these speech probabilities, each for so many seconds."""
    session = Session(
        SessionOptions(turn_detection=TurnDetection("pause")),
        recognizer,
        SegmenterSettings(max_segment_s=1e9, late_after_s=1e9),
        start_samples=0,
        segment=0,
        max_segment_samples=12 * SAMPLE_RATE_HZ,
        marks_words=True,
    )
    outputs: list[Output] = []
    for probability, seconds in parts:
        vad: Any = Voice(probability)
        session.endpointing.audio.append(np.zeros(seconds * SAMPLE_RATE_HZ, np.float32))
        while session.is_behind:
            session.listen(vad)
            if session.is_ready:
                session.hearing.stream.decoded_samples += recognizer.shift_samples
                session.take_pass(1.0)
                session.advance()
            outputs += session.take_outputs()
    return [output for output in outputs if not isinstance(output, Partial)]


@pytest.mark.parametrize(
    ("writing_streams", "speech_s", "expected"),
    [
        (2, STREAM_S + 4, [SpeechStarted, *[Final] * 5, SpeechStopped, Final, TurnEnded]),
        (1, STREAM_S + 4, [SpeechStarted, *[Final] * 5, SpeechStopped, TurnEnded]),
        (1, 4, [SpeechStarted, SpeechStopped, Final, TurnEnded]),
        (0, 4, [SpeechStarted, SpeechStopped]),
    ],
)
def test_turn_ends_unless_it_has_no_words(writing_streams: int, speech_s: int, expected: list[type[Output]]) -> None:
    recognizer = Recognizer(writing_streams)
    outputs = outputs_of(recognizer, (SPEECH, speech_s), (QUIET, 2))
    assert [type(output) for output in outputs] == expected
    assert recognizer.opened == (2 if speech_s > STREAM_S else 1)
