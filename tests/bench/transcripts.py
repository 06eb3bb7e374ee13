"""Whole recordings as text: by one offline decode of the same weights, and as the service transcribes recordings."""

import time
from dataclasses import dataclass

import numpy as np
from faster_whisper import WhisperModel
from numpy.typing import NDArray

from shared.events import SAMPLE_RATE_HZ, Word
from shared.session_options import SessionOptions
from worker.engines.base import Final
from worker.engines.whisper.engine import WhisperEngine
from worker.engines.whisper.weights import model_directory
from worker.positions import FILE_BACKLOG_SAMPLES

OFFLINE_BEAM = 5


@dataclass(frozen=True, slots=True)
class Transcript:
    text: str
    wall_s: float
    cpu_s: float
    words: tuple[Word, ...] = ()


class Offline:
    """faster-whisper: windows of 30 s, each after the text before it, and a beam."""

    def __init__(self, threads: int, compute_type: str = "int8") -> None:
        self._model = WhisperModel(
            str(model_directory(None)), device="cpu", compute_type=compute_type, cpu_threads=threads
        )

    def transcribe(self, pcm: NDArray[np.float32], language: str) -> Transcript:
        wall_s, cpu_s = time.perf_counter(), time.process_time()
        segments, _ = self._model.transcribe(pcm, language=language, beam_size=OFFLINE_BEAM)
        text = " ".join(segment.text.strip() for segment in segments)
        return Transcript(text, time.perf_counter() - wall_s, time.process_time() - cpu_s)


def transcribe_recording(engine: WhisperEngine, pcm: NDArray[np.float32], language: str | None) -> Transcript:
    """By the engine, which always has as much of the audio as a worker reads ahead."""
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    finals: list[Final] = []
    engine.open("recording", SessionOptions(language=language, partials=False, recording=True))
    fed_samples, finished = 0, False
    while not finished or engine.ready():
        while fed_samples < len(pcm) and fed_samples - engine.absorbed_samples("recording") < FILE_BACKLOG_SAMPLES:
            engine.feed("recording", pcm[fed_samples : fed_samples + SAMPLE_RATE_HZ])
            fed_samples += SAMPLE_RATE_HZ
        if fed_samples >= len(pcm) and not finished:
            engine.finish("recording")
            finished = True
        finals += [output for _, output in engine.step() if isinstance(output, Final)]
    engine.close("recording")
    text = " ".join(final.text for final in finals)
    words = tuple(word for final in finals for word in final.words)
    return Transcript(text, time.perf_counter() - wall_s, time.process_time() - cpu_s, words)
