"""Helpers for tests of every engine: sessions that are fed and drained, and their outputs."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from shared.session_options import SessionOptions
from worker.engines.base import Engine, Final, Output, Partial

Outputs = dict[str, list[Output]]


def drained(engine: Engine) -> Outputs:
    """All outputs of the sessions until the engine has nothing to do."""
    outputs: Outputs = {}
    while engine.ready():
        for session_id, output in engine.step():
            outputs.setdefault(session_id, []).append(output)
    return outputs


def fed(
    engine: Engine, session_id: str, pcm: NDArray[np.float32], chunk_samples: int, *, start: int = 0
) -> list[Output]:
    """Feed an open session in pieces, and collect its outputs in between."""
    outputs: list[Output] = []
    for at in range(start, len(pcm), chunk_samples):
        engine.feed(session_id, pcm[at : at + chunk_samples])
        outputs += drained(engine).get(session_id, [])
    return outputs


def heard(engine: Engine, pcm: NDArray[np.float32], options: SessionOptions, chunk_samples: int = 4800) -> list[Output]:
    """All outputs of a session for some audio."""
    engine.open("a", options)
    outputs = fed(engine, "a", pcm, chunk_samples)
    engine.finish("a")
    outputs += drained(engine).get("a", [])
    engine.close("a")
    return outputs


def finals(outputs: Sequence[Output]) -> list[Final]:
    return [output for output in outputs if isinstance(output, Final)]


def partials(outputs: Sequence[Output]) -> list[Partial]:
    return [output for output in outputs if isinstance(output, Partial)]


def text_of(outputs: Sequence[Output]) -> str:
    return " ".join(final.text for final in finals(outputs))


def plain(text: str) -> str:
    """The words in lower case, without marks."""
    return " ".join("".join(character for character in text.lower() if character.isalnum() or character == " ").split())
