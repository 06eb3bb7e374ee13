"""Scenes spoken to the tiny trained checkpoint on any device, and the tokens and texts that come of them.

Time does not pass: a tick is one step of the engine, and a session has all of its audio from its first tick on.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import jiwer

from shared.session_options import SessionOptions
from tests.bench.scoring import edits, normalised
from tests.tiny.engine import loaded_realtime
from tests.tiny.scenes import Scene, scene
from worker.engines.base import Final as FinalText
from worker.engines.base import Finished
from worker.engines.voxtral_realtime import passes

ROWS: Final = 16
DELAYS_MS: Final = (480, 240, 800, 2400)
POSITIONS: Final = (48, 96)
"""The tiny ring has 128 positions, fewer than any part that passes are made for: with these there are three."""
MOST_TICKS: Final = 20_000


@dataclass(frozen=True)
class Speaker:
    scene: Scene
    delay_ms: int
    starts_at: int = 0
    """The tick before which it joins."""
    leaves_after: int | None = None
    """Ticks after which it leaves in mid-speech; None to stay until all is answered."""


@dataclass
class Said:
    tokens: list[int] = field(default_factory=list)
    text: str = ""


def load_tiny(device: str, **model: str) -> Any:
    """The engine with the tiny trained checkpoint, not yet warm. `model` holds further settings."""
    with short_parts():
        return loaded_realtime(device=device, slots=ROWS, **model)


@contextmanager
def short_parts() -> Iterator[None]:
    """Passes of models that are made here come in parts of the ring of `POSITIONS`."""
    published, passes.POSITIONS = passes.POSITIONS, POSITIONS  # type: ignore[misc]
    try:
        yield
    finally:
        passes.POSITIONS = published  # type: ignore[misc]


def scenes(count: int, words: int) -> list[Scene]:
    """Of different lengths, with the kinds of pauses and noise in turn."""
    return [
        scene(9000 + number, words + number % 3, gap_s=(0.1, 0.9), snr_db=(30.0, None, 20.0)[number % 3])
        for number in range(count)
    ]


def play(engine: Any, speakers: Sequence[Speaker]) -> list[Said]:
    """What the engine says to each of them. No more than the engine's slots may speak at once."""
    said = [Said() for _ in speakers]
    texts: list[list[str]] = [[] for _ in speakers]
    waiting, speaking = dict(enumerate(speakers)), {}
    tick = 0
    while waiting or speaking:
        for number in [number for number, one in waiting.items() if one.starts_at <= tick]:
            speaking[number] = waiting.pop(number)
            _join(engine, str(number), speaking[number], said[number].tokens)
        for key, output in engine.step():
            if isinstance(output, FinalText):
                texts[int(key)].append(output.text)
            if isinstance(output, Finished):
                engine.close(key)
                del speaking[int(key)]
        tick += 1
        for number, one in list(speaking.items()):
            if one.leaves_after is not None and tick >= one.starts_at + one.leaves_after:
                engine.close(str(number))
                del speaking[number]
        if tick > MOST_TICKS:
            raise AssertionError(f"Sessions {sorted(speaking)} have not ended after {tick} passes.")
    for one, parts in zip(said, texts, strict=True):
        one.text = " ".join(parts)
    return said


def word_errors(speakers: Sequence[Speaker], said: Sequence[Said]) -> float:
    """The word error rate over all sessions that were heard to their end."""
    whole = [(one.scene.text, words.text) for one, words in zip(speakers, said, strict=True) if not one.leaves_after]
    texts = [(spoken, " ".join(normalised(heard))) for spoken, heard in whole]
    return float(jiwer.wer([" ".join(normalised(spoken)) for spoken, _ in texts], [heard for _, heard in texts]))


def token_errors(expected: Sequence[Said], found: Sequence[Said]) -> float:
    """The tokens that differ, of those expected. Of a session that left early, as far as it was heard."""
    differing = total = 0
    for before, after in zip(expected, found, strict=True):
        tokens = before.tokens[: len(after.tokens)] if len(after.tokens) < len(before.tokens) else before.tokens
        differing += edits([str(token) for token in tokens], [str(token) for token in after.tokens])
        total += len(tokens)
    return differing / max(1, total)


def _join(engine: Any, key: str, speaker: Speaker, tokens: list[int]) -> None:
    engine.open(key, SessionOptions(delay_ms=speaker.delay_ms))
    session = engine._sessions[key]
    plain = session._say

    def say(token: int, *about: float | None) -> None:
        tokens.append(token)
        plain(token, *about)

    session._say = say  # listens in on what the model says
    engine.feed(key, speaker.scene.audio)
    engine.finish(key)
