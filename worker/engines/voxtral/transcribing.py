"""A session that transcribes: the growing segment is decoded again and again, and once more when it has ended.

A request's text comes whole, so requests differ only in what becomes of it. The model tells no word times: finals carry
none.
"""

import re
from collections import deque
from dataclasses import dataclass
from enum import Enum, auto
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shared.events import SAMPLE_RATE_HZ, SessionOptions
from worker.engines import base
from worker.engines.base import Committed, Finished, Output, Partial, SpeechStarted, SpeechStopped
from worker.engines.speech.agreed_text import AgreedText
from worker.engines.speech.agreement import StableText
from worker.engines.speech.endpointing import Endpointing
from worker.engines.speech.segmenter import Boundary, Closed, Opened, SegmenterSettings
from worker.engines.speech.vad import SileroVad
from worker.engines.voxtral.options import usable
from worker.engines.voxtral.requests import Request
from worker.engines.voxtral.session import Model, pcm16

SAMPLES_PER_MS: Final = SAMPLE_RATE_HZ // 1000
SEGMENTS: Final = SegmenterSettings(late_after_s=20.0, max_segment_s=28.0)
"""A pass costs the encoder a window of 30 s whatever the segment's length, so segments may be nearly as long."""
PARTIAL_INTERVAL_MS: Final = 480
"""New audio that an open segment needs before it is decoded again; one decode at a time."""
MIN_PASS_MS: Final = 500
"""A shorter segment says nothing reliable."""
MIN_VOICED_WINDOWS: Final = 4
"""A segment with less than 128 ms of voice is a cough; the model would make up words for it."""
HELD_BACK_WORDS: Final = 1
MAX_VAD_WINDOWS: Final = 1000
"""In one step: 32 s of audio, about 55 ms."""
TOKENS_PER_S: Final = 15
SPARE_TOKENS: Final = 32
"""No language is spoken faster in Tekken's tokens; a text that is longer has lost its way."""
SPARE_PARTIAL_TOKENS: Final = 8


class Kind(Enum):
    PARTIAL = auto()
    CLOSING = auto()
    """The speaker may have ended: the text of exactly the audio that would become final."""
    FINAL = auto()


@dataclass(frozen=True, slots=True)
class Pass:
    """A stretch of audio that is to be decoded."""

    kind: Kind
    start_samples: int
    end_samples: int

    @property
    def stretch(self) -> tuple[int, int]:
        return self.start_samples, self.end_samples


