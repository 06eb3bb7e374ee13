"""One session of the engine: its audio, its position in the model, and its outputs.

Independent of the model: it provides the audio of the next position and receives the model's token for it, perhaps
after it has provided the audio of the following position. A `Stretch` of audio ends at a commit, and its delay is then
drained, so that the answer to the commit has all earlier speech. Positions in audio are samples of the session.
"""

from collections import deque
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shared.events import SAMPLE_RATE_HZ
from shared.session_options import KeyTerm, SessionOptions
from worker.engines.base import Committed, Finished, HeardAgain, History, Output, Partial
from worker.engines.option_notices import (
    COMMIT_DELAY,
    LANGUAGES,
    PROMPT,
    SAMPLING,
    turns_by_pauses,
    without_effect,
)
from worker.engines.speech.audio_buffer import AudioBuffer
from worker.engines.speech.vad import SileroVad
from worker.engines.voxtral_realtime.blank_run import BlankRun
from worker.engines.voxtral_realtime.prompt import Prompt
from worker.engines.voxtral_realtime.recall import recalled_tokens
from worker.engines.voxtral_realtime.stretch import Stretch
from worker.engines.voxtral_realtime.transcript import Transcript
from worker.engines.voxtral_realtime.turn_ends import TurnEnds
from worker.engines.voxtral_realtime.vocabulary import Vocabulary
from worker.turns.judge import TurnJudge

UNUSED: Final = (COMMIT_DELAY, LANGUAGES, PROMPT, SAMPLING)
MAX_WORD_SAMPLES: Final = 24_000
"""1.5 s: while the model writes nothing, a word that has begun may be this old."""
RENEWED_AFTER_SAMPLES: Final = 180 * 16_000
"""An older stretch is restarted in the next long pause, since models that run for long sometimes get stuck. The default
text window is 164 s, so little of the context is lost."""
MAX_UNMARKED_SAMPLES: Final = 5 * 16_000
"""Text that comes this long after the last marker starts a word anyway, so that segments and audio stay bounded."""
LONG_PAUSE_SAMPLES: Final = 2 * 16_000
SETTLED_FRAMES: Final = 2
"""After a word, this many positions without text mean that all of its text has come."""


