"""What the decoder says in encoded windows: one answer for each, decoded again if it is doubtful.

It is decoded again with a beam, and in a longer window if it repeats itself.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import tokenizers

from shared.events import SAMPLE_RATE_HZ
from worker.engines.whisper import guards
from worker.engines.whisper.encoded import Encoded, chosen
from worker.engines.whisper.jobs import MAX_NEW_TOKENS, TOKENS_PER_S, Job
from worker.engines.whisper.onnx_model.encoded_window import Answer, EncodedWindow
from worker.engines.whisper.onnx_model.reading import Reading

SECONDS_PER_TIMESTAMP = 0.02
SPARE_TOKENS = 12
MAX_POSITIONS = 448
"""The decoder's limit: tokens of the prompt and of the answer together."""
RETRY_BEAM = 5
EDGE_S = 0.1
"""Text after a timestamp this close to the end of the audio is made up."""


@dataclass(frozen=True, slots=True)
class Said:
    """The new text tokens of one answer."""

    tokens: list[int]
    log_probability: float
    no_speech_probability: float
    is_cut: bool
    places: tuple[int, ...] = ()
    """The indices of `tokens` among the answer's, for `reading`."""
    reading: Reading | None = None
    """None if ONNX Runtime has not read it."""


@dataclass(frozen=True, slots=True)
class _Question:
    """One of the windows that were encoded together, and the tokens before its answer."""

    encoded: Encoded
    row: int
    job: Job
    prompt: list[int]


class Answers:
    def __init__(self, model: Any, vocabulary: tokenizers.Tokenizer, timestamp_begin: int) -> None:
        """`model`: CTranslate2's. `timestamp_begin`: the token of the first timestamp."""
        self._model = model
        self._vocabulary = vocabulary
        self._timestamp_begin = timestamp_begin

    def find(
        self,
        encoded: Encoded,
        jobs: Sequence[Job],
        prompts: list[list[int]],
        lengthened: Callable[[Job], Encoded | None],
    ) -> list[Said]:
        """`prompts` end with the first timestamp and the forced tokens.

        `lengthened` encodes a job by itself, in a longer window; None if its window is long.
        """
        if encoded.window is not None:
            said = [self._answered(encoded.window, jobs[0], prompts[0])]
        else:
            cap_tokens = max(_cap_tokens(job) + len(job.forced) for job in jobs)
            said = self._generate(encoded.rows, jobs, prompts, cap_tokens)
        questions = [_Question(encoded, row, job, prompts[row]) for row, job in enumerate(jobs)]
        return [self._checked(question, first, lengthened) for question, first in zip(questions, said, strict=True)]

    def _checked(self, question: _Question, first: Said, lengthened: Callable[[Job], Encoded | None]) -> Said:
        """The answer, or a better one if it is doubtful."""
        job = question.job
        tried = [first]
        repeats = self._repeats(job, first)
        if not repeats and self._is_doubtful(job, first):
            tried.append(self._alone(question, beam=RETRY_BEAM))
            repeats = self._repeats(job, tried[-1])
        if repeats and (longer := lengthened(job)) is not None:
            question = replace(question, encoded=longer, row=0)
            # The beam's answer is not used: loops always have a high probability.
            tried = [first, self._alone(question)]
            if self._is_doubtful(job, tried[-1]):
                tried.append(self._alone(question, beam=RETRY_BEAM))
        return self._best(tried)

    def _answered(self, window: EncodedWindow, job: Job, prompt: list[int], *, beam: int = 1) -> Said:
        most, end = _cap_tokens(job) - 1, self._end_timestamp(job)
        if beam == 1:
            answer = window.answer(prompt, job.draft, max_new_tokens=most, end=end)
        else:
            answer = window.best_answer(prompt, beam=beam, max_new_tokens=most, end=end)
        return self._said(job, answer)

    def _generate(
        self, encoded: Any, jobs: Sequence[Job], prompts: list[list[int]], cap_tokens: int, *, beam: int = 1
    ) -> list[Said]:
        # CTranslate2 limits new tokens to half of this, or to what the prompt leaves of it if that is less.
        longest = max(2 * cap_tokens, cap_tokens + len(prompts[0]))
        if cap_tokens + max(map(len, prompts)) > MAX_POSITIONS:
            longest = min(longest, MAX_POSITIONS)
        results = self._model.generate(
            encoded,
            prompts,
            beam_size=beam,
            max_length=longest,
            return_scores=True,
            return_no_speech_prob=True,
        )
        found = []
        for result, job in zip(results, jobs, strict=True):
            tokens = result.sequences_ids[0]
            new, log_probability = tokens[1 + len(job.forced) :], result.scores[0] * len(tokens)
            answer = Answer(new, log_probability, result.no_speech_prob, is_cut=len(tokens) >= cap_tokens)
            found.append(self._said(job, answer))
        return found

    def _said(self, job: Job, answer: Answer) -> Said:
        """The text of an answer, up to the end of the audio by the decoder's own timestamps."""
        end = self._end_timestamp(job)
        places: list[int] = []
        for place, token in enumerate(answer.tokens):
            if token >= end and places:
                break
            if token < self._timestamp_begin:
                places.append(place)
        said = [answer.tokens[place] for place in places]
        log_probability = answer.log_probability / max(len(answer.tokens), 1)
        no_speech = answer.no_speech_probability
        return Said(said, log_probability, no_speech, answer.is_cut, tuple(places), answer.reading)

    def _end_timestamp(self, job: Job) -> int:
        """The token of the first timestamp that says that no more text follows."""
        return self._timestamp_begin + round((len(job.pcm) / SAMPLE_RATE_HZ - EDGE_S) / SECONDS_PER_TIMESTAMP)

    def _is_suspect(self, decoded: Said) -> bool:
        text = self._vocabulary.decode(decoded.tokens)
        return guards.is_suspect(text, decoded.log_probability, hit_cap=decoded.is_cut)

    def _is_doubtful(self, job: Job, decoded: Said) -> bool:
        return decoded.log_probability < job.beam_below or (job.closing and self._is_suspect(decoded))

    def _repeats(self, job: Job, decoded: Said) -> bool:
        """In short windows, decoders repeat what was said once, and miscount what was said several times."""
        if not job.closing:
            return False
        before = self._vocabulary.decode(list(job.forced))
        return guards.repeats(before, self._vocabulary.decode(decoded.tokens))

    def _alone(self, question: _Question, *, beam: int = 1) -> Said:
        """Nothing is random."""
        encoded, job, prompt = question.encoded, question.job, question.prompt
        if encoded.window is not None:
            return self._answered(encoded.window, job, prompt, beam=beam)
        rows = encoded.rows if beam == 1 else chosen(encoded.rows, [question.row])
        return self._generate(rows, [job], [prompt], _cap_tokens(job) + len(job.forced), beam=beam)[0]

    def _best(self, tried: Sequence[Said]) -> Said:
        """The last answer, which was decoded with the most care; the likeliest one if that is suspect."""
        if len(tried) == 1 or not self._is_suspect(tried[-1]):
            return tried[-1]
        return max(tried, key=lambda decoded: (not decoded.is_cut, decoded.log_probability))


def _cap_tokens(job: Job) -> int:
    """The most tokens of an answer, without the forced ones. Its first timestamp counts."""
    return 1 + min(MAX_NEW_TOKENS, job.cap_tokens, SPARE_TOKENS + round(TOKENS_PER_S * len(job.pcm) / SAMPLE_RATE_HZ))
