"""Conversations composed of recordings of single speakers, with known turns, pauses and overlaps.

Recordings of other rooms are easier to tell apart than voices in one room. So half of the conversations go through one
telephone line: 300 to 3400 Hz, 8 bits, all speakers equally loud.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shared.events import SAMPLE_RATE_HZ
from tests.bench.diarization import Turn
from tests.speech import telephone
from worker.engines.speech.vad import WINDOW_SAMPLES, SileroVad, VadState

PAUSE_WINDOWS: Final = 8
TURN_S: Final = (0.5, 7.0)
LEVEL: Final = 10 ** (-24 / 20)
OVERLAP_SHARE: Final = 0.25
"""How many turns begin before the previous one has ended."""

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Conversation:
    name: str
    pcm: Floats
    turns: tuple[Turn, ...]
    """The speech of each speaker, by the VAD on the single recordings; pauses inside turns are left out."""


def composed(
    name: str, recordings: Mapping[str, Floats], *, seconds: float, seed: int, by_telephone: bool = False
) -> Conversation:
    """The speakers take turns at random until one of them has said everything, or for so long."""
    chance = np.random.default_rng(seed)
    vad = SileroVad()
    waiting = {speaker: _utterances(_levelled(pcm), vad, chance) for speaker, pcm in recordings.items()}
    pcm = np.zeros(round((seconds + 30) * SAMPLE_RATE_HZ), np.float32)
    turns: list[Turn] = []
    end, last = 0, ""
    while end < seconds * SAMPLE_RATE_HZ:
        others = [speaker for speaker in waiting if speaker != last and waiting[speaker]]
        if not others:
            break
        last = others[int(chance.integers(len(others)))]
        speech, spans = waiting[last].pop(0)
        overlaps = bool(turns) and chance.random() < OVERLAP_SHARE
        gap_s = -chance.uniform(0.1, 0.6) if overlaps else chance.uniform(0.05, 0.9)
        start = max(0, end + round(gap_s * SAMPLE_RATE_HZ))
        pcm[start : start + len(speech)] += speech
        turns += [Turn(last, (start + a) / SAMPLE_RATE_HZ, (start + b) / SAMPLE_RATE_HZ) for a, b in spans]
        end = start + len(speech)
    pcm = pcm[: end + SAMPLE_RATE_HZ]
    return Conversation(name, telephone(pcm) if by_telephone else pcm, tuple(turns))


def _levelled(pcm: Floats) -> Floats:
    loud = np.abs(pcm) > 0.1 * np.abs(pcm).max()
    return pcm * np.float32(LEVEL / np.sqrt(np.mean(pcm[loud] ** 2)))


def _utterances(
    pcm: Floats, vad: SileroVad, chance: np.random.Generator
) -> list[tuple[Floats, Sequence[tuple[int, int]]]]:
    """Pieces of random lengths that begin and end with speech, and the spans of speech in each."""
    whole = pcm[: len(pcm) - len(pcm) % WINDOW_SAMPLES]
    spans = _spans(vad.probabilities(VadState(), whole) > 0.5)
    pieces, open_spans = [], []
    wanted_s = chance.uniform(*TURN_S)
    for start, end in spans:
        open_spans.append((start, end))
        if end - open_spans[0][0] >= wanted_s * SAMPLE_RATE_HZ:
            pieces.append(_piece(whole, open_spans))
            open_spans, wanted_s = [], chance.uniform(*TURN_S)
    return pieces


def _piece(pcm: Floats, spans: Sequence[tuple[int, int]]) -> tuple[Floats, Sequence[tuple[int, int]]]:
    first, last = spans[0][0], spans[-1][1]
    return pcm[first:last], [(start - first, end - first) for start, end in spans]


def _spans(is_speech: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Runs of speech, with pauses of less than a quarter of a second inside, in samples."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], is_speech, [False]]).astype(np.int8))).reshape(-1, 2)
    spans: list[tuple[int, int]] = []
    for start, end in edges:
        if spans and start - spans[-1][1] < PAUSE_WINDOWS:
            spans[-1] = spans[-1][0], int(end)
        else:
            spans.append((int(start), int(end)))
    return [(start * WINDOW_SAMPLES, end * WINDOW_SAMPLES) for start, end in spans if end - start > PAUSE_WINDOWS]
