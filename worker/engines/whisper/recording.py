"""A recording: its words are not urgent, so it is decoded in long windows, as many at a time as there is audio for.

A window joins successive segments in one language; its words become the finals of its segments. The content of a window
depends on the audio alone, so the same recording always gives the same text. Independent of the model.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate, pairwise
from math import inf

import numpy as np
from numpy.typing import NDArray

from shared.events import SAMPLE_RATE_HZ, Scores
from shared.session_options import SessionOptions
from worker.engines.base import History, Output, Partial
from worker.engines.speech.audio_buffer import AudioBuffer
from worker.engines.speech.boundaries import Closed, Opened, SegmenterSettings
from worker.engines.speech.levels import AHEAD_WINDOWS
from worker.engines.speech.segment_queue import Kind
from worker.engines.speech.vad import WINDOW_SAMPLES
from worker.engines.whisper.guards import is_wordless, outruns_voice
from worker.engines.whisper.hallucinations import with_end
from worker.engines.whisper.jobs import Heard, Job
from worker.engines.whisper.languages import Probabilities, likeliest, seems_foreign, surely_spoken
from worker.engines.whisper.left_out import rest_start
from worker.engines.whisper.session import Pass, Place, Session
from worker.engines.whisper.spans import Span, Spans
from worker.engines.whisper.words import HeardWord, mean_confidence

WINDOW_S = 28.0
"""The model accepts 30 s; 2 s of padding end its text."""
LONGEST_PAUSE_S = 2.0
"""Segments that are farther apart are not joined."""
SETTLING_S = 30.0
"""The language of a recording is detected in this much speech at its beginning."""
BEAM_BELOW = -0.1
"""Measured: a beam for all windows corrects nothing more."""
SEGMENTER = SegmenterSettings(
    onset_probability=0.2, offset_probability=0.1, faint_share=inf, late_after_s=WINDOW_S, max_segment_s=WINDOW_S
)
"""With thresholds as low as these, faint speech before an onset is mostly noise: measured, it gave coughs a text."""


@dataclass(slots=True)
class _Segment:
    """A closed segment that has no final yet."""

    closed: Closed
    language: str | None
    detected: Probabilities | None = None
    ends_window: bool = False
    """Its client waits for it: no other segment is joined to it."""
    seems_foreign: bool = False
    """It is decoded by itself: in a window with others, the decoder leaves out what is in another language."""

    @property
    def span(self) -> Span:
        return Span(self.closed.start_samples, self.closed.end_samples)

    @property
    def speech_s(self) -> float:
        return (self.closed.speech_end_samples - self.closed.speech_start_samples) / SAMPLE_RATE_HZ


@dataclass(slots=True)
class _Window:
    segments: list[_Segment]
    rest: Spans | None
    """The part that is still to be decoded."""
    model_ms: float
    words: list[tuple[HeardWord, Heard]] = field(default_factory=list)
    """Each with the pass that found it."""


class Recording(Session):
    """See `Session`."""

    def __init__(self, options: SessionOptions, languages: tuple[str, ...], place: Place) -> None:
        super().__init__(replace(options, turn_detection=None), languages, place, SEGMENTER)
        self._segments: list[_Segment] = []
        self._windows: deque[_Window] = deque()
        self._language: str | None = None

    @property
    def is_live(self) -> bool:
        return False

    @property
    def is_recording(self) -> bool:
        return True

    def recall(self, history: History, _tokens: Callable[[str], tuple[int, ...]], /) -> None:
        """No window contains audio before the checkpoint."""
        self.endpointing.audio = AudioBuffer(history.start_samples)

    # Endpointing

    def unheard(self, limit_windows: int) -> NDArray[np.float32] | None:
        """Only windows that enough audio follows, so that the VAD's input does not depend on how the audio arrived."""
        endpointing = self.endpointing
        if not endpointing.has_unheard():
            return None
        if endpointing.waits_for_more:
            here = endpointing.audio.end_samples - endpointing.segmenter.position_samples
            limit_windows = min(limit_windows, here // WINDOW_SAMPLES - AHEAD_WINDOWS)
        return endpointing.unheard(limit_windows) if limit_windows > 0 else None

    def ahead(self, heard_samples: int) -> NDArray[np.float32]:
        return self.endpointing.ahead(heard_samples, AHEAD_WINDOWS)

    def _open(self, opened: Opened) -> None:
        pass

    def _close(self, closed: Closed) -> None:
        self._segments.append(_Segment(closed, self._segment_options.language))
        self._adopt_options()

    def _commit(self) -> None:
        if self._segments:
            self._segments[-1].ends_window = True

    # Language

    def undetected(self) -> list[Span]:
        return [one.span for one in self._segments if one.language is None and one.detected is None]

    def take_detected(self, span: Span, probabilities: Probabilities) -> None:
        next(one for one in self._segments if one.span == span).detected = probabilities

    def _settle_languages(self) -> None:
        """Assign languages to segments, in order; the first ones wait until the recording's language is known."""
        unsettled = [one for one in self._segments if one.language is None]
        if self._language is None:
            first = self._first(unsettled)
            if not first:
                return
            self._language = likeliest([(one.detected or {}, one.speech_s) for one in first], self._allowed)
        for one in unsettled:
            if one.detected is None:
                return
            sure = surely_spoken(one.detected, one.speech_s, self._allowed)
            self._language = one.language = sure or self._language
            one.seems_foreign = seems_foreign(one.detected, one.speech_s, self._language, self._allowed)

    def _first(self, segments: list[_Segment]) -> list[_Segment]:
        """Those that the recording's language is detected in, and no later ones; none until each is detected.

        They end with `SETTLING_S` of speech, where a client waits for them or gives the language of the following ones,
        or with the audio.
        """
        heard_s = 0.0
        for count, one in enumerate(segments, 1):
            if one.detected is None:
                return []
            heard_s += one.speech_s
            if heard_s >= SETTLING_S or one.ends_window:
                return segments[:count]
        is_whole = self.endpointing.finished or self._segments[-1:] != segments[-1:]
        return segments if is_whole else []

    # Decoding

    def due_passes(self, _interval_ms: float) -> list[Pass]:
        self._settle_languages()
        while (count := self._whole()) > 0:
            segments, self._segments = self._segments[:count], self._segments[count:]
            self._windows.append(_window(segments))
        return [Pass(self, Kind.FINAL, window.rest, turn) for turn, window in enumerate(self._windows) if window.rest]

    def _whole(self) -> int:
        """How many of the first segments make a window that no other segment will join; 0: none yet."""
        if not self._segments or self._segments[0].language is None:
            return 0
        first, count = self._segments[0], 1
        length = first.span.length_samples
        for before, one in pairwise(self._segments):
            length += one.span.length_samples
            if one.language is None and not before.ends_window:
                return 0
            if not self._joins(before, one) or length > WINDOW_S * SAMPLE_RATE_HZ:
                return count
            count += 1
        last = self._segments[-1]
        following_samples = self.endpointing.segmenter.needed_from_samples
        paused = following_samples - last.span.end_samples > LONGEST_PAUSE_S * SAMPLE_RATE_HZ
        return count if last.ends_window or self.endpointing.finished or paused else 0

    def _joins(self, before: _Segment, after: _Segment) -> bool:
        near = after.span.start_samples - before.span.end_samples <= LONGEST_PAUSE_S * SAMPLE_RATE_HZ
        alike = after.language == before.language and not (before.seems_foreign or after.seems_foreign)
        return near and alike and not before.ends_window

    def job(self, wanted: Pass) -> Job:
        window = self._window_of(wanted)
        first = next(one for one in window.segments if one.closed.end_samples > wanted.spans.start_samples)
        return Job(
            wanted.spans.pcm(self.endpointing.audio),
            language=window.segments[0].language or "",
            prompt=self._segment_options.prompt,
            closing=True,
            lead_samples=self._lead_samples(wanted.spans.start_samples, first.closed.speech_start_samples),
            beam_below=BEAM_BELOW,
            translate=self._is_translated(),
            keyterms=self._segment_options.keyterms or (),
        )

    def take_heard(self, done: Pass, heard: Heard, model_ms: float) -> None:
        window = self._window_of(done)
        window.model_ms += model_ms
        words = list(self._believed(done, heard))
        shortened = with_end(words, self._voice)
        voiced = sum(one.closed.voiced_windows for one in window.segments)
        wordless = is_wordless(heard.log_probability, heard.no_speech_probability, voiced)
        outruns = outruns_voice(len(heard.words), len(words), heard.word_probability, voiced)
        if wordless or outruns or self._is_noise(heard, voiced):
            words = []
        elif 2 * len(words) < len(heard.words) and len(window.segments) > 1 and not window.words:
            self._halve(window)
            return
        window.rest = None
        is_first = done.spans.start_samples == window.segments[0].span.start_samples
        if shortened and (words or (wordless and is_first)):  # one unlikely word may be all that a decoder says
            window.rest = self._rest(window, done, shortened)
            words = list(shortened) if words and window.rest else words
        window.words += [(word, heard) for word in words]
        while self._windows and self._windows[0].rest is None:
            self._finish(self._windows.popleft())

    def _halve(self, window: _Window) -> None:
        """Decode both halves of a window by themselves: its answer is a loop, whose words have wrong times."""
        index = self._windows.index(window)
        del self._windows[index]
        middle = _middle(window.segments)
        for segments in (window.segments[middle:], window.segments[:middle]):
            self._windows.insert(index, _window(segments, window.model_ms))

    def _rest(self, window: _Window, done: Pass, words: Sequence[HeardWord]) -> Spans | None:
        """The part after the last word that the decoder has left out; None if that is all that it heard.

        It begins later than what was decoded: from the same audio the decoder would give the same words, without end.
        """
        if words[-1].end_samples <= done.spans.start_samples:  # its words have no length
            return None
        start_samples = rest_start(words, [one.span for one in window.segments], self._voice, done.end_samples)
        return None if start_samples is None else done.spans.between(start_samples, done.end_samples)

    def _believed(self, done: Pass, heard: Heard) -> tuple[HeardWord, ...]:
        words = tuple(done.spans.placed(heard.words))
        return self._voiced(words, done.spans.start_samples, done.end_samples, heard.language)

    def _window_of(self, done: Pass) -> _Window:
        return next(window for window in self._windows if window.rest == done.spans)

    def _finish(self, window: _Window) -> None:
        """The finals of a window's segments."""
        words = deque(window.words)
        for one, after in zip(window.segments, [*window.segments[1:], None], strict=True):
            own: list[tuple[HeardWord, Heard]] = []
            while words and (after is None or self._is_before(words[0][0], after)):
                own.append(words.popleft())
            scores = _scores(own)
            outputs = self._outputs(one, tuple(word for word, _ in own), scores, window.model_ms)
            self._queue.answer(one.closed, *outputs)

    def _is_before(self, word: HeardWord, after: _Segment) -> bool:
        """Whether a word is said before a segment; the aligner is not exact at the joints of spans."""
        return self._voice.lies_before(after.span.start_samples, word.start_samples, word.end_samples)

    def _outputs(
        self, segment: _Segment, words: tuple[HeardWord, ...], scores: Scores, model_ms: float
    ) -> list[Output]:
        """The final of a segment, after a partial if its client receives partials."""
        if not words and not self._options.turns:
            return []
        closed = segment.closed
        spoken = Span(closed.speech_start_samples, closed.speech_end_samples)
        final = self._final(words, segment.span, spoken, segment.language, model_ms, scores=scores)
        self._segment += 1
        if not (words and self._options.partials):
            return [final]
        partial = Partial(
            final.segment, final.text, final.start_samples, final.heard_samples, model_ms, final.text, final.words
        )
        return [partial, final]

    # Positions

    @property
    def _needed_from_samples(self) -> int:
        return self.checkpoint_samples

    @property
    def answered_samples(self) -> int:
        return self._queue.answered_samples(0, waits_for_more=True)

    def _forget_context(self) -> None:
        pass

    def _forget_language(self) -> None:
        self._language = None


def _window(segments: list[_Segment], model_ms: float = 0.0) -> _Window:
    """A window that is still to be decoded; `model_ms` has been spent on its segments before."""
    return _Window(segments, Spans(tuple(one.span for one in segments)), model_ms)


def _middle(segments: list[_Segment]) -> int:
    """The index of the first segment of the second half, which begins near the middle of the audio."""
    ends = list(accumulate(one.span.length_samples for one in segments))
    return 1 + min(range(len(segments) - 1), key=lambda index: abs(ends[-1] - 2 * ends[index]))


def _scores(words: list[tuple[HeardWord, Heard]]) -> Scores:
    """The scores of a segment's words; those of the pass that found the first word hold for all."""
    if not words:
        return Scores()
    heard = words[0][1]
    confidence = mean_confidence([word for word, _ in words])
    return Scores(confidence, heard.log_probability, heard.no_speech_probability)
