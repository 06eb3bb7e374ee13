"""A live session: one window that moves along with the speech. Independent of the model.

The window holds the current speech, preceded by a few seconds of earlier speech, without the pauses between. The words
of its settled part are forced in the decoder's answer, so that it decodes the rest in their context and never changes
them.
"""

from collections.abc import Callable
from dataclasses import replace
from math import inf

import numpy as np
from numpy.typing import NDArray

from shared.events import SAMPLE_RATE_HZ, SAMPLES_PER_MS
from shared.session_options import CommitDelay, SessionOptions
from worker.engines.base import History, Partial
from worker.engines.speech.audio_buffer import AudioBuffer
from worker.engines.speech.boundaries import MIN_VOICED_WINDOWS, Closed, Opened, SegmenterSettings
from worker.engines.speech.segment_queue import MIN_PASS_SAMPLES, Kind
from worker.engines.whisper.hallucinations import without_echo
from worker.engines.whisper.jobs import MAX_NEW_TOKENS, TOKENS_PER_S, Heard, Job
from worker.engines.whisper.languages import Probabilities, SpokenLanguage
from worker.engines.whisper.recalling import recalled_words, spelled
from worker.engines.whisper.retry import Retry
from worker.engines.whisper.session import Answer, Pass, Place, Session, wire_words
from worker.engines.whisper.settings import LiveSettings
from worker.engines.whisper.spans import Span
from worker.engines.whisper.transcript import NEVER, Rule, Transcript, joined
from worker.engines.whisper.window import RollingWindow
from worker.engines.whisper.words import HeardWord
from worker.turns.judge import TurnJudge

SPARE_PARTIAL_TOKENS = 6
"""A pass may find words that the previous one missed at its edge."""
VAD_STEP_WINDOWS = 8
"""Windows that the VAD processes at a time."""
NOTHING = Heard((), "", (), "", 0.0, 0.0, 0)


