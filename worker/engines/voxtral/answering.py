"""A session that answers: it collects audio until a commit, then asks the model a question about it.

The answer is streamed as it grows. Audio stays needed until its answer is complete, so that a new owner can ask again.
"""

import time
from collections import deque
from dataclasses import dataclass
from typing import Final
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from shared.errors import AudioTooLongError, InvalidFieldError
from shared.events import SAMPLE_RATE_HZ
from shared.session_options import Mode, SessionOptions
from worker.engines import base
from worker.engines.base import Committed, Failed, Finished, Output, Partial
from worker.engines.speech.vad import SileroVad
from worker.engines.voxtral.option_notices import usable
from worker.engines.voxtral.requests import Request, Sampling
from worker.engines.voxtral.session import Model, pcm16
from worker.engines.voxtral.vocabulary import GrowingText
from worker.handles import without_fence

MAX_NEW_TOKENS: Final = 1024
"""Limit of an answer whose client sets none: about 700 words."""
TRANSLATE: Final = "Translate what is said into English. Answer with the translation only."
PARTIAL_INTERVAL_S: Final = 0.08
"""Each partial repeats the whole answer so far, so not every token creates one."""


@dataclass(frozen=True, slots=True)
class _Question:
    start_samples: int
    pcm: NDArray[np.int16]
    options: SessionOptions

    @property
    def end_samples(self) -> int:
        return self.start_samples + len(self.pcm)


