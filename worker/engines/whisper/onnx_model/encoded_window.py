"""One window of audio that `OnnxWhisper` has heard: what is said in it, and when."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress

import numpy as np

from worker.engines.whisper.onnx_model.beams import Beam, extended
from worker.engines.whisper.onnx_model.graph import Floats
from worker.engines.whisper.onnx_model.model import OnnxWhisper, Step
from worker.engines.whisper.onnx_model.reading import Alignment, Reading, text_probability
from worker.engines.whisper.onnx_model.timestamps import log_of_sum


@dataclass(frozen=True, slots=True)
class Answer:
    tokens: list[int]
    """After the known ones, without the end."""
    log_probability: float
    """Of all of them together, and of the end if they have one."""
    no_speech_probability: float
    is_cut: bool
    """It has as many tokens as were allowed."""
    reading: Reading | None = None
    """None if it is not known: of the best of a beam, of a cut answer, and of CTranslate2's."""


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
        read, no_speech = self._prefill(known, draft)
        scores, right, log_probability = read.scores, 0, 0.0
        probabilities: list[float] = []
        while len(said) - new_from < max_new_tokens:
            logits = read.logits[0, right]
            token, added = model.rules.choose(logits, said)
            log_probability += added
            if token == special.end:
                break
            said.append(token)
            probabilities.append(text_probability(logits, token, special.end))
            if self._is_over(said[new_from:], end) or len(said) - new_from == max_new_tokens:
                break
            if right < len(draft) and token == draft[right]:
                right += 1
                continue
            before = len(known) + len(said) - new_from - 1
            read = model.decode(self._memory, [[token]], past=read.past[..., :before, :], rows=[0])
            scores = np.concatenate((scores[:, :before], read.scores), axis=1)
            draft, right = (), 0
        new = said[new_from:]
        is_cut = len(new) >= max_new_tokens
        start = known.index(special.start)
        timestamp = known.index(special.timestamps, start)
        reading = None if is_cut else Reading(scores, start, timestamp, len(known), probabilities)
        return Answer(new, log_probability, no_speech, is_cut, reading)

    def best_answer(self, known: Sequence[int], *, beam: int, max_new_tokens: int, end: int) -> Answer:
        """The same, but the best of `beam` answers that are followed side by side: slower, and mostly better.

        The best one has the highest mean of logarithms of probabilities, as in CTranslate2. The search ends when that
        of an answer that has ended is highest, or, as there, when `beam` answers have ended: the others would often
        become loops, whose mean grows with each round.
        """
        model, special = self._model, self._model.special
        max_new_tokens = min(max_new_tokens, model.size.positions - len(known) - 1)
        read, no_speech = self._prefill(known)
        beams = [Beam(tuple(self._prefix(known)), 0.0)]
        new_from = len(beams[0].said)
        finished: list[Beam] = []
        for _ in range(max_new_tokens):
            rows = zip(read.logits[:, 0], beams, strict=True)
            rated = [model.rules.log_probabilities(logits, one.said) for logits, one in rows]
            followed, beams, ended = extended(beams, rated, beam, special.end)
            over = [self._is_over(one.said[new_from:], end) for one in beams]
            finished += [*ended, *compress(beams, over)]
            followed = [index for index, is_over in zip(followed, over, strict=True) if not is_over]
            beams = [one for one, is_over in zip(beams, over, strict=True) if not is_over]
            if not beams or len(finished) >= beam or _has_won(finished, beams):
                break
            past = np.ascontiguousarray(read.past[:, :, followed])
            read = model.decode(self._memory, [one.said[-1:] for one in beams], past=past, rows=[0])
        best = max(finished or beams, key=lambda one: one.mean)
        new = list(best.said[new_from:])
        return Answer(new, best.log_probability, no_speech, is_cut=len(new) >= max_new_tokens)

    def languages(self, tokens: Sequence[int]) -> list[float]:
        """The probability of each of these languages, given by its token: that it, of all of them, is spoken."""
        start = [[self._model.special.start]]
        logits = self._model.decode(self._memory, start, past=self._model.empty_past, rows=[0]).logits[0, 0, tokens]
        found: list[float] = np.exp(logits - log_of_sum(logits)).tolist()
        return found

    def align(self, start: Sequence[int], forced: Sequence[int], text: Sequence[int], frames: int) -> Alignment:
        """The times of text that is read again without timestamps, as in OpenAI's `whisper/timing.py`.

        `start`: the tokens that begin an answer in this language. This takes as long as the first reading, and is
        needed if an answer begins again at its end: as it was read then, its first words may have no time.
        """
        known = [*start, self._model.special.no_timestamps, *forced]
        read, _ = self._prefill(known, text)
        end = self._model.special.end
        probabilities = [text_probability(row, one, end) for row, one in zip(read.logits[0], text, strict=False)]
        return Reading(read.scores, 0, len(start), len(known), probabilities).align(range(len(text)), frames)

    def _prefix(self, known: Sequence[int]) -> list[int]:
        """The known part of the answer: from its first timestamp on."""
        special = self._model.special
        return list(known[known.index(special.timestamps, known.index(special.start)) :])

    def _prefill(self, known: Sequence[int], draft: Sequence[int] = ()) -> tuple[Step, float]:
        """The known tokens and the draft; the logits are those after the known tokens and after each of the draft.

        And the probability that there is no speech.
        """
        model, special = self._model, self._model.special
        rows = [known.index(special.start), *range(len(known) - 1, len(known) + len(draft))]
        read = model.decode(self._memory, [[*known, *draft]], past=model.empty_past, rows=rows)
        first = read.logits[0, 0]
        no_speech = float(np.exp(first[special.no_speech] - log_of_sum(first)))
        return read._replace(logits=read.logits[:, 1:]), no_speech

    def _is_over(self, new: Sequence[int], end: int) -> bool:
        """Whether a timestamp from `end` on follows some text."""
        return bool(new) and new[-1] >= end and min(new) < self._model.special.timestamps


def _has_won(finished: Sequence[Beam], beams: Sequence[Beam]) -> bool:
    """Whether an answer that has ended is better than all others so far."""
    return bool(finished) and max(one.mean for one in finished) >= max(one.mean for one in beams)
