"""One session of the Whisper engine: its audio, its endpointing, its texts and what it still has to say.

Knows no model: probabilities and decoded windows are handed in.
"""

from collections import deque
from dataclasses import dataclass
from enum import Enum, auto

import numpy as np
from numpy.typing import NDArray

from shared.events import SAMPLE_RATE_HZ, Mode, SessionOptions
from worker.engines.agreement import StableText
from worker.engines.base import Committed, Finished, Output, Partial, SpeechStarted, SpeechStopped
from worker.engines.choices import DELAY, SAMPLING, spoken_language, without_effect
from worker.engines.endpointing import Endpointing
from worker.engines.whisper import guards
from worker.engines.whisper.answers import Answer, final
from worker.engines.whisper.decoder import MAX_NEW_TOKENS, TOKENS_PER_S, Heard, Job
from worker.segmenter import Boundary, Closed, Opened, SegmenterSettings

SAMPLES_PER_MS = SAMPLE_RATE_HZ // 1000
MIN_PASS_MS = 500
"""A shorter window says nothing reliable."""
SPARE_PARTIAL_TOKENS = 6
"""A pass may find words that the one before it missed at its edge."""
DETECT_LANGUAGE_MS = 2000
"""Speech that is enough to settle a session's language."""
DETECT_LANGUAGE_PROBABILITY = 0.5


class Kind(Enum):
    PARTIAL = auto()
    CLOSING = auto()
    """The speaker may have ended: the text of exactly the audio that would become final."""
    FINAL = auto()


@dataclass(frozen=True, slots=True)
class Pass:
    """A window of one session that is ready to be decoded."""

    session: "Session"
    kind: Kind
    start_samples: int
    end_samples: int
    turn: int = 0
    """How many finals of the session come before this one."""

    def job(self) -> Job:
        closing = self.kind is not Kind.PARTIAL
        options = self.session.segment_options
        return Job(
            self.session.endpointing.audio.between(self.start_samples, self.end_samples),
            language=options.language or self.session.language,
            prompt=options.prompt,
            closing=closing,
            cap_tokens=self.session.cap_tokens(self.end_samples) if self.kind is Kind.PARTIAL else MAX_NEW_TOKENS,
            words=closing and options.words,
            translate=options.mode is Mode.TRANSLATE,
        )