class LiveSession(Session):
    """See `Session`."""

    def __init__(
        self,
        options: SessionOptions,
        languages: tuple[str, ...],
        place: Place,
        segmenter: SegmenterSettings,
        settings: LiveSettings,
        *,
        judge: TurnJudge | None = None,
    ) -> None:
        super().__init__(options, languages, place, segmenter, judge=judge)
        self._settings = settings
        self._transcript = Transcript()
        self._window = RollingWindow(place.start_samples)
        self._heard_samples = place.start_samples
        """Audio before this position has been decoded."""
        self._partial_tokens = 0
        """The tokens of the last answer."""
        self._retry = Retry(settings)
        self._closing: Answer | None = None
        """The final one if the open segment ends where it ends."""
        self._follows_part = False
        """Whether the open segment is the rest of a longer one."""
        self._language = SpokenLanguage(options.languages or ())

    # Endpointing

    def unheard(self, limit_windows: int) -> NDArray[np.float32] | None:
        """At most what the window can hold: a burst of audio is decoded piece by piece, as if it came in real time."""
        if self._queue.unanswered or not self.endpointing.has_unheard():
            return None
        if self._window.is_open and self._is_full():
            return None
        return self.endpointing.unheard(min(limit_windows, VAD_STEP_WINDOWS))

    def _open(self, opened: Opened) -> None:
        self._window.open(opened.start_samples)
        self._heard_samples = max(self._heard_samples, opened.start_samples)

    def _close(self, closed: Closed) -> None:
        self._window.close(closed.end_samples)
        if closed is self._queue.unanswered:  # finals are in order
            self._end(closed)

    def _end(self, closed: Closed) -> None:
        """Answer a closed segment if all of it has been decoded."""
        if (closing := self._closing) and closing.end_samples == closed.end_samples:
            if not self._decodes_rest(closing.heard, closed):
                self._finish(closed, closing.heard, closing.model_ms)
        elif self._pass(Kind.FINAL, closed.end_samples) is None:  # the previous owner has sent all of it
            self._finish(closed, NOTHING, 0.0)

    def _commit(self) -> None:
        pass

    def recall(self, history: History, tokens: Callable[[str], tuple[int, ...]], /) -> None:
        """Restore the previous owner's text: its last words are the context, and its committed text is settled."""
        checkpoint = self.endpointing.segmenter.position_samples
        self.endpointing.audio = AudioBuffer(history.start_samples)
        if history.start_samples < checkpoint:
            self._window = RollingWindow(history.start_samples)
            self._window.open(history.start_samples)
            self._window.close(checkpoint)
            self._transcript.recall_context(recalled_words(history.words, history.start_samples, tokens))
        if history.committed:
            settled = recalled_words(spelled(history), history.committed[0].start_samples, tokens)
            self._transcript.recall(settled, history.committed_text)
            self._heard_samples = settled[-1].end_samples
        self._cut_window(max(checkpoint, self._heard_samples))

    # Language

    def undetected(self) -> list[Span]:
        """The open segment, repeatedly until its language is settled; a short one when it ends."""
        if self._segment_options.language or self._is_idle:
            return []
        closed, segmenter = self._queue.unanswered, self.endpointing.segmenter
        start = closed.start_samples if closed else segmenter.needed_from_samples
        end = closed.end_samples if closed else segmenter.position_samples
        speech_s = (end - start) / SAMPLE_RATE_HZ
        ends = closed is not None or (segmenter.quiet_end_samples and not self._language.current)
        return [Span(start, end)] if self._language.is_due(speech_s, ends=bool(ends)) else []

    def take_detected(self, span: Span, probabilities: Probabilities) -> None:
        before = self._language.current
        self._language.hear(probabilities, span.length_samples / SAMPLE_RATE_HZ)
        if before not in (None, self._language.current):  # words of another language are not used as context
            self._forget_context()

    # Decoding

    def due_passes(self, interval_ms: float) -> list[Pass]:
        return [found] if (found := self._due(interval_ms)) else []

    def _due(self, interval_ms: float) -> Pass | None:
        if closed := self._queue.unanswered:
            return self._pass(Kind.FINAL, closed.end_samples)
        if not self._window.is_open:
            return None
        found = self._queue.open_pass(
            from_samples=max(self.endpointing.segmenter.needed_from_samples, self._since_samples()),
            heard_samples=self._heard_samples,
            new_samples=self._wanted_samples(interval_ms),
        )
        if found is None:
            return None
        kind, end = found
        heard_all = kind is Kind.CLOSING and self._closing is not None and self._closing.end_samples == end
        return None if heard_all else self._pass(kind, end)

    def _wanted_samples(self, interval_ms: float) -> float:
        """New audio that the next partial pass needs."""
        if self._retry.is_due or self._is_full():
            return 0
        wanted = interval_ms * SAMPLES_PER_MS
        if self._is_longer(self._settings.window_s):  # only a partial pass shortens it
            return min(wanted, MIN_PASS_SAMPLES)
        return wanted if self.is_live else inf

    def _pass(self, kind: Kind, end_samples: int) -> Pass | None:
        start = max(self._since_samples(), self._unsaid_samples()) if self._retry.is_due else 0
        spans = self._window.until(end_samples, start)
        return Pass(self, kind, spans) if spans.spans else None

    def job(self, wanted: Pass) -> Job:
        options, closing = self._segment_options, wanted.kind is not Kind.PARTIAL
        return Job(
            wanted.spans.pcm(self.endpointing.audio),
            language=self._spoken_language,
            prompt=options.prompt,
            forced=() if self._retry.is_due else self._transcript.forced_tokens,
            draft=() if self._retry.is_due or closing else self._transcript.draft_tokens,
            closing=closing,
            is_live=self.is_live,
            lead_samples=0 if self._transcript.context else self._lead_before(wanted),
            beam_below=self._settings.beam_below if closing else -inf,
            cap_tokens=MAX_NEW_TOKENS if closing else self._cap_tokens(wanted.end_samples),
            translate=self._is_translated(),
            keyterms=options.keyterms or (),
        )

    def _lead_before(self, wanted: Pass) -> int:
        """Silence to put before a window without context."""
        part = self._queue.unanswered or self.endpointing.segmenter
        return self._lead_samples(wanted.spans.start_samples, part.speech_start_samples)

    def take_heard(self, done: Pass, heard: Heard, model_ms: float) -> None:
        answer = Answer(done, replace(heard, words=self._believed(done, heard)), model_ms)
        resolved = self._retry.resolved(answer)
        voiced_s = self._voice.seconds(self._since_samples(), done.end_samples)
        if not resolved and not self._retry.is_due and self._retry.wants(answer, self._transcript, voiced_s):
            return
        heard = resolved or answer.heard
        was_alone, self._retry.is_due = self._retry.is_due, False
        if was_alone or not self._transcript.context:  # the answer does not contain the mark before it
            mark, mark_tokens = self._transcript.open_mark
            heard = replace(heard, lead=mark, lead_tokens=mark_tokens)
        self._heard_samples = max(self._heard_samples, done.end_samples)
        self._partial_tokens = heard.token_count
        if done.kind is Kind.FINAL:
            closed = self._queue.unanswered
            assert closed, "a final was decoded for a segment that is not closed"
            if was_alone or not self._decodes_rest(heard, closed):
                self._finish(closed, heard, model_ms)
            return
        if done.kind is Kind.CLOSING:
            self._closing = Answer(done, heard, model_ms)
        if not self._is_noise(heard, MIN_VOICED_WINDOWS):
            self._write(done, heard, model_ms)
        if done.kind is Kind.PARTIAL:
            self._trim()

    def _write(self, done: Pass, heard: Heard, model_ms: float) -> None:
        """Settle and show words of the open segment."""
        may_end = done.kind is Kind.CLOSING
        if may_end and self._pause_ends_part(done, heard):
            self._closing = Answer(done, NOTHING, 0.0)  # if the segment ends here, too
            words = self._transcript.close(heard.words, heard.lead, heard.lead_tokens)
            self._end_part(words, done.end_samples, heard.language, model_ms)
            self._cut_window(self.endpointing.segmenter.position_samples)
            return
        self._transcript.hear(heard.words, heard.lead, heard.lead_tokens, done.end_samples, self._rule, may_end=may_end)
        start, settings = self.endpointing.segmenter.needed_from_samples, self._settings
        if not may_end and (count := self._transcript.long_part(start, settings.sentence_s, settings.segment_s)):
            words = self._transcript.cut(count)
            self._end_part(words, words[-1].end_samples, heard.language, model_ms)
        if self.is_live and self._transcript.publish():
            self._show(done, model_ms)

    def _pause_ends_part(self, done: Pass, heard: Heard) -> bool:
        """Whether the part of a long segment before a pause becomes final. Numbers are said with pauses in them."""
        length_s = (done.end_samples - self.endpointing.segmenter.needed_from_samples) / SAMPLE_RATE_HZ
        if self._rule is NEVER or self._segment_options.rewrites_phrases or length_s <= self._settings.pause_s:
            return False
        return bool(heard.words or self._transcript.settled) and not self._before_rest(heard, done.end_samples)

    def _before_rest(self, heard: Heard, end_samples: int) -> tuple[HeardWord, ...]:
        return self._retry.before_rest(heard.words, self._voice, self._since_samples(), end_samples)

    def _believed(self, done: Pass, heard: Heard) -> tuple[HeardWord, ...]:
        placed = tuple(done.spans.placed(heard.words))
        words = self._voiced(placed, self._since_samples(), done.end_samples, heard.language)
        context = self._transcript.context
        goes_on = bool(context) and done.spans.start_samples <= context[-1].end_samples
        return without_echo(words, context) if self._retry.is_due and goes_on else words

    @property
    def _rule(self) -> Rule:
        """When words are settled before their segment ends."""
        in_doubt = self._segment_options.language is None and self._language.wants_more
        delay = self._segment_options.commit_delay or CommitDelay.BALANCED
        return NEVER if in_doubt or self._is_translated() else self._settings.rules[delay]

    @property
    def _spoken_language(self) -> str:
        """Empty if it is not known."""
        return self._segment_options.language or self._language.current or ""

    def _decodes_rest(self, heard: Heard, closed: Closed) -> bool:
        """If the decoder has stopped before the end of a segment, settle what it has said: the rest is next."""
        words = self._before_rest(heard, closed.end_samples)
        if not words or self._is_translated() or self._is_no_speech(heard, closed):
            return False
        self._transcript.settle(words, heard.lead, heard.lead_tokens)
        self._retry.is_due = True
        return True

    def _is_no_speech(self, heard: Heard, closed: Closed) -> bool:
        """Whether the words of a closed segment are more likely made up than heard."""
        least = MIN_VOICED_WINDOWS if self._follows_part else 0  # what follows speech at once is no cough
        return self._is_noise(heard, max(closed.voiced_windows, least))

    def _finish(self, closed: Closed, heard: Heard, model_ms: float) -> None:
        """The final of a closed segment."""
        said_before = self._transcript.is_published
        believed = () if self._is_no_speech(heard, closed) else heard.words
        words = self._transcript.close(believed, heard.lead, heard.lead_tokens)
        span = Span(closed.start_samples, closed.end_samples)
        spoken = Span(closed.speech_start_samples, closed.speech_end_samples)
        language = heard.language or self._spoken_language
        wanted = bool(words) or said_before or self._options.turns
        self._queue.answer(closed, *([self._final(words, span, spoken, language, model_ms)] if wanted else []))
        if wanted:
            self._segment += 1
        if self._is_translated():
            self._transcript.keep_context(0)
        self._adopt_options()
        self._cut_window(self.endpointing.segmenter.position_samples)
        if not self._transcript.context:
            self._window.begin_at(closed.end_samples)
        self._closing, self._follows_part = None, False
        self._language.end_segment()
        self._partial_tokens = 0
        if following := self._queue.unanswered:
            self._end(following)

    def _show(self, done: Pass, model_ms: float) -> None:
        settled, segmenter = self._transcript.settled_words, self.endpointing.segmenter
        text, start = self._transcript.shown_text, segmenter.needed_from_samples
        words = wire_words(settled, Span(segmenter.speech_start_samples, done.end_samples))
        self._queue.put(Partial(self._segment, text, start, done.end_samples, model_ms, joined(settled), words))

    def _end_part(self, words: tuple[HeardWord, ...], end_samples: int, language: str, model_ms: float) -> None:
        """A final for the first words of the open segment, which continues after them."""
        segmenter = self.endpointing.segmenter
        start, spoken = segmenter.needed_from_samples, segmenter.speech_start_samples
        segmenter.begin_at(end_samples)
        end = segmenter.needed_from_samples
        self._queue.put(self._final(words, Span(start, end), Span(spoken, end), language, model_ms))
        self._segment += 1
        self._follows_part = True

    # The window

    def _trim(self) -> None:
        """Keep the window short."""
        end = self.endpointing.segmenter.position_samples
        if self._is_longer(self._settings.window_s):
            self._cut_window(end)
        if not self._is_longer(self._settings.longest_window_s):
            return
        if self._is_translated():
            for boundary in self._queue.cut():
                self._take_boundary(boundary)
        else:
            self._skip_to(end - round(self._settings.context_s * SAMPLE_RATE_HZ))

    def _skip_to(self, start_samples: int) -> None:
        """Leave out audio of the open segment in which the decoder finds no words."""
        if self._transcript.settled:
            words = self._transcript.cut(len(self._transcript.settled))
            self._end_part(words, words[-1].end_samples, self._spoken_language, 0.0)
        self._transcript.keep_context(0)
        self.endpointing.segmenter.begin_at(start_samples)
        self._window.begin_at(start_samples)
        self._follows_part = False

    def _is_longer(self, length_s: float) -> bool:
        window = self._window.until(self.endpointing.segmenter.position_samples)
        return window.length_samples > length_s * SAMPLE_RATE_HZ

    def _cut_window(self, end_samples: int) -> None:
        """Keep the last settled words, if they lie within `context_s`, and what follows them."""
        self._retry.forget_doubt()
        context = self._transcript.context
        limit = round(self._settings.context_s * SAMPLE_RATE_HZ)
        count = self._window.words_within(context, limit, end_samples) if context else 0
        if context:
            start = context[-count].start_samples if count else context[-1].end_samples
        else:
            start = self._unsaid_samples()
        self._transcript.keep_context(count)
        self._window.begin_at(start)

    def _unsaid_samples(self) -> int:
        """Where text that is not settled starts, or could start."""
        settled = self._transcript.settled
        return max(self.checkpoint_samples, settled[-1].end_samples) if settled else self.checkpoint_samples

    def _since_samples(self) -> int:
        """Words that are not settled yet begin after this."""
        context = self._transcript.context
        return context[-1].end_samples if context else self._needed_from_samples

    def _is_full(self) -> bool:
        """Whether the waiting audio must be decoded before more is heard."""
        segmenter = self.endpointing.segmenter
        reached = segmenter.position_samples if segmenter.quiet_end_samples is None else segmenter.quiet_end_samples
        return reached - self._heard_samples >= self._settings.window_s / 2 * SAMPLE_RATE_HZ

    def _cap_tokens(self, end_samples: int) -> int:
        """The tokens of the last pass, plus those that the new audio can hold."""
        new_s = (end_samples - self._heard_samples) / SAMPLE_RATE_HZ
        return self._partial_tokens + SPARE_PARTIAL_TOKENS + round(TOKENS_PER_S * new_s)

    @property
    def _needed_from_samples(self) -> int:
        start = self._window.start_samples
        return self.endpointing.segmenter.needed_from_samples if start is None else start

    @property
    def answered_samples(self) -> int:
        return self._queue.answered_samples(self._heard_samples, waits_for_more=False)

    def forget(self) -> None:
        if self._is_idle:
            pause_samples = self.endpointing.segmenter.position_samples - self._since_samples()
            if pause_samples > self._settings.context_lifetime_s * SAMPLE_RATE_HZ:
                self._forget_context()
        super().forget()

    def _forget_context(self) -> None:
        self._transcript.keep_context(0)
        self._cut_window(self.endpointing.segmenter.position_samples)

    def _forget_language(self) -> None:
        self._language = SpokenLanguage(self._options.languages or ())
