"""Where each token of a known text ends in its audio: forced alignment by the model, moved back to the last voice.

A model counts the pause after a word as a part of it. A word ends at its last sound at the latest, and at the last
voice that the VAD detects in it: later sound is reverberation or noise. The model aligns at most 30 s. Longer audio is
cut in the pauses between words that a transcript of it has right.
"""

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shared.events import SAMPLE_RATE_HZ, Word
from tests.bench.scoring import Token, normalised, tokens
from worker.engines.speech.vad import SileroVad, VadState
from worker.engines.whisper.decoder import WhisperDecoder

AUDIBLE = 10 ** (-45 / 20)
"""Below the peak; quieter audio is silence."""
FRAME_SAMPLES = 160
VAD_SAMPLES = 512
FADING_SAMPLES = SAMPLE_RATE_HZ // 5
"""Consonants at the end of a word may be too soft for the VAD."""
VOICED = 0.5
"""Probability of speech."""
FAINTLY_VOICED = 0.2
"""The same for the end of a clip: over a telephone, it is no higher in whole sentences."""
LONGEST_SAMPLES = 27 * SAMPLE_RATE_HZ
SHORTEST_SAMPLES = 6 * SAMPLE_RATE_HZ
"""A piece that is cut off is at least this long."""


@dataclass(frozen=True, slots=True)
class Cut:
    """Between two words of a text."""

    character: int
    at_samples: int
    pause_samples: int


def token_ends(decoder: WhisperDecoder, pcm: NDArray[np.float32], text: str, language: str) -> list[int | None]:
    """Where each token of `text` ends, in samples. Audio of at most 30 s; all None if the words cannot be placed."""
    text = " ".join(text.split())
    timed = decoder.timed_reference(pcm, text, language)
    found = tokens(text, language)
    if "".join(word.text + word.mark for word in timed) != " " + text:
        return [None] * len(found)
    audible, voiced = _audible(pcm), _voiced(pcm)
    ends: list[int | None] = []
    reached = -1  # the space before the text
    for word in timed:
        start, reached = reached, reached + len(word.text) + len(word.mark)
        end = _last(audible, FRAME_SAMPLES, word.start_samples, word.end_samples)
        end = _last(voiced, VAD_SAMPLES, word.start_samples, end)
        ends += [end] * sum(start < token.end <= reached for token in found)
    return ends


def long_token_ends(
    decoder: WhisperDecoder, pcm: NDArray[np.float32], text: str, language: str, heard: Sequence[Word]
) -> list[int | None]:
    """Like `token_ends`, for audio of any length, with a transcript of it.

    If no pause is found to cut the audio in, a token ends at the time in the transcript, if that contains it.
    """
    text = " ".join(text.split())
    matched = _matched(tokens(text, language), heard, language)
    ends: list[int | None] = []
    for start, end, piece in _pieces(text, len(pcm), _cuts(text, tokens(text, language), matched)):
        if end - start > LONGEST_SAMPLES:
            count = len(normalised(piece, language))
            ends += [word and word.end_samples for word in matched[len(ends) : len(ends) + count]]
        else:
            found = token_ends(decoder, pcm[start:end], piece, language)
            ends += [None if one is None else start + one for one in found]
    assert len(ends) == len(matched), "cuts lie between words"
    return ends


def last_sound_samples(pcm: NDArray[np.float32]) -> int:
    """Where the last audible sample ends; in a noisy room, at most `FADING_SAMPLES` after the last voice."""
    loud = np.flatnonzero(np.abs(pcm) > AUDIBLE * np.abs(pcm).max())
    last = int(loud[-1]) + 1 if len(loud) else 0
    voiced = np.flatnonzero(_voiced(pcm, FAINTLY_VOICED))
    return min(last, (int(voiced[-1]) + 1) * VAD_SAMPLES + FADING_SAMPLES) if len(voiced) else last


def _audible(pcm: NDArray[np.float32]) -> NDArray[np.bool_]:
    envelope = np.abs(pcm[: len(pcm) // FRAME_SAMPLES * FRAME_SAMPLES].reshape(-1, FRAME_SAMPLES)).max(axis=1)
    return envelope > envelope.max() * AUDIBLE


def _voiced(pcm: NDArray[np.float32], least: float = VOICED) -> NDArray[np.bool_]:
    return SileroVad().probabilities(VadState(), pcm[: len(pcm) // VAD_SAMPLES * VAD_SAMPLES]) >= least


def _last(frames: NDArray[np.bool_], frame_samples: int, start: int, end: int) -> int:
    """Where the last of these frames between `start` and `end` ends; `end` if there is none."""
    first = start // frame_samples
    found = np.flatnonzero(frames[first : -(-end // frame_samples)])
    return min(end, (first + int(found[-1]) + 1) * frame_samples) if len(found) else end


def _matched(reference: Sequence[Token], heard: Sequence[Word], language: str) -> list[Word | None]:
    """The word of the transcript that matches each token of the reference, if there is one."""
    spoken = [(token, word) for word in heard for token in normalised(word.text, language)]
    matcher = difflib.SequenceMatcher(
        None, [token.text for token in reference], [token for token, _ in spoken], autojunk=False
    )
    matched: list[Word | None] = [None] * len(reference)
    for block in matcher.get_matching_blocks():
        for step in range(block.size):
            matched[block.a + step] = spoken[block.b + step][1]
    return matched


def _cuts(text: str, reference: Sequence[Token], matched: Sequence[Word | None]) -> list[Cut]:
    cuts = []
    for index in range(len(reference) - 1):
        before, after = matched[index : index + 2]
        space = text.find(" ", reference[index].end, reference[index + 1].end)
        if before and after and space >= 0:
            pause_samples = after.start_samples - before.end_samples
            cuts.append(Cut(space, (before.end_samples + after.start_samples) // 2, pause_samples))
    return cuts


def _pieces(text: str, length_samples: int, cuts: Sequence[Cut]) -> Iterator[tuple[int, int, str]]:
    """Start, end and text of each piece, cut in the longest pause that leaves none too long or too short."""
    start = character = 0
    while length_samples - start > LONGEST_SAMPLES:
        near = [cut for cut in cuts if SHORTEST_SAMPLES <= cut.at_samples - start <= LONGEST_SAMPLES]
        if not near:
            break
        cut = max(near, key=lambda cut: cut.pause_samples)
        yield start, cut.at_samples, text[character : cut.character]
        start, character = cut.at_samples, cut.character + 1
    yield start, length_samples, text[character:]
