"""One session of the engine: its audio, its segments, and its pending outputs.

Knows no batch: the engine runs the passes and reports when one is done. The VAD may be ahead of the model; its findings
wait until the model gets there, so that outputs are in order. Positions are samples of the session.
"""

from collections import deque
from typing import Final

from shared.events import SAMPLE_RATE_HZ
from shared.session_options import SessionOptions
from worker.engines.base import (
    Committed,
    Finished,
    Output,
    Partial,
    SpeechStarted,
    SpeechStopped,
    TurnEndedEarly,
    TurnResumed,
)
from worker.engines.base import Final as FinalText
from worker.engines.option_notices import (
    COMMIT_DELAY,
    DELAY,
    KEYTERMS,
    LANGUAGE,
    LANGUAGES,
    PROMPT,
    SAMPLING,
    turns_by_pauses,
    without_effect,
)
from worker.engines.sherpa.hearing import Hearing
from worker.engines.sherpa.recognizer import Recognizer
from worker.engines.sherpa.spelling import Piece
from worker.engines.sherpa.words import PIECE_SAMPLES, Words
from worker.engines.speech.boundaries import Closed, Opened, SegmenterSettings
from worker.engines.speech.endpointing import Endpointing
from worker.engines.speech.turn_outputs import TurnEnd, TurnText
from worker.engines.speech.vad import SileroVad
from worker.turns.judge import TurnJudge

MAX_LEAD_SAMPLES: Final = SAMPLE_RATE_HZ
"""A segment that is cut between two words ends at most so long before the second word is written."""
MAX_STREAM_SAMPLES: Final = 60 * SAMPLE_RATE_HZ
"""An older stream is replaced between two words, since its memory grows with its text."""
MAX_VAD_WINDOWS: Final = 100
"""In one step: 3.2 s of audio, about 6 ms."""
UNUSED: Final = (COMMIT_DELAY, DELAY, KEYTERMS, LANGUAGE, LANGUAGES, PROMPT, SAMPLING)
Finding = Opened | Closed | TurnEndedEarly | TurnResumed | TurnEnd | Committed | Finished
"""Of the VAD."""