class TranscribingSession:
    """See `worker.engines.voxtral.session.Session`. Outputs wait behind a closed segment that has no text yet."""

    def __init__(self, options: SessionOptions, model: Model, *, start_samples: int, segment: int) -> None:
        self._model = model
        self._endpointing = Endpointing(SEGMENTS, start_samples)
        self._outbox: deque[Output | Closed] = deque()
        self._options = self._segment_options = self._taken(options)
        self._closed_options: dict[tuple[int, int], SessionOptions] = {}
        """Of closed segments without a text, by start and end."""
        self._segment = segment
        self._asked: dict[Pass, Request] = {}
        self._heard: dict[tuple[int, int], Request] = {}
        """Answers that are final, or will be if the segment ends there, by start and end."""
        self._stable = StableText(HELD_BACK_WORDS)
        self._agreed = AgreedText()
        self._partial_text = ""
        self._partial_tokens = 0
        self._draft_start_samples, self._draft = start_samples, list[int]()
        """The tokens of the last pass, and where its segment starts: the next one is likely to say them too."""
        self._heard_samples = self._absorbed_samples = start_samples

    def feed(self, pcm: NDArray[np.float32]) -> None:
        self._endpointing.audio.append(pcm)

    def configure(self, options: SessionOptions) -> None:
        self._options = self._taken(options)

    def commit(self) -> None:
        self._endpointing.commit()

    def finish(self) -> None:
        self._endpointing.finish()

    def close(self) -> None:
        for request in self._asked.values():
            self._model.answering.cancel(request)
        self._asked.clear()

    def listen(self, vad: SileroVad) -> None:
        if not self._endpointing.has_unheard():
            return
        pcm = self._endpointing.unheard(MAX_VAD_WINDOWS)
        for boundary in self._endpointing.hear(vad.probabilities(self._endpointing.vad_state, pcm)):
            self._take_boundary(boundary)
        if self._endpointing.finished:
            self._outbox.append(Finished())

    def ask(self) -> None:
        for one in self._due_passes():
            if one.kind is Kind.CLOSING:
                self._withdraw_open()
            self._asked[one] = request = self._request(one)
            self._model.answering.submit(request)

    def is_due(self) -> bool:
        has_outputs = bool(self._outbox) and not isinstance(self._outbox[0], Closed)
        return has_outputs or self._has_work()

    def _has_work(self) -> bool:
        """Whether there is something to hear, or to decode, now."""
        return self._endpointing.has_unheard() or bool(self._due_passes())

    def take_outputs(self) -> list[Output]:
        outputs: list[Output] = []
        while self._outbox and not isinstance(self._outbox[0], Closed):
            output = self._outbox.popleft()
            assert not isinstance(output, Closed)
            outputs.append(output)
        self._endpointing.forget_before(self.checkpoint_samples)
        return outputs

    # Positions

    @property
    def checkpoint_samples(self) -> int:
        closed = self._unanswered()
        unanswered = closed.start_samples if closed else self._endpointing.audio.end_samples
        return min(unanswered, self._endpointing.segmenter.needed_from_samples)

    @property
    def absorbed_samples(self) -> int:
        """A part of a VAD window, and audio that is too short for another partial, wait for nothing but more of it."""
        is_behind = self._has_work() or self._asked or self._unanswered()
        reached = self._answered_samples() if is_behind else self._endpointing.audio.end_samples
        self._absorbed_samples = max(self._absorbed_samples, reached)
        return self._absorbed_samples

    def _answered_samples(self) -> int:
        """Audio before this position has been decoded, or found to be silence."""
        closed, segmenter = self._unanswered(), self._endpointing.segmenter
        if closed:
            return min(closed.end_samples, max(self._heard_samples, closed.start_samples))
        # Without partials an open segment is not decoded: its audio waits for nothing but more of it.
        waits_for_more = segmenter.quiet_end_samples is not None or not self._segment_options.partials
        return segmenter.position_samples if segmenter.start_samples is None or waits_for_more else self._heard_samples

    # Boundaries

    def _take_boundary(self, boundary: Boundary | Committed) -> None:
        if isinstance(boundary, Committed):
            self._outbox.append(boundary)
            return
        if isinstance(boundary, Opened):
            self._segment_options = self._options
            self._heard_samples = boundary.start_samples
            if not boundary.after_cut:
                self._outbox.append(SpeechStarted(boundary.speech_samples))
            return
        if not boundary.speech_goes_on:
            self._outbox.append(SpeechStopped(boundary.speech_end_samples))
        self._outbox.append(boundary)
        stretch = boundary.start_samples, boundary.end_samples
        self._closed_options[stretch] = self._segment_options
        closing = self._asked.pop(Pass(Kind.CLOSING, *stretch), None)
        self._withdraw_open()
        if closing:
            self._asked[Pass(Kind.FINAL, *stretch)] = closing
        self._answer()

    def _withdraw_open(self) -> None:
        """What is being decoded of the open segment is of no use any more."""
        for one in [one for one in self._asked if one.kind is not Kind.FINAL]:
            request = self._asked.pop(one)
            self._model.answering.cancel(request)
            if len(request.tokens) > len(self._draft_of(one)):
                self._draft_start_samples, self._draft = one.start_samples, request.tokens

    def _draft_of(self, one: Pass) -> list[int]:
        return self._draft if one.start_samples == self._draft_start_samples else []

    # Decoding

    def _due_passes(self) -> list[Pass]:
        """What may be decoded now: the finals that are missing, or else the open segment."""
        missing = [item for item in self._outbox if isinstance(item, Closed)]
        if missing:
            spoken = (closed for closed in missing if closed.voiced_windows >= MIN_VOICED_WINDOWS)
            wanted = [Pass(Kind.FINAL, closed.start_samples, closed.end_samples) for closed in spoken]
            return [one for one in wanted if one not in self._asked and one.stretch not in self._heard]
        found = self._open_pass()
        if found is None or found in self._asked or (found.kind is Kind.PARTIAL and self._asked):
            return []
        return [found]

    def _open_pass(self) -> Pass | None:
        segmenter = self._endpointing.segmenter
        start = segmenter.start_samples
        if start is None or not self._segment_options.partials:
            return None
        quiet_end = segmenter.quiet_end_samples
        if quiet_end is not None:
            return None if (start, quiet_end) in self._heard else Pass(Kind.CLOSING, start, quiet_end)
        end = segmenter.position_samples
        long_enough = end - start >= MIN_PASS_MS * SAMPLES_PER_MS
        still_spoken = segmenter.speech_end_samples > self._heard_samples
        due = end - self._heard_samples >= PARTIAL_INTERVAL_MS * SAMPLES_PER_MS
        return Pass(Kind.PARTIAL, start, end) if long_enough and still_spoken and due else None

    def _request(self, one: Pass) -> Request:
        pcm = pcm16(self._endpointing.audio.between(*one.stretch))
        options = self._closed_options.get(one.stretch, self._segment_options)
        prompt = self._model.prompts.transcription(len(pcm), options.language)
        cap = SPARE_TOKENS + _tokens_in(len(pcm))
        if one.kind is Kind.PARTIAL:
            new_samples = one.end_samples - max(self._heard_samples, one.start_samples)
            cap = min(cap, self._partial_tokens + SPARE_PARTIAL_TOKENS + _tokens_in(new_samples))
        on_progress, draft = partial(self._take_progress, one), tuple(self._draft_of(one))
        return Request(pcm, prompt, cap, None, on_progress, draft, patient=not options.partials)

    def _take_progress(self, one: Pass, request: Request) -> None:
        if not request.done:
            return
        # A closing pass may have become the final one while it ran.
        done = one if one in self._asked else Pass(Kind.FINAL, one.start_samples, one.end_samples)
        del self._asked[done]
        if done.kind is not Kind.PARTIAL:
            self._heard[done.stretch] = request
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
            self._outbox.append(Partial(self._segment, shown, *done.stretch, request.model_ms, committed))

    def _answer(self) -> None:
        """Give the oldest closed segments their finals, as far as their texts are there."""
        while closed := self._unanswered():
            request = self._heard.get((closed.start_samples, closed.end_samples))
            is_speech = closed.voiced_windows >= MIN_VOICED_WINDOWS
            if request is None and is_speech:
                return
            place = self._outbox.index(closed)
            del self._outbox[place]
            text = self._model.text(request.tokens) if request and is_speech else ""
            if text or self._partial_text or self._options.turns:
                self._outbox.insert(place, self._final(closed, text, request.model_ms if request else 0.0))
                self._segment += 1
            self._begin_next(closed)

    def _final(self, closed: Closed, text: str, model_ms: float) -> base.Final:
        return base.Final(
            segment=self._segment,
            text=self._agreed.close(text),
            start_samples=closed.start_samples,
            end_samples=closed.end_samples,
            heard_samples=closed.end_samples,
            resume_samples=closed.end_samples,
            words=(),
            language=self._closed_options[closed.start_samples, closed.end_samples].language,
            model_ms=model_ms,
        )

    def _begin_next(self, closed: Closed) -> None:
        self._stable = StableText(HELD_BACK_WORDS)
        self._agreed = AgreedText()
        self._partial_text = ""
        self._partial_tokens = 0
        self._heard = {stretch: found for stretch, found in self._heard.items() if stretch[0] >= closed.end_samples}
        del self._closed_options[closed.start_samples, closed.end_samples]
        self._heard_samples = max(self._heard_samples, closed.end_samples)

    def _unanswered(self) -> Closed | None:
        return next((item for item in self._outbox if isinstance(item, Closed)), None)

    def _taken(self, options: SessionOptions) -> SessionOptions:
        taken, notices = usable(options)
        self._outbox.extend(notices)
        return taken


def _tokens_in(samples: int) -> int:
    return round(TOKENS_PER_S * samples / SAMPLE_RATE_HZ)
