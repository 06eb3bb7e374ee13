"""The common part of live sessions and recordings: their audio, their endpointing, and their language.

Independent of the model: the caller passes in probabilities and decoded windows.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shared.events import SAMPLES_PER_MS, Scores, Word
from shared.session_options import Mode, SessionOptions
from worker.engines.base import Committed, Final, History, Notice, Output
from worker.engines.option_notices import DELAY, SAMPLING, spoken_language, turns_by_pauses, without_effect
from worker.engines.speech.boundaries import Boundary, Closed, Opened, SegmenterSettings
from worker.engines.speech.segment_queue import Kind, SegmentQueue
from worker.engines.whisper import guards
from worker.engines.whisper.hallucinations import voiced_part
from worker.engines.whisper.jobs import Heard, Job
from worker.engines.whisper.languages import Probabilities
from worker.engines.whisper.spans import Span, Spans
from worker.engines.whisper.transcript import joined
from worker.engines.whisper.voice import Voice
from worker.engines.whisper.words import HeardWord, mean_confidence, usage_of
from worker.turns.judge import TurnJudge

SPLIT_AT_CHARACTERS = frozenset({"zh", "ja", "th", "lo", "my", "yue"})
"""Languages in which each character counts as a word, as in Whisper's tokenizer. Khmer, which `shared.seams` counts as
a script without spaces, is not one of them."""


@dataclass(frozen=True, slots=True)
class Pass:
    """A window of one session that is ready to be decoded."""

    session: "Session"
    kind: Kind
    spans: Spans
    turn: int = 0
    """How many passes of the session precede this one."""

    @property
    def end_samples(self) -> int:
        return self.spans.end_samples

    def job(self) -> Job:
        return self.session.job(self)


@dataclass(frozen=True, slots=True)
class Answer:
    """What was heard in a window."""

    done: Pass
    heard: Heard
    model_ms: float

    @property
    def end_samples(self) -> int:
        return self.done.end_samples


@dataclass(frozen=True, slots=True)
class Place:
    """Where a session starts at this worker."""

    start_samples: int = 0
    segment: int = 0


class Session(ABC):
    """State between two steps."""

    def __init__(
        self,
        options: SessionOptions,
        languages: tuple[str, ...],
        place: Place,
        segmenter: SegmenterSettings,
        *,
        judge: TurnJudge | None = None,
    ) -> None:
        """`languages`: those of the model. `judge` is asked about the ends of turns."""
        self._queue = SegmentQueue(segmenter, place.start_samples, options.turn_detection, judge)
        self._pre_roll_ms = segmenter.pre_roll_ms
        self._judge = judge
        self.endpointing = self._queue.endpointing
        self._voice = Voice()
        self._languages = languages
        self._options = self._segment_options = self._taken(options)
        self._segment = place.segment
        self.is_waiting = False
        """Whether a window of it is being decoded, and nothing else of it may change."""
        self.decoded_s = 0.0
        """When the engine last decoded a window of it in parallel with live sessions, or opened it."""

    @property
    def is_live(self) -> bool:
        """Whether the client waits for each word."""
        return self._segment_options.partials

    @property
    def is_speaking(self) -> bool:
        """Whether speech has begun and not ended yet."""
        return self.endpointing.segmenter.start_samples is not None

    @property
    def _is_idle(self) -> bool:
        """Whether no segment is open, and none waits for its answer."""
        return not self.is_speaking and not self._queue.unanswered

    @property
    def is_recording(self) -> bool:
        return False

    def configure(self, options: SessionOptions) -> None:
        """Use these options, starting with the next segment."""
        self._options = options = self._taken(options)
        if not self.is_recording:
            self.endpointing.configure(options.turn_detection)
        if self._is_idle:
            self._adopt_options()

    def _adopt_options(self) -> None:
        """Use the latest options for the segments that follow."""
        before, self._segment_options = self._segment_options, self._options
        if before.keyterms != self._options.keyterms:  # the context may hold them in the spelling of the model
            self._forget_context()
        if (before.language, before.languages) != (self._options.language, self._options.languages):
            self._forget_language()

    def notify(self, notice: Notice) -> None:
        """Send the client a notice."""
        self._queue.put(notice)

    @abstractmethod
    def recall(self, history: History, tokens: Callable[[str], tuple[int, ...]], /) -> None:
        """Accept the audio of a former owner's history, which is given first, and use of it what is useful."""

    # Endpointing

    @abstractmethod
    def unheard(self, limit_windows: int) -> NDArray[np.float32] | None:
        """The audio for the VAD to process now; None if there is none."""

    def ahead(self, _heard_samples: int) -> NDArray[np.float32] | None:
        """The known audio after that, from which the VAD sets its level."""
        return None

    def take_probabilities(self, probabilities: NDArray[np.float32]) -> None:
        """Speech probabilities of what `unheard` gave."""
        segmenter = self.endpointing.segmenter
        self._voice.hear(segmenter.position_samples, probabilities, segmenter.settings.offset_probability)
        for boundary in self._queue.hear(probabilities):
            self._take_boundary(boundary)

    def _take_boundary(self, boundary: Boundary | Committed) -> None:
        if isinstance(boundary, Committed):
            self._commit()
        elif isinstance(boundary, Opened):
            self._open(boundary)
        else:
            self._close(boundary)

    @abstractmethod
    def _open(self, opened: Opened) -> None: ...

    @abstractmethod
    def _close(self, closed: Closed) -> None: ...

    @abstractmethod
    def _commit(self) -> None:
        """The client waits for all segments so far."""

    # Language

    @abstractmethod
    def undetected(self) -> list[Span]:
        """Segments of speech whose language is detected before anything is decoded."""

    @abstractmethod
    def take_detected(self, span: Span, probabilities: Probabilities) -> None: ...

    @property
    def _allowed(self) -> tuple[str, ...]:
        """The only languages to detect; empty: all."""
        return self._segment_options.languages or ()

    # Decoding

    @abstractmethod
    def due_passes(self, interval_ms: float, /) -> list[Pass]:
        """The passes that may be decoded now."""

    @abstractmethod
    def job(self, wanted: Pass) -> Job: ...

    @abstractmethod
    def take_heard(self, done: Pass, heard: Heard, model_ms: float) -> None: ...

    @abstractmethod
    def _forget_language(self) -> None: ...

    @abstractmethod
    def _forget_context(self) -> None:
        """Decode the next segment without the text before it."""

    def _voiced(
        self, words: tuple[HeardWord, ...], start_samples: int, end_samples: int, language: str
    ) -> tuple[HeardWord, ...]:
        """The words that the voice between two positions can hold."""
        return voiced_part(
            words,
            voiced_s=self._voice.seconds(start_samples, end_samples),
            voice_end_samples=self._voice.end_before(end_samples) or start_samples,
            spaced=language not in SPLIT_AT_CHARACTERS,
        )

    def _is_noise(self, heard: Heard, voiced_windows: int) -> bool:
        return guards.is_noise(
            heard.log_probability, heard.no_speech_probability, heard.word_probability, voiced_windows
        )

    # Outputs

    def take_outputs(self) -> list[Output]:
        return self._queue.take()

    def has_outputs(self) -> bool:
        return self._queue.has_outputs

    def _lead_samples(self, start_samples: int, speech_samples: int) -> int:
        """Silence to put before a window, if less audio than usual precedes its speech."""
        wanted = self._pre_roll_ms * SAMPLES_PER_MS
        return max(0, wanted - max(0, speech_samples - start_samples))

    def _final(
        self,
        words: tuple[HeardWord, ...],
        span: Span,
        spoken: Span,
        language: str | None,
        model_ms: float,
        *,
        scores: Scores | None = None,
    ) -> Final:
        """The final of the next segment, with speech in `spoken`. `scores`: by default, those of its words."""
        return Final(
            segment=self._segment,
            text=joined(words),
            start_samples=span.start_samples,
            end_samples=span.end_samples,
            heard_samples=span.end_samples,
            resume_samples=span.end_samples,
            words=wire_words(words, spoken) if self._segment_options.words else (),
            language=(language or None) if words else None,
            model_ms=model_ms,
            usage=usage_of(words, span.length_samples),
            scores=scores or Scores(confidence=mean_confidence(words)),
        )

    # Positions

    @property
    def checkpoint_samples(self) -> int:
        """Audio before this position is in no segment without a final."""
        return self._queue.checkpoint_samples

    @property
    @abstractmethod
    def answered_samples(self) -> int:
        """Audio before this position has been decoded, or found to be silence."""

    @property
    @abstractmethod
    def _needed_from_samples(self) -> int: ...

    def is_behind(self, interval_ms: float) -> bool:
        """Whether there is audio to endpoint, to detect or to decode now, or that is being decoded."""
        return self.is_waiting or self.unheard(1) is not None or bool(self.undetected() or self.due_passes(interval_ms))

    def absorbed_samples(self, interval_ms: float) -> int:
        """A part of a VAD window, and audio that is too short for another partial, wait only for more audio."""
        return self._queue.absorbed_samples(self.answered_samples, is_behind=self.is_behind(interval_ms))

    def forget(self) -> None:
        """Drop what no pass needs."""
        self.endpointing.forget_before(self._needed_from_samples)
        self._voice.forget_before(self._needed_from_samples)

    def _taken(self, options: SessionOptions) -> SessionOptions:
        taken, unknown = spoken_language(options, self._languages)
        self._queue.put(*without_effect(options, DELAY, SAMPLING), *unknown)
        self._queue.put(*turns_by_pauses(options.turn_detection, self._judge))
        return taken

    def _is_translated(self) -> bool:
        return self._segment_options.mode is Mode.TRANSLATE


def wire_words(words: tuple[HeardWord, ...], spoken: Span) -> tuple[Word, ...]:
    """Words with their marks, as clients receive them.

    The aligner adds the silence around the speech to the first and the last word, so times are cut to the speech.
    Words of successive passes may overlap a little; each starts where the previous one has ended.
    """
    found = []
    end = spoken.start_samples
    for word in words:
        start = min(max(word.start_samples, end), spoken.end_samples)
        end = min(max(word.end_samples, start), spoken.end_samples)
        found.append(Word((word.text + word.mark).strip(), start, end, word.confidence))
    return tuple(found)