class Session:
    def __init__(
        self,
        options: SessionOptions,
        recognizer: Recognizer,
        settings: SegmenterSettings,
        *,
        start_samples: int,
        segment: int,
        max_segment_samples: int,
        marks_words: bool,
        judge: TurnJudge | None = None,
    ) -> None:
        """`settings` must not cut long segments: their text has already been sent."""
        self._judge = judge
        self.endpointing = Endpointing(settings, start_samples, options.turn_detection, judge)
        self._recognizer = recognizer
        self._max_segment_samples = max_segment_samples
        self._marks_words = marks_words
        self._outbox: list[Output] = _notices(options, judge)
        self._options = self._segment_options = options
        self._ahead: deque[tuple[Finding, int]] = deque()
        """Findings of the VAD that the model has not reached, each with the position of the VAD at that time."""
        self._hearing: Hearing | None = None
        """The recognizer's part for the open segment, until the model has written all of it."""
        self._closed: Closed | None = None
        """The end of the open segment, once the VAD has found it."""
        self._end_samples = start_samples
        """Where the audio of the open segment ends, once it is closed."""
        self._segment = segment
        self._start_samples = start_samples
        """Where the open segment begins, or where the last one ended."""
        self._turn_text = TurnText()
        self._words = Words()
        self._model_ms = 0.0

    def configure(self, options: SessionOptions) -> None:
        self._outbox += _notices(options, self._judge)
        self._options = options
        self.endpointing.configure(options.turn_detection)
        if self._hearing is None:
            self._segment_options = options

    def listen(self, vad: SileroVad) -> None:
        """Look for segments in new audio."""
        for found in self.endpointing.listen(vad, MAX_VAD_WINDOWS):
            self._ahead.append((found, self.endpointing.segmenter.position_samples))
            if isinstance(found, Closed) and self.endpointing.detection is not None:
                self._ahead.append((TurnEnd(found), self.endpointing.segmenter.position_samples))
        self.advance()

    def advance(self) -> None:
        """Open, feed and close segments up to the model's position; call it after a pass."""
        while True:
            while self._ahead and self._closed is None:
                self._take(*self._ahead.popleft())
            self._feed()
            if self._closed is None or self.is_ready:
                return
            self._close(self._closed)

    # The model

    @property
    def is_ready(self) -> bool:
        """Whether there is a pass to run over `stream`."""
        return self._hearing is not None and self._hearing.is_ready

    @property
    def hearing(self) -> Hearing:
        assert self._hearing, "no segment is open"
        return self._hearing

    def take_pass(self, model_ms: float) -> None:
        """A pass over the stream is done."""
        hearing = self.hearing
        self._model_ms = model_ms
        before = self._words.text
        for piece in hearing.take():
            if self._words.begins_word(piece) and piece.at_samples - self._start_samples > self._max_segment_samples:
                self._end_before(piece)
                before = ""
            if self.hearing is not hearing:
                return  # the new stream repeats the rest
            self._words.append(piece)
        text = self._words.text
        if text != before and self._segment_options.partials:
            self._put(
                Partial(
                    segment=self._segment,
                    text=text,
                    start_samples=self._start_samples,
                    heard_samples=hearing.heard_samples,
                    model_ms=model_ms,
                    committed_text=text,
                    committed_words=self._words.whole(),
                )
            )

    # For the engine

    def take_outputs(self) -> list[Output]:
        outputs, self._outbox = self._outbox, []
        return outputs

    @property
    def is_behind(self) -> bool:
        """Whether there is audio to process, a pass to run or an output to send now."""
        return bool(self._outbox) or self.endpointing.has_unheard() or self.is_ready

    @property
    def absorbed_samples(self) -> int:
        """Includes an incomplete VAD window, and audio that is too short for a pass: they only wait for more audio."""
        if not (self.endpointing.has_unheard() or self.is_ready):
            return self.endpointing.audio.end_samples
        return self._hearing.heard_samples if self._hearing else self.endpointing.segmenter.position_samples

    @property
    def checkpoint_samples(self) -> int:
        """A new owner must process all of the open segment, since its words are in no final yet."""
        if self._hearing:
            return self._start_samples
        needed = min(self.endpointing.audio.end_samples, self.endpointing.segmenter.needed_from_samples)
        return max(self._start_samples, needed)

    def forget(self) -> None:
        """Drop audio that is no longer needed."""
        needed = self._hearing.needed_from_samples if self._hearing else self.checkpoint_samples
        self.endpointing.forget_before(needed)

    # Segments

    def _take(self, found: Finding, position_samples: int) -> None:
        if isinstance(found, Opened):
            self._start_samples = max(self._start_samples, found.start_samples)
            self._segment_options = self._options
            self._hearing = self._heard_from(self._start_samples)
            self._put(SpeechStarted(found.speech_samples))
        elif isinstance(found, Closed):
            self._closed = found
            self._end_samples = max(position_samples, found.end_samples)
            self._put(SpeechStopped(found.speech_end_samples))
        elif isinstance(found, TurnEnd):
            self._put(*self._turn_text.end(found.closed))
        else:
            self._put(found)

    def _feed(self) -> None:
        if self._hearing is None:
            return
        if self._closed is None:
            self._hearing.feed(self.endpointing.audio, self.endpointing.segmenter.position_samples, is_all=False)
            return
        self._hearing.feed(self.endpointing.audio, self._end_samples, is_all=True)
        if not self._hearing.is_ready:
            self._hearing.end(self._end_samples - self._closed.speech_end_samples)

    def _close(self, closed: Closed) -> None:
        """The model has written all of the segment. A word after the end of the speech belongs to it too."""
        end_samples = max(closed.end_samples, self._start_samples)
        if self._words and self._words.last_samples >= end_samples:
            end_samples = max(end_samples, min(self._words.last_samples + PIECE_SAMPLES, self._end_samples))
        self._end_segment(end_samples)
        self._hearing = self._closed = None

    def _end_before(self, piece: Piece) -> None:
        """Cut a segment that is too long, between its last word and the word that this piece begins."""
        middle = (self._words.last_samples + piece.at_samples) // 2
        self._end_segment(max(middle, piece.at_samples - MAX_LEAD_SAMPLES))
        self._segment_options = self._options
        if piece.at_samples - self.hearing.start_samples > MAX_STREAM_SAMPLES:
            self._hearing = self._heard_from(self._start_samples)

    def _end_segment(self, end_samples: int) -> None:
        if self._words or self._options.turns:
            self._put(
                FinalText(
                    segment=self._segment,
                    text=self._words.text,
                    start_samples=self._start_samples,
                    end_samples=end_samples,
                    heard_samples=self.hearing.heard_samples,
                    resume_samples=end_samples,
                    words=self._words.closed(end_samples) if self._segment_options.words else (),
                    language=None,
                    model_ms=self._model_ms,
                )
            )
            self._segment += 1
        self._words = Words()
        self._start_samples = end_samples

    def _put(self, *outputs: Output) -> None:
        self._turn_text.add(outputs)
        self._outbox += outputs

    def _heard_from(self, start_samples: int) -> Hearing:
        return Hearing(self._recognizer, start_samples, marks_words=self._marks_words)


def _notices(options: SessionOptions, judge: TurnJudge | None) -> list[Output]:
    ignored = without_effect(options, *UNUSED)
    return [*ignored, *turns_by_pauses(options.turn_detection, judge)]
