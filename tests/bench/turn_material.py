"""Recordings with long pauses inside sentences and after them, from a folder of recorded speech with reference texts.

Forced alignment (`alignment`) says where each word of the text ends. A pause is at least `SHORTEST_MS` between two of
the words in which the VAD finds no speech. If the text has a full stop, a question mark or an exclamation mark there,
it ends a sentence; otherwise it is inside one. Each pause is lengthened with its own quiet audio: inside sentences to
one of `INSIDE_S`, chosen by a seed, and after sentences and at the end of the recording to `AFTER_S`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shared.events import SAMPLE_RATE_HZ
from shared.session_options import SessionOptions
from tests.bench.alignment import long_token_ends
from tests.bench.clips import Clip
from tests.bench.scoring import tokens
from tests.engine_sessions import finals, heard
from worker.engines.speech.vad import WINDOW_SAMPLES, SileroVad, VadState
from worker.engines.whisper.engine import WhisperEngine

SHORTEST_MS: Final = 160
INSIDE_S: Final = (0.7, 1.0, 1.5, 2.0)
AFTER_S: Final = 9.0
VOICED: Final = 0.2
MARKS: Final = ".?!。？！"
NEAR_SAMPLES: Final = SAMPLE_RATE_HZ * 3 // 10
"""Between the aligned end of a word and the beginning of the pause."""
MARGIN_SAMPLES: Final = 320
"""At both ends of a pause that is not repeated: the fading of a word and the beginning of the next one."""


@dataclass(frozen=True, slots=True)
class Pause:
    """In samples of the lengthened recording."""

    start_samples: int
    end_samples: int
    ends_sentence: bool


@dataclass(frozen=True, slots=True)
class Lengthened:
    id: str
    language: str
    pcm: NDArray[np.float32]
    pauses: tuple[Pause, ...]


def lengthened(clip: Clip, engine: WhisperEngine, seed: int = 0) -> Lengthened:
    """The recording with its pauses lengthened. The engine only aligns the text."""
    options = SessionOptions(recording=True, partials=False, language=clip.language)
    spoken = [word for final in finals(heard(engine, clip.pcm, options)) for word in final.words]
    ends = long_token_ends(engine._decoder, clip.pcm, clip.text, clip.language, spoken)
    generator = np.random.default_rng([seed, *clip.id.encode()])
    parts: list[NDArray[np.float32]] = []
    pauses: list[Pause] = []
    done, length = 0, 0
    for start, end, ends_sentence in _pauses(clip, ends):
        wanted_s = AFTER_S if ends_sentence else float(generator.choice(INSIDE_S))
        middle = (start + end) // 2
        quiet = _quiet(clip.pcm[start:end], max(0, round(wanted_s * SAMPLE_RATE_HZ) - (end - start)))
        parts += [clip.pcm[done:middle], quiet]
        pause_start = length + start - done
        length += middle - done + len(quiet)
        pauses.append(Pause(pause_start, length + end - middle, ends_sentence))
        done = middle
    parts.append(clip.pcm[done:])
    return Lengthened(clip.id, clip.language, np.concatenate(parts), tuple(pauses))


def _pauses(clip: Clip, ends: Sequence[int | None]) -> Iterator[tuple[int, int, bool]]:
    """Start, end, and whether the pause ends a sentence; the last one may be empty."""
    text = " ".join(clip.text.split())
    found = tokens(text, clip.language)
    placed = [(end, token) for end, token in zip(ends, found, strict=True) if end is not None]
    for start, end in _silences(clip.pcm):
        before = [(at, token) for at, token in placed if at <= start + MARGIN_SAMPLES]
        after = [at for at, _ in placed if at > start + MARGIN_SAMPLES]
        if not before or start - before[-1][0] > NEAR_SAMPLES or (after and after[0] < end):
            continue
        is_last = not after
        marked = any(mark in text[before[-1][1].end : before[-1][1].end + 2] for mark in MARKS)
        if is_last or end - start >= SHORTEST_MS * SAMPLE_RATE_HZ // 1000:
            yield start, end, marked or is_last
        if is_last:
            return


def _silences(pcm: NDArray[np.float32]) -> Iterator[tuple[int, int]]:
    """Runs of windows without speech, and the end of the recording."""
    whole = len(pcm) // WINDOW_SAMPLES * WINDOW_SAMPLES
    quiet = SileroVad().probabilities(VadState(), pcm[:whole]) < VOICED
    edges = np.flatnonzero(np.diff(np.concatenate([[False], quiet, [False]]).astype(np.int8))) * WINDOW_SAMPLES
    for start, end in edges.reshape(-1, 2):
        yield int(start), int(end)
    if not quiet[-1]:
        yield len(pcm), len(pcm)


def _quiet(pause: NDArray[np.float32], samples: int) -> NDArray[np.float32]:
    """The middle of a pause, forwards and backwards in turn, so that there are no steps in it."""
    middle = pause[MARGIN_SAMPLES:-MARGIN_SAMPLES] if len(pause) > 4 * MARGIN_SAMPLES else pause
    if not len(middle):
        return np.zeros(samples, np.float32)
    return np.resize(np.concatenate([middle, middle[::-1]]), samples)
