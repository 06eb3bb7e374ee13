"""A session that transcribes: the growing segment is decoded repeatedly, and once more when it has ended.

The text of a request arrives as a whole, so requests differ only in the use of their text. The model reports no word
times: finals have none.
"""

import re
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shared.events import SAMPLE_RATE_HZ, SAMPLES_PER_MS
from shared.session_options import SessionOptions
from worker.engines import base
from worker.engines.base import Committed, Output, Partial
from worker.engines.option_notices import turns_by_pauses
from worker.engines.speech.agreed_text import AgreedText
from worker.engines.speech.agreement import StableText
from worker.engines.speech.boundaries import MIN_VOICED_WINDOWS, Boundary, Closed, Opened, SegmenterSettings
from worker.engines.speech.segment_queue import Kind, SegmentQueue
from worker.engines.speech.vad import SileroVad
from worker.engines.voxtral.option_notices import usable
from worker.engines.voxtral.requests import Request
from worker.engines.voxtral.session import Model, pcm16

SEGMENTS: Final = SegmenterSettings(late_after_s=20.0, max_segment_s=28.0)
"""A pass costs the encoder a 30 s window whatever the segment's length, so segments may be nearly this long."""
PARTIAL_INTERVAL_MS: Final = 480
"""New audio that an open segment needs before it is decoded again; one decode at a time."""
HELD_BACK_WORDS: Final = 1
MAX_VAD_WINDOWS: Final = 1000
"""In one step: 32 s of audio, about 55 ms."""
TOKENS_PER_S: Final = 15
SPARE_TOKENS: Final = 32
"""No language is spoken faster in Tekken's tokens; a longer text is a decoding error."""
SPARE_PARTIAL_TOKENS: Final = 8


@dataclass(frozen=True, slots=True)
class Pass:
    """A part of the audio to decode."""

    kind: Kind
    start_samples: int
    end_samples: int

    @property
    def span(self) -> tuple[int, int]:
        return self.start_samples, self.end_samples