class AnsweringSession:
    """See `worker.engines.voxtral.session.Session`. Questions are answered one after another."""

    def __init__(self, handle: str, options: SessionOptions, model: Model, *, start_samples: int, segment: int) -> None:
        self._handle = handle
        self._model = model
        self._outbox: deque[Output] = deque()
        self._options = self._open_options = self._taken(options)
        self._segment = segment
        self._open_pcm: list[NDArray[np.int16]] = []
        """Audio since the last commit."""
        self._open_start_samples = self._end_samples = start_samples
        self._questions: deque[_Question] = deque()
        """Questions without a complete answer; the first is being answered."""
        self._commits_samples: deque[int] = deque()
        """Positions of the client's commits that have no answer yet."""
        self._request: Request | None = None
        self._text: GrowingText | None = None
        self._shown = ""
        self._shown_at_s = 0.0
        self._finishing = False
        self._failure: Failed | None = None
        """Ends the session when the questions before it are answered."""
        self._ended = False

    def feed(self, pcm: NDArray[np.float32]) -> None:
        if self._ended or self._failure is not None or not len(pcm):
            return
        if not self._open_pcm:
            self._open_options = self._options
        self._open_pcm.append(pcm16(pcm))
        self._end_samples += len(pcm)
        if self._end_samples - self._open_start_samples > self._model.limit_s * SAMPLE_RATE_HZ:
            self._failure = Failed(AudioTooLongError(self._model.limit_s))
            self._open_pcm.clear()
            self._end_if_answered()

    def configure(self, options: SessionOptions) -> None:
        self._options = self._taken(options)

    def commit(self) -> None:
        self._commits_samples.append(self._end_samples)
        self._end_question()
        self._answer_commits()

    def _end_question(self) -> None:
        if self._open_pcm:
            pcm = np.concatenate(self._open_pcm)
            self._questions.append(_Question(self._open_start_samples, pcm, self._open_options))
            self._open_pcm.clear()
            self._open_start_samples = self._end_samples

    def finish(self) -> None:
        self._end_question()
        self._finishing = True
        self._end_if_answered()

    def close(self) -> None:
        if self._request is not None:
            self._model.answering.cancel(self._request)
            self._request = None

    def listen(self, vad: SileroVad) -> None:
        """Silence is part of the audio of a question: this mode has no segments except those of the commits."""

    def ask(self) -> None:
        if not self._questions or self._request is not None:
            return
        question = self._questions[0]
        options = question.options
        text = _asked(options)
        prompt = self._model.prompts.message(len(question.pcm), text)
        room_tokens = self._model.longest_tokens - len(prompt)
        if room_tokens < 1:
            # After the text come the token that ends the message and at least one token of the answer.
            fitting = self._model.longest_tokens - (len(prompt) - len(prompt.tail)) - 2
            self._fail(Failed(InvalidFieldError("prompt", text, f"at most {fitting} tokens with this audio")))
            return
        self._text = GrowingText(self._model.vocabulary)
        self._request = Request(
            question.pcm,
            prompt,
            min(options.max_new_tokens or MAX_NEW_TOKENS, room_tokens),
            self._sampling(options),
            self._take_progress,
        )
        self._model.answering.submit(self._request)

    def is_due(self) -> bool:
        return bool(self._outbox) or (bool(self._questions) and self._request is None)

    def take_outputs(self) -> list[Output]:
        outputs = list(self._outbox)
        self._outbox.clear()
        return outputs

    @property
    def absorbed_samples(self) -> int:
        """Collected audio is no backlog, up to the length of one question; more than that waits for answers."""
        return min(self._end_samples, self.checkpoint_samples + self._model.limit_s * SAMPLE_RATE_HZ)

    @property
    def checkpoint_samples(self) -> int:
        return self._questions[0].start_samples if self._questions else self._open_start_samples

    def _take_progress(self, request: Request) -> None:
        assert self._text, "an answer has a text"
        question = self._questions[0]
        for token in request.tokens[self._text.tokens :]:
            self._text.append(token)
        text = self._text.text
        if request.done:
            self._outbox.append(self._final(question, text, request))
            self._segment += 1
            self._request = None
            self._questions.popleft()
            self._shown = ""
            self._answer_commits()
            self._end_if_answered()
            return
        now_s = time.perf_counter()
        if question.options.partials and text != self._shown and now_s - self._shown_at_s >= PARTIAL_INTERVAL_S:
            self._shown, self._shown_at_s = text, now_s
            start, end = question.start_samples, question.end_samples
            self._outbox.append(Partial(self._segment, text, start, end, request.model_ms, committed_text=text))

    def _final(self, question: _Question, text: str, request: Request) -> base.Final:
        return base.Final(
            segment=self._segment,
            text=text,
            start_samples=question.start_samples,
            end_samples=question.end_samples,
            heard_samples=question.end_samples,
            resume_samples=question.end_samples,
            words=(),
            language=question.options.language,
            model_ms=request.model_ms,
            usage=self._model.usage(request),
            scores=self._model.scores(request, words=False),
        )

    def _sampling(self, options: SessionOptions) -> Sampling | None:
        if not options.temperature:
            return None
        # A new owner of the session draws the same tokens again, since clients have the first ones.
        seed = crc32(f"{without_fence(self._handle)}:{self._segment}".encode())
        return Sampling(options.temperature, 1.0 if options.top_p is None else options.top_p, seed)

    def _answer_commits(self) -> None:
        while self._commits_samples and self._commits_samples[0] <= self.checkpoint_samples and not self._ended:
            self._outbox.append(Committed(self._commits_samples.popleft()))

    def _end_if_answered(self) -> None:
        end = self._failure or (Finished() if self._finishing else None)
        if end is not None and not self._questions and not self._ended:
            self._ended = True
            self._outbox.append(end)

    def _fail(self, failure: Failed) -> None:
        self.close()
        self._questions.clear()
        self._open_pcm.clear()
        self._ended = True
        self._outbox.append(failure)

    def _taken(self, options: SessionOptions) -> SessionOptions:
        taken, notices = usable(options)
        self._outbox.extend(notices)
        return taken


def _asked(options: SessionOptions) -> str | None:
    """The text that accompanies the audio in the model's prompt."""
    if options.mode is Mode.TRANSLATE:
        return TRANSLATE
    return options.prompt if options.mode is Mode.UNDERSTAND else None