class Session:
    def __init__(
        self,
        options: SessionOptions,
        prompt: Prompt,
        vocabulary: Vocabulary,
        *,
        start_samples: int,
        segment: int,
        default_delay_ms: int,
        vad: SileroVad | None = None,
        judge: TurnJudge | None = None,
    ) -> None:
        """`vad` detects a model that writes nothing while somebody speaks (see `blank_run`), and the pauses of turns.
        `judge` is asked about the ends of turns."""
        self._judge = judge
        self._turns = TurnEnds(vad, judge)
        self._prompt = prompt
        self._vocabulary = vocabulary
        self._default_delay_ms = default_delay_ms
        self._audio = AudioBuffer(start_samples, reuses_memory=True)
        self._outbox: list[Output] = [*without_effect(options, *UNUSED)]
        self._transcript = Transcript(segment, options.language)
        self._want(options)
        self._ends_samples: deque[int] = deque()
        self._commits_samples: deque[int] = deque()
        """Positions of the client's commits that have no answer yet."""
        self._finishing = False
        self._is_over = False
        self._settled_samples = start_samples
        self._segment_resume_samples = start_samples
        self._blank = BlankRun(vad, start_samples)
        self._begin_stretch(start_samples)
        self._detect_turns(options)

    def recall(self, history: History) -> None:
        """Process the previous owner's audio again, with its text as input instead of new output."""
        self._turns.skip(self._audio.end_samples - history.start_samples)
        self._audio = AudioBuffer(history.start_samples, reuses_memory=True)
        self._begin_stretch(history.start_samples)
        self.stretch.known_tokens = recalled_tokens(history, self._settled_samples, self._prompt, self._vocabulary)
        if history.words:
            self._last_word_end_samples = history.words[-1].end_samples

    # Called for the client

    def feed(self, pcm: NDArray[np.float32]) -> None:
        self._audio.append(pcm)
        self._turns.feed(pcm)

    @property
    def keyterms(self) -> tuple[KeyTerm, ...] | None:
        return self._options.keyterms

    def configure(self, options: SessionOptions) -> None:
        """The language applies at once; a changed delay applies as soon as no segment is open."""
        self._outbox += without_effect(options, *UNUSED)
        self._want(options)
        self._transcript.language = options.language
        self._detect_turns(options)
        self._change_delay()

    def commit(self) -> None:
        self._commits_samples.append(self._audio.end_samples)
        self._turns.commit()
        self._end_here()
        self._answer_commits()

    def _want(self, options: SessionOptions) -> None:
        self._options = options
        self._wanted_delay_tokens = self._prompt.delay_tokens(options.delay_ms or self._default_delay_ms)

    def _end_here(self) -> None:
        last = self._ends_samples[-1] if self._ends_samples else self.stretch.origin_samples
        if self._audio.end_samples > last:
            self._ends_samples.append(self._audio.end_samples)

    def finish(self) -> None:
        if not self._finishing:
            self._finishing = True
            self._turns.finish()
            self._end_here()
            self._end_if_drained()

    @property
    def has_unheard_turns(self) -> bool:
        """Whether `listen` has something to do."""
        return self._turns.is_due

    def listen(self) -> None:
        """Look for the ends of turns in new audio."""
        self._outbox += self._turns.listen()
        self._end_if_drained()

    def _detect_turns(self, options: SessionOptions) -> None:
        self._outbox += turns_by_pauses(options.turn_detection, self._judge)
        self._turns.configure(options.turn_detection)
        self._switch_turns()

    def _switch_turns(self) -> None:
        is_between = not (self._transcript.is_open or self._ends_samples or self._finishing)
        if self._turns.must_switch and is_between:
            self._turns.switch(self._audio, max(self._heard_samples, self._settled_samples))

    # Called for the model

    @property
    def is_ready(self) -> bool:
        """Whether the audio of the next position is available."""
        return self.stretch.is_ready(self._audio.end_samples, self._end_samples)

    @property
    def is_behind(self) -> bool:
        """Whether there is audio for more than the next position."""
        if self._ends_samples:
            return True
        return self._audio.end_samples >= self.stretch.next_end_samples + self._prompt.frame_samples

    @property
    def known_positions(self) -> int:
        """How many of the next positions have their audio and an output that is known already."""
        return self.stretch.known_positions(self._audio.end_samples, self._end_samples)

    def window(self) -> NDArray[np.float32]:
        """The audio of the next position; see `Stretch.window`. Valid until the next `feed` or `take`."""
        return self.stretch.window(self._audio, self._limit_samples)

    def take(
        self, levels: NDArray[np.float32], token: int, model_ms: float, log_probability: float | None = None
    ) -> None:
        """Handle the model's token for the oldest provided position, and the loudness of the hops of its frame.

        `log_probability` is the token's.
        """
        said_at_samples = self.stretch.said_at_samples
        self.stretch.pass_position(levels)
        if said_at_samples is not None:
            self._say(token, said_at_samples, model_ms, log_probability)
        if self._ends_samples:
            if self._blank.is_stuck:
                self._hear_again()
            elif self.stretch.is_drained(self._ends_samples[0]):
                self._end_stretch(model_ms)
        elif self._blank.length_samples >= LONG_PAUSE_SAMPLES:
            self._renew_in_pause()
        if self._wanted_delay_tokens != self.stretch.delay_tokens:
            self._change_delay()
        self._switch_turns()
        if self._settled_samples - self._audio.start_samples >= SAMPLE_RATE_HZ:
            next_samples = self.stretch.next_end_samples - self._prompt.window_samples
            self._audio.forget_before(min(next_samples, self._settled_samples, self._audio.end_samples))

    # Called by the engine

    def take_outputs(self) -> list[Output]:
        outputs, self._outbox = self._outbox, []
        if self._options.partials:
            return outputs
        return [output for output in outputs if not isinstance(output, Partial)]

    @property
    def has_outputs(self) -> bool:
        return bool(self._outbox)

    @property
    def absorbed_samples(self) -> int:
        """A part of a frame waits for its other part, not for the model, so it counts as absorbed."""
        waits = self.stretch.is_in_flight or self.is_ready
        return self._heard_samples if waits else self._audio.end_samples

    @property
    def checkpoint_samples(self) -> int:
        """A new owner must process all of the open segment: its words are in no final yet."""
        return self._segment_resume_samples if self._transcript.is_open else self._settled_samples

    def _say(self, token: int, frame_samples: int, model_ms: float, log_probability: float | None) -> None:
        """`frame_samples`: the start of the frame that the token is about."""
        if token == self._vocabulary.word_token:
            self._begin_word(frame_samples, model_ms)
        elif piece := self._vocabulary.text_bytes(token):
            unmarked_samples = frame_samples - self._last_word_end_samples
            if unmarked_samples > MAX_UNMARKED_SAMPLES or not self._transcript.is_open:
                self._begin_word(frame_samples, model_ms)
            self._put(self._transcript.append(piece, self._heard_samples, model_ms, log_probability))
        else:
            until_samples = min(frame_samples + self._prompt.frame_samples, self._limit_samples)
            self._blank.pad(until_samples, self._audio, self.stretch.loudness)
            settled_samples = frame_samples - MAX_WORD_SAMPLES
            if settled_samples > self._settled_samples:
                self._settled_samples = max(self._settled_samples, min(settled_samples, self._blank.needed_samples))
            self._transcript.pause()
            self._end_turns(frame_samples, model_ms)
            if self._transcript.is_over and not self._turns.ends_segments:
                self._close(self._heard_samples, self._settled_samples, model_ms)

    def _begin_word(self, frame_samples: int, model_ms: float) -> None:
        if self._transcript.is_long:
            self._close(self._heard_samples, self._settled_samples, model_ms)
        self._end_turns(frame_samples, model_ms, by_word=True)
        if not self._transcript.is_open:
            self._segment_resume_samples = self._settled_samples
        limit = self._limit_samples  # a word that the model makes up in the silence after the stretch
        end_samples = min(frame_samples + self._prompt.frame_samples // 2, limit)
        after_samples = min(self._last_word_end_samples, end_samples)
        self._transcript.begin_word(self.stretch.loudness.onset_samples(after_samples, end_samples), end_samples)
        self._last_word_end_samples = end_samples
        self._settled_samples = max(self._settled_samples, min(frame_samples + self._prompt.frame_samples, limit))
        self._blank.begin(self._settled_samples)

    def _begin_stretch(self, origin_samples: int) -> None:
        self.stretch = Stretch(self._prompt, origin_samples, self._wanted_delay_tokens)
        self._last_word_end_samples = origin_samples
        self._blank.begin(max(origin_samples, self._settled_samples))

    def _end_stretch(self, model_ms: float) -> None:
        end_samples = self._ends_samples.popleft()
        self._settled_samples = end_samples
        self._close(end_samples, end_samples, model_ms)
        self._begin_stretch(end_samples)
        self._answer_commits()
        self._end_if_drained()

    def _hear_again(self) -> None:
        """The model is stuck: start a new stretch where the speech began. The last segment was closed long before."""
        start_samples = max(self._settled_samples, self._blank.hear_again())
        self._outbox.append(HeardAgain(start_samples, self._blank.until_samples))
        self._begin_stretch(start_samples)

    def _renew_in_pause(self) -> None:
        age_samples = self._heard_samples - self.stretch.origin_samples
        if self._blank.is_stuck:
            self._hear_again()
        elif age_samples >= RENEWED_AFTER_SAMPLES and not self._blank.has_speech and not self._transcript.is_open:
            self._begin_stretch(self._settled_samples)

    def _answer_commits(self) -> None:
        while self._commits_samples and self._commits_samples[0] <= self.stretch.origin_samples:
            self._outbox.append(Committed(self._commits_samples.popleft()))

    def _end_if_drained(self) -> None:
        if not self._finishing or self._ends_samples or not self._turns.is_finished or self._is_over:
            return
        self._is_over = True
        self._end_turns(self._audio.end_samples + 1, 0.0, by_word=True)
        self._outbox.append(Finished())

    # Turns

    def _end_turns(self, frame_samples: int, model_ms: float, *, by_word: bool = False) -> None:
        """The model has passed a frame, in which a word has ended or it has written nothing."""
        while True:
            is_settled = self._transcript.is_open and self._transcript.is_quiet(SETTLED_FRAMES)
            closed = self._turns.passed(frame_samples, by_word=by_word, is_settled=is_settled)
            if closed is None:
                return
            self._close(self._heard_samples, self._settled_samples, model_ms)
            if self._options.turns and not self._turns.has_text:
                speech = closed.speech_start_samples, closed.speech_end_samples
                self._put([self._transcript.without_words(speech, self._heard_samples, self._settled_samples)])
            self._outbox += self._turns.ended(closed)

    def _close(self, heard_samples: int, resume_samples: int, model_ms: float) -> None:
        self._put(self._transcript.close(heard_samples, resume_samples, model_ms))

    def _put(self, outputs: list[Output]) -> None:
        self._outbox += self._turns.without_speech(outputs)

    def _change_delay(self) -> None:
        """The row must be restarted for another delay; audio that has no text yet is processed again."""
        if self._wanted_delay_tokens != self.stretch.delay_tokens and not self._transcript.is_open:
            self._begin_stretch(self._settled_samples)

    @property
    def _end_samples(self) -> int | None:
        """The end of the stretch; None if it is not known."""
        return self._ends_samples[0] if self._ends_samples else None

    @property
    def _heard_samples(self) -> int:
        return self.stretch.heard_samples(self._limit_samples)

    @property
    def _limit_samples(self) -> int:
        """The end of the stretch, or of its audio so far."""
        return self._ends_samples[0] if self._ends_samples else self._audio.end_samples
