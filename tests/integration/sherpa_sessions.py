"""Helpers for tests of the streaming engine: an engine with three slots, sessions, and their outputs."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shared.session_options import SessionOptions
from tests import engine_sessions
from tests.engine_sessions import finals
from tests.speech import SENTENCES, silence, synthesise
from worker.engines.base import Output
from worker.engines.sherpa.engine import SherpaEngine
from worker.engines.sherpa.files import find_model
from worker.engines.speech.boundaries import SegmenterSettings

LIVE = SessionOptions()
FILE = SessionOptions(partials=False)
SPEECH = np.concatenate([silence(0.5), synthesise(SENTENCES[0]), silence(1)])
"""The sentence begins after 0.8 s and ends after 5.2 s."""


def built(folder: Path, segmenter: SegmenterSettings | None = None) -> SherpaEngine:
    return SherpaEngine(find_model(folder, "sherpa"), slots=3, threads=1, segmenter=segmenter)


def heard(
    engine: SherpaEngine, pcm: NDArray[np.float32], options: SessionOptions = LIVE, chunk_samples: int = 1600
) -> list[Output]:
    """Feed audio as a client sends it: in pieces of 100 ms."""
    return engine_sessions.heard(engine, pcm, options, chunk_samples)


def plain(outputs: Sequence[Output]) -> list[object]:
    """Finals without measured times."""
    return [(one.segment, one.text, one.start_samples, one.end_samples, one.words) for one in finals(outputs)]
