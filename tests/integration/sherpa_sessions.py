"""What tests of the streaming engine share: an engine with three slots, sessions, and what they say."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shared.events import SessionOptions
from tests.speech import SENTENCES, silence, synthesise
from worker.engines.base import Final, Output, Partial
from worker.engines.sherpa.engine import SherpaEngine
from worker.engines.sherpa.files import find_model
from worker.segmenter import SegmenterSettings

LIVE = SessionOptions()
FILE = SessionOptions(partials=False)
SPEECH = np.concatenate([silence(0.5), synthesise(SENTENCES[0]), silence(1)])
"""The sentence begins after 0.8 s and ends after 5.2 s."""


def built(folder: Path, segmenter: SegmenterSettings | None = None) -> SherpaEngine:
    return SherpaEngine(find_model(folder, "sherpa"), slots=3, threads=1, segmenter=segmenter)


def drained(engine: SherpaEngine) -> dict[str, list[Output]]:
    outputs: dict[str, list[Output]] = {}
    while engine.ready():
        for session_id, output in engine.step():
            outputs.setdefault(session_id, []).append(output)
    return outputs


def heard(
    engine: SherpaEngine, pcm: NDArray[np.float32], options: SessionOptions = LIVE, chunk_samples: int = 1600
) -> list[Output]:
    engine.open("a", options)
    outputs: list[Output] = []
    for start in range(0, len(pcm), chunk_samples):
        engine.feed("a", pcm[start : start + chunk_samples])
        outputs += drained(engine).get("a", [])
    engine.finish("a")
    outputs += drained(engine).get("a", [])
    engine.close("a")
    return outputs


def finals(outputs: Sequence[Output]) -> list[Final]:
    return [output for output in outputs if isinstance(output, Final)]


def partials(outputs: Sequence[Output]) -> list[Partial]:
    return [output for output in outputs if isinstance(output, Partial)]


def plain(outputs: Sequence[Output]) -> list[object]:
    """Finals without what was measured."""
    return [(one.segment, one.text, one.start_samples, one.end_samples, one.words) for one in finals(outputs)]