class TranscribingSession:
    """See `worker.engines.voxtral.session.Session`."""

    def __init__(self, options: SessionOptions, model: Model, *, start_samples: int, segment: int) -> None:
        self._model = model
        self._queue = SegmentQueue(SEGMENTS, start_samples, options.turn_detection, model.judge)
        self._endpointing = self._queue.endpointing
        self._options = self._segment_options = self._taken(options)
        self._closed_options: dict[tuple[int, int], SessionOptions] = {}
        """Closed segments without a text, by start and end."""
        self._segment = segment
        self._asked: dict[Pass, Request] = {}
        self._heard: dict[tuple[int, int], Request] = {}
        """Answers that are final, or become final if the segment ends there, by start and end."""
        self._stable = StableText(HELD_BACK_WORDS)
        self._agreed = AgreedText()
        self._partial_text = ""
        self._partial_tokens = 0
        self._draft_start_samples, self._draft = start_samples, list[int]()
        """The tokens of the last pass, and the start of its segment: the next pass probably produces them, too."""
        self._heard_samples = start_samples

    def feed(self, pcm: NDArray[np.float32]) -> None:
        self._endpointing.audio.append(pcm)

    def configure(self, options: SessionOptions) -> None:
        self._options = self._taken(options)
        self._endpointing.configure(options.turn_detection)

    def commit(self) -> None:
        self._endpointing.commit()

    def finish(self) -> None:
        self._endpointing.finish()

    def close(self) -> None:
        for request in self._asked.values():
            self._model.answering.cancel(request)
        self._asked.clear()

    def listen(self, vad: SileroVad) -> None:
        for boundary in self._queue.listen(vad, MAX_VAD_WINDOWS):
            self._take_boundary(boundary)

    def ask(self) -> None:
        for one in self._due_passes():
            if one.kind is Kind.CLOSING:
                self._withdraw_open()
            self._asked[one] = request = self._request(one)
            self._model.answering.submit(request)

    def is_due(self) -> bool:
        return self._queue.has_outputs or self._has_work()

    def _has_work(self) -> bool:
        """Whether there is audio to endpoint, or to decode, now."""
        return self._endpointing.has_unheard() or bool(self._due_passes())

    def take_outputs(self) -> list[Output]:
        outputs = self._queue.take()
        self._endpointing.forget_before(self.checkpoint_samples)
        return outputs

    # Positions

    @property
    def checkpoint_samples(self) -> int:
        return self._queue.checkpoint_samples

    @property
    def absorbed_samples(self) -> int:
        """A part of a VAD window, and audio that is too short for another partial, wait only for more audio."""
        # Without partials an open segment is not decoded: its audio waits only for more audio.
        in_pause = self._endpointing.segmenter.quiet_end_samples is not None
        waits_for_more = in_pause or not self._segment_options.partials
        answered = self._queue.answered_samples(self._heard_samples, waits_for_more=waits_for_more)
        is_behind = self._has_work() or bool(self._asked or self._queue.unanswered)
        return self._queue.absorbed_samples(answered, is_behind=is_behind)

    # Boundaries

    def _take_boundary(self, boundary: Boundary | Committed) -> None:
        if isinstance(boundary, Opened):
            self._segment_options = self._options
            self._heard_samples = boundary.start_samples
        elif isinstance(boundary, Closed):
            self._close_segment(boundary)

    def _close_segment(self, closed: Closed) -> None:
        span = closed.start_samples, closed.end_samples
        self._closed_options[span] = self._segment_options
        closing = self._asked.pop(Pass(Kind.CLOSING, *span), None)
        self._withdraw_open()
        if closing:
            self._asked[Pass(Kind.FINAL, *span)] = closing
        self._answer()

    def _withdraw_open(self) -> None:
        """The running request for the open segment is no longer of use."""
        for one in [one for one in self._asked if one.kind is not Kind.FINAL]:
            request = self._asked.pop(one)
            self._model.answering.cancel(request)
            if len(request.tokens) > len(self._draft_of(one)):
                self._draft_start_samples, self._draft = one.start_samples, request.tokens

    def _draft_of(self, one: Pass) -> list[int]:
        return self._draft if one.start_samples == self._draft_start_samples else []

    # Decoding

    def _due_passes(self) -> list[Pass]:
        """The passes that may run now: the missing finals, or else the open segment."""
        if missing := self._queue.all_unanswered:
            spoken = (closed for closed in missing if closed.voiced_windows >= MIN_VOICED_WINDOWS)
            wanted = [Pass(Kind.FINAL, closed.start_samples, closed.end_samples) for closed in spoken]
            return [one for one in wanted if one not in self._asked and one.span not in self._heard]
        found = self._open_pass()
        if found is None or found in self._asked or (found.kind is Kind.PARTIAL and self._asked):
            return []
        return [found]

    def _open_pass(self) -> Pass | None:
        start = self._endpointing.segmenter.start_samples
        if start is None or not self._segment_options.partials:
            return None
        interval = PARTIAL_INTERVAL_MS * SAMPLES_PER_MS
        found = self._queue.open_pass(from_samples=start, heard_samples=self._heard_samples, new_samples=interval)
        if found is None:
            return None
        kind, end = found
        return None if kind is Kind.CLOSING and (start, end) in self._heard else Pass(kind, start, end)

    def _request(self, one: Pass) -> Request:
        pcm = pcm16(self._endpointing.audio.between(*one.span))
        options = self._closed_options.get(one.span, self._segment_options)
        prompt = self._model.prompts.transcription(len(pcm), options.language)
        cap = SPARE_TOKENS + _tokens_in(len(pcm))
        if one.kind is Kind.PARTIAL:
            new_samples = one.end_samples - max(self._heard_samples, one.start_samples)
            cap = min(cap, self._partial_tokens + SPARE_PARTIAL_TOKENS + _tokens_in(new_samples))
        on_progress, draft = partial(self._take_progress, one), tuple(self._draft_of(one))
        terms = self._model.vocabulary.tries.of(options.keyterms)
        return Request(pcm, prompt, cap, None, on_progress, draft, patient=not options.partials, terms=terms)

    def _take_progress(self, one: Pass, request: Request) -> None:
        if not request.done:
            return
        # A closing pass may have become the final one while it ran.
        done = one if one in self._asked else Pass(Kind.FINAL, one.start_samples, one.end_samples)
        del self._asked[done]
        if done.kind is not Kind.PARTIAL:
            self._heard[done.span] = request
        if done.kind is Kind.FINAL:
            self._answer()
        else:
            self._show(done, request)

    def _show(self, done: Pass, request: Request) -> None:
        closing = done.kind is Kind.CLOSING
        new_audio_s = (done.end_samples - self._heard_samples) / SAMPLE_RATE_HZ
        self._heard_samples = done.end_samples
        self._partial_tokens = len(request.tokens)
        self._draft_start_samples, self._draft = done.start_samples, request.tokens
        words = re.findall(r"\s*\S+", self._model.text(request.tokens))
        text = "".join(self._stable.hear(words, new_audio_s=new_audio_s, speech_ended=closing)).strip()
        if text and text != self._partial_text:
            self._partial_text = text
            shown, committed = self._agreed.hear(text), self._agreed.committed
            self._queue.put(Partial(self._segment, shown, *done.span, request.model_ms, committed))

    def _answer(self) -> None:
        """Give the oldest closed segments their finals, as far as their texts are complete."""
        while closed := self._queue.unanswered:
            request = self._heard.get((closed.start_samples, closed.end_samples))
            is_speech = closed.voiced_windows >= MIN_VOICED_WINDOWS
            if request is None and is_speech:
                return
            text = self._model.text(request.tokens) if request and is_speech else ""
            if text or self._partial_text or self._options.turns:
                self._queue.answer(closed, self._final(closed, text, request))
                self._segment += 1
            else:
                self._queue.answer(closed)
            self._begin_next(closed)

    def _final(self, closed: Closed, text: str, request: Request | None) -> base.Final:
        options = self._closed_options[closed.start_samples, closed.end_samples]
        agreed = self._agreed.close(text)
        scores = None
        if request is not None and text:
            scores = self._model.scores(request, words=options.words and agreed == text)
        return base.Final(
            segment=self._segment,
            text=agreed,
            start_samples=closed.start_samples,
            end_samples=closed.end_samples,
            heard_samples=closed.end_samples,
            resume_samples=closed.end_samples,
            words=(),
            language=options.language,
            model_ms=request.model_ms if request else 0.0,
            usage=self._model.usage(request) if request else None,
            scores=scores,
        )

    def _begin_next(self, closed: Closed) -> None:
        self._stable = StableText(HELD_BACK_WORDS)
        self._agreed = AgreedText()
        self._partial_text = ""
        self._partial_tokens = 0
        self._heard = {span: found for span, found in self._heard.items() if span[0] >= closed.end_samples}
        del self._closed_options[closed.start_samples, closed.end_samples]
        self._heard_samples = max(self._heard_samples, closed.end_samples)

    def _taken(self, options: SessionOptions) -> SessionOptions:
        taken, notices = usable(options)
        self._queue.put(*notices, *turns_by_pauses(taken.turn_detection, self._model.judge))
        return taken


def _tokens_in(samples: int) -> int:
    return round(TOKENS_PER_S * samples / SAMPLE_RATE_HZ)
