"""What tests of the Whisper engine share: sessions that are fed and drained, and what came of it."""

import numpy as np
from numpy.typing import NDArray

from shared.events import SessionOptions
from tests.bench.scoring import edits, normalised
from worker.engines.base import Final, Output, Partial
from worker.engines.whisper.engine import WhisperEngine

Outputs = dict[str, list[Output]]
FILE = SessionOptions(recording=True, partials=False)
LIVE = SessionOptions()
QUIET = SessionOptions(partials=False)
"""A live session whose client wants finals only."""


def drained(engine: WhisperEngine) -> Outputs:
    outputs: Outputs = {}
    while engine.ready():
        for session_id, output in engine.step():
            outputs.setdefault(session_id, []).append(output)
    return outputs


def fed(
    engine: WhisperEngine, session_id: str, pcm: NDArray[np.float32], chunk_samples: int, *, start: int = 0
) -> list[Output]:
    """Feed an open session in pieces, and take what it says in between."""
    outputs: list[Output] = []
    for at in range(start, len(pcm), chunk_samples):
        engine.feed(session_id, pcm[at : at + chunk_samples])
        outputs += drained(engine).get(session_id, [])
    return outputs


def heard(
    engine: WhisperEngine, pcm: NDArray[np.float32], options: SessionOptions, chunk_samples: int = 4800
) -> list[Output]:
    """All that a session says about some audio."""
    engine.open("a", options)
    outputs = fed(engine, "a", pcm, chunk_samples)
    engine.finish("a")
    outputs += drained(engine).get("a", [])
    engine.close("a")
    return outputs


def finals(outputs: list[Output]) -> list[Final]:
    return [output for output in outputs if isinstance(output, Final)]


def partials(outputs: list[Output]) -> list[Partial]:
    return [output for output in outputs if isinstance(output, Partial)]


def text_of(outputs: list[Output]) -> str:
    return " ".join(final.text for final in finals(outputs))


def errors(outputs: list[Output], *said: str) -> int:
    """How many words are wrong."""
    return edits(normalised(" ".join(said)), normalised(text_of(outputs)))
