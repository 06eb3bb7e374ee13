"""Helpers for tests of every engine: sessions that are fed and drained, and their outputs."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from shared.session_options import SessionOptions
from worker.engines.base import Engine, Final, Output, Partial

E = TypeVar("E", bound=Engine)
Outputs = dict[str, list[Output]]


def lent(engine: E) -> Iterator[E]:
    """An engine that several tests share, each without the sessions of an earlier one."""
    yield engine
    for session_id in ("a", "b", "c", "d"):
        engine.close(session_id)
    while engine.ready():  # a window may still be decoded
        engine.step()


def by_session(outputs: Iterable[tuple[str, Output]]) -> Outputs:
    found: Outputs = {}
    for session_id, output in outputs:
        found.setdefault(session_id, []).append(output)
    return found


def stepped(engine: Engine) -> Iterator[tuple[str, Output]]:
    """All outputs of the sessions, in their order, until the engine has nothing to do."""
    while engine.ready():
        yield from engine.step()


def drained(engine: Engine) -> Outputs:
    """The same by session."""
    return by_session(stepped(engine))


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