class Session:
    """State between two steps. Outputs wait in order behind a closed segment that has no text yet."""

    def __init__(
        self,
        options: SessionOptions,
        settings: SegmenterSettings,
        *,
        start_samples: int,
        segment: int,
        held_back_words: int,
        languages: tuple[str, ...],
    ) -> None:
        self.endpointing = Endpointing(settings, start_samples)
        self.language: str | None = None
        self._languages = languages
        self._outbox: deque[Output | Closed] = deque()
        self._options = self.segment_options = self._taken(options)
        self._held_back_words = held_back_words
        self._segment = segment
        self._text = StableText(held_back_words)
        self._partial_text = ""
        self._partial_tokens = 0
        self._heard_samples = self._absorbed_samples = start_samples
        self._closing: Answer | None = None

    def configure(self, options: SessionOptions) -> None:
        options = self._taken(options)
        if options.language != self._options.language:
            self.language = None
        self._options = options
        if self.endpointing.segmenter.start_samples is None and not self._unanswered():
            self.segment_options = options

    # Endpointing

    def take_probabilities(self, probabilities: NDArray[np.float32]) -> None:
        """Speech probabilities of what `endpointing.unheard` gave."""
        for boundary in self.endpointing.hear(probabilities):
            self._take_boundary(boundary)
        if self.endpointing.finished:
            self._outbox.append(Finished())

    def _take_boundary(self, boundary: Boundary | Committed) -> None:
        if isinstance(boundary, Committed):
            self._outbox.append(boundary)
        elif isinstance(boundary, Opened):
            self._heard_samples = boundary.start_samples
            if not boundary.after_cut:
                self._outbox.append(SpeechStarted(boundary.speech_samples))
        else:
            if not boundary.speech_goes_on:
                self._outbox.append(SpeechStopped(boundary.speech_end_samples))
            self._outbox.append(boundary)
            self._answer_from_closing()

    # Decoding

    def due_passes(self, interval_ms: float) -> list[Pass]:
        """What may be decoded now: the finals that are missing, or else one pass over the open segment."""
        missing = [item for item in self._outbox if isinstance(item, Closed)]
        if not missing:
            found = self._open_pass(interval_ms)
            return [found] if found else []
        if not (self.language or self._options.language):
            missing = missing[:1]  # its language is to be that of the others
        return [
            Pass(self, Kind.FINAL, closed.start_samples, closed.end_samples, turn)
            for turn, closed in enumerate(missing)
        ]

    def _open_pass(self, interval_ms: float) -> Pass | None:
        start = self.endpointing.segmenter.start_samples
        if start is None or not self.segment_options.partials:
            return None
        quiet_end = self.endpointing.segmenter.quiet_end_samples
        if quiet_end is not None:
            answered = self._closing and self._closing.end_samples == quiet_end
            return None if answered else Pass(self, Kind.CLOSING, start, quiet_end)
        end = self.endpointing.segmenter.position_samples
        long_enough = end - start >= MIN_PASS_MS * SAMPLES_PER_MS
        still_spoken = self.endpointing.segmenter.speech_end_samples > self._heard_samples
        due = end - self._heard_samples >= interval_ms * SAMPLES_PER_MS
        return Pass(self, Kind.PARTIAL, start, end) if long_enough and still_spoken and due else None

    def cap_tokens(self, end_samples: int) -> int:
        """The last pass's tokens and what the new audio can hold."""
        new_s = (end_samples - self._heard_samples) / SAMPLE_RATE_HZ
        return self._partial_tokens + SPARE_PARTIAL_TOKENS + round(TOKENS_PER_S * new_s)

    def take_heard(self, done: Pass, heard: Heard, model_ms: float) -> None:
        answer = Answer(done.start_samples, done.end_samples, heard, model_ms)
        self._settle_language(answer)
        if done.kind is Kind.FINAL:
            self._answer(answer)
            return
        new_audio_s = (done.end_samples - self._heard_samples) / SAMPLE_RATE_HZ
        self._heard_samples = done.end_samples
        self._partial_tokens = heard.token_count
        if done.kind is Kind.CLOSING:
            self._closing = answer
        self._show(answer, new_audio_s=new_audio_s, speech_ended=done.kind is Kind.CLOSING)

    def take_outputs(self) -> list[Output]:
        outputs: list[Output] = []
        while self._outbox and not isinstance(self._outbox[0], Closed):
            output = self._outbox.popleft()
            assert not isinstance(output, Closed)
            outputs.append(output)
        return outputs

    def has_outputs(self) -> bool:
        return bool(self._outbox) and not isinstance(self._outbox[0], Closed)

    # Positions

    @property
    def checkpoint_samples(self) -> int:
        closed = self._unanswered()
        return min(
            closed.start_samples if closed else self.endpointing.audio.end_samples,
            self.endpointing.segmenter.needed_from_samples,
        )

    def is_behind(self, interval_ms: float) -> bool:
        """Whether there is something to hear or to decode now."""
        return self.endpointing.has_unheard() or bool(self.due_passes(interval_ms))

    def absorbed_samples(self, interval_ms: float) -> int:
        """A part of a VAD window, and audio that is too short for another partial, wait for nothing but more of it."""
        reached = self.answered_samples if self.is_behind(interval_ms) else self.endpointing.audio.end_samples
        self._absorbed_samples = max(self._absorbed_samples, reached)
        return self._absorbed_samples

    @property
    def answered_samples(self) -> int:
        """Audio before this position has been decoded, or found to be silence."""
        closed = self._unanswered()
        if closed:
            return min(closed.end_samples, max(self._heard_samples, closed.start_samples))
        segmenter = self.endpointing.segmenter
        # Without partials an open segment is not decoded: its audio waits for nothing but more of it.
        waits_for_more = segmenter.quiet_end_samples is not None or not self.segment_options.partials
        return segmenter.position_samples if segmenter.start_samples is None or waits_for_more else self._heard_samples

    def forget(self) -> None:
        """Drop audio that is behind the checkpoint."""
        self.endpointing.forget_before(self.checkpoint_samples)

    def _taken(self, options: SessionOptions) -> SessionOptions:
        self._outbox.extend(without_effect(options, DELAY, SAMPLING))
        taken, unknown = spoken_language(options, self._languages)
        self._outbox.extend(unknown)
        return taken

    def _unanswered(self) -> Closed | None:
        return next((item for item in self._outbox if isinstance(item, Closed)), None)

    def _settle_language(self, answer: Answer) -> None:
        if self.language or self.segment_options.language:
            return
        enough = answer.end_samples - answer.start_samples >= DETECT_LANGUAGE_MS * SAMPLES_PER_MS
        if enough and answer.heard.language_probability >= DETECT_LANGUAGE_PROBABILITY:
            self.language = answer.heard.language

    def _show(self, answer: Answer, *, new_audio_s: float, speech_ended: bool) -> None:
        heard = answer.heard
        if guards.is_noise(heard.log_probability, heard.no_speech_probability, guards.MIN_VOICED_WINDOWS):
            return
        text = "".join(self._text.hear(heard.spelled, new_audio_s=new_audio_s, speech_ended=speech_ended)).strip()
        if text and text != self._partial_text:
            self._partial_text = text
            self._outbox.append(Partial(self._segment, text, answer.start_samples, answer.end_samples, answer.model_ms))

    def _answer_from_closing(self) -> None:
        """The closing pass heard exactly what the segment turned out to be: its text is final already."""
        closed, closing = self._unanswered(), self._closing
        same = (
            closed
            and closing
            and (closed.start_samples, closed.end_samples)
            == (
                closing.start_samples,
                closing.end_samples,
            )
        )
        if same and closing:
            self._answer(closing)

    def _answer(self, answer: Answer) -> None:
        """Put the final in the place of the oldest segment that has none, and begin the next."""
        closed = self._unanswered()
        assert closed, "a final was decoded for a segment that is not closed"
        heard = answer.heard
        noise = guards.is_noise(heard.log_probability, heard.no_speech_probability, closed.voiced_windows)
        text = "" if noise else heard.text
        place = self._outbox.index(closed)
        del self._outbox[place]
        if text or self._partial_text or self._options.turns:
            self._outbox.insert(place, final(self._segment, closed, answer, text))
            self._segment += 1
        self._text = StableText(self._held_back_words)
        self._partial_text = ""
        self._partial_tokens = 0
        self._closing = None
        self._heard_samples = max(self._heard_samples, closed.end_samples)
        self.segment_options = self._options
