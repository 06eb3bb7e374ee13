"""One window of audio that `OnnxWhisper` has heard: what is said in it, and when."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress
from typing import Final

import numpy as np

from worker.engines.whisper.onnx_model.alignment import token_positions
from worker.engines.whisper.onnx_model.beams import Beam, extended
from worker.engines.whisper.onnx_model.graph import Floats
from worker.engines.whisper.onnx_model.model import OnnxWhisper
from worker.engines.whisper.onnx_model.timestamps import log_of_sum

FRAMES_PER_POSITION: Final = 2
"""The encoder halves the number of frames."""


@dataclass(frozen=True, slots=True)
class Answer:
    tokens: list[int]
    """After the known ones, without the end."""
    log_probability: float
    """Of all of them together, and of the end if they have one."""
    no_speech_probability: float
    is_cut: bool
    """It has as many tokens as were allowed."""


@dataclass(frozen=True, slots=True)
class Alignment:
    """The parts of `ctranslate2.models.WhisperAlignmentResult` that word times need."""

    alignments: list[tuple[int, int]]
    """Each token, and then the end of the text, with the index of the encoder's output where it begins."""
    text_token_probs: list[float]


class EncodedWindow:
    def __init__(self, model: OnnxWhisper, spectrogram: Floats) -> None:
        """`spectrogram` `[mels, frames]`."""
        self._model = model
        self.encoded, self._memory = model.encode(spectrogram)
        """`encoded` is the encoder's output, `[positions, width]`."""

    def answer(self, known: Sequence[int], draft: Sequence[int], *, max_new_tokens: int, end: int) -> Answer:
        """The likeliest answer, token by token, up to a timestamp from `end` on.

        `known` is the prompt, the start of the answer, its first timestamp and any forced tokens. `draft` is what may
        follow: it is read together with `known`, and what is right in it takes no more steps.
        """
        model, special = self._model, self._model.special
        said = self._prefix(known)
        new_from = len(said)
        max_new_tokens = min(max_new_tokens, model.size.positions - len(known) - 1)
        draft = draft[: max(0, max_new_tokens - 1)]
        following, past, no_speech = self._prefill(known, draft)
        right, log_probability = 0, 0.0
        while len(said) - new_from < max_new_tokens:
            token, added = model.rules.choose(following[right], said)
            log_probability += added
            if token == special.end:
                break
            said.append(token)
            if self._is_over(said[new_from:], end) or len(said) - new_from == max_new_tokens:
                break
            if right < len(draft) and token == draft[right]:
                right += 1
                continue
            past = past[..., : len(known) + len(said) - new_from - 1, :]
            [following], past = model.decode(self._memory, [[token]], past=past, rows=[0])
            draft, right = (), 0
        new = said[new_from:]
        return Answer(new, log_probability, no_speech, is_cut=len(new) >= max_new_tokens)

    def best_answer(self, known: Sequence[int], *, beam: int, max_new_tokens: int, end: int) -> Answer:
        """The same, but the best of `beam` answers that are followed side by side: slower, and mostly better.

        The best one has the highest mean of logarithms of probabilities, as in CTranslate2. The search ends when that
        of an answer that has ended is highest, or, as there, when `beam` answers have ended: the others would often
        become loops, whose mean grows with each round.
        """
        model, special = self._model, self._model.special
        max_new_tokens = min(max_new_tokens, model.size.positions - len(known) - 1)
        following, past, no_speech = self._prefill(known)
        beams = [Beam(tuple(self._prefix(known)), 0.0)]
        new_from = len(beams[0].said)
        finished: list[Beam] = []
        for _ in range(max_new_tokens):
            rows = zip(following, beams, strict=True)
            rated = [model.rules.log_probabilities(logits, one.said) for logits, one in rows]
            followed, beams, ended = extended(beams, rated, beam, special.end)
            over = [self._is_over(one.said[new_from:], end) for one in beams]
            finished += [*ended, *compress(beams, over)]
            followed = [index for index, is_over in zip(followed, over, strict=True) if not is_over]
            beams = [one for one, is_over in zip(beams, over, strict=True) if not is_over]
            if not beams or len(finished) >= beam or _has_won(finished, beams):
                break
            past = np.ascontiguousarray(past[:, :, followed])
            logits, past = model.decode(self._memory, [one.said[-1:] for one in beams], past=past, rows=[0])
            following = logits[:, 0]
        best = max(finished or beams, key=lambda one: one.mean)
        new = list(best.said[new_from:])
        return Answer(new, best.log_probability, no_speech, is_cut=len(new) >= max_new_tokens)

    def languages(self, tokens: Sequence[int]) -> list[float]:
        """The probability of each of these languages, given by its token: that it, of all of them, is spoken."""
        [logits], _ = self._model.decode(
            self._memory, [[self._model.special.start]], past=self._model.empty_past, rows=[0]
        )
        found: list[float] = np.exp(logits[0, tokens] - log_of_sum(logits[0, tokens])).tolist()
        return found

    def align(self, start: Sequence[int], forced: Sequence[int], text: Sequence[int], frames: int) -> Alignment:
        """When the forced tokens and the text after them were spoken, in the window's first `frames`.

        `start`: the tokens that begin an answer in this language. Forced tokens have a probability of 1.
        """
        special = self._model.special
        tokens = [*start, special.no_timestamps, *forced, *text, special.end]
        first = len(start) + len(forced)
        rows = range(first, first + len(text))
        outputs = self._model.decode(
            self._memory, [tokens], past=self._model.empty_past, rows=rows, wanted=("logits", "scores")
        )
        logits, scores = outputs[0][0, :, : special.end], outputs[1]
        most = logits.max(axis=1)
        chosen = logits[np.arange(len(text)), list(text)]
        probabilities = np.exp(chosen - most) / np.exp(logits - most[:, None]).sum(axis=1)
        positions = token_positions(scores[..., : frames // FRAMES_PER_POSITION], len(start))
        return Alignment(list(enumerate(positions)), [1.0] * len(forced) + probabilities.tolist())

    def _prefix(self, known: Sequence[int]) -> list[int]:
        """The known part of the answer: from its first timestamp on."""
        special = self._model.special
        return list(known[known.index(special.timestamps, known.index(special.start)) :])

    def _prefill(self, known: Sequence[int], draft: Sequence[int] = ()) -> tuple[Floats, Floats, float]:
        """The logits after the known tokens and after each of the draft, `past`, and the probability of no speech."""
        model, special = self._model, self._model.special
        rows = [known.index(special.start), *range(len(known) - 1, len(known) + len(draft))]
        [logits], past = model.decode(self._memory, [[*known, *draft]], past=model.empty_past, rows=rows)
        no_speech = float(np.exp(logits[0, special.no_speech] - log_of_sum(logits[0])))
        return logits[1:], past, no_speech

    def _is_over(self, new: Sequence[int], end: int) -> bool:
        """Whether a timestamp from `end` on follows some text."""
        return bool(new) and new[-1] >= end and min(new) < self._model.special.timestamps


def _has_won(finished: Sequence[Beam], beams: Sequence[Beam]) -> bool:
    """Whether an answer that has ended is better than all others so far."""
    return bool(finished) and max(one.mean for one in finished) >= max(one.mean for one in beams)
