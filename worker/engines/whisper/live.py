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

from shared.events import SAMPLE_RATE_HZ
from shared.session_options import CommitDelay, SessionOptions
from worker.engines.base import History, Partial
from worker.engines.speech.audio_buffer import AudioBuffer
from worker.engines.speech.segment_queue import Kind
from worker.engines.speech.segmenter import Closed, Opened, SegmenterSettings
from worker.engines.whisper.guards import MIN_VOICED_WINDOWS
from worker.engines.whisper.hallucinations import with_end, without_echo
from worker.engines.whisper.jobs import MAX_NEW_TOKENS, TOKENS_PER_S, Heard, Job
from worker.engines.whisper.languages import Probabilities, SpokenLanguage
from worker.engines.whisper.recalling import recalled_words, spelled
from worker.engines.whisper.repetitions import goes_on_repeating, recounted
from worker.engines.whisper.session import SAMPLES_PER_MS, Pass, Place, Session, wire_words
from worker.engines.whisper.settings import LiveSettings
from worker.engines.whisper.spans import Span
from worker.engines.whisper.transcript import NEVER, Transcript, joined
from worker.engines.whisper.window import RollingWindow
from worker.engines.whisper.words import HeardWord
from worker.turns.judge import TurnJudge

SPARE_PARTIAL_TOKENS = 6
"""A pass may find words that the previous one missed at its edge."""
VAD_STEP_WINDOWS = 8
"""Windows that the VAD processes at a time: too few to close one segment and another."""
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
        self._segment_samples = self._spoken_samples = place.start_samples
        """Start of the open segment, and the speech in it."""
        self._closed_segment_samples = place.start_samples
        """Start of the segment that is closed and has no final yet."""
        self._heard_samples = place.start_samples
        self._shown = ("", "")
        """The text of the last partial, and its settled part."""
        self._shown_settled = 0
        """The number of words in that part: the final begins with them."""
        self._partial_tokens = 0
        self._alone = False
        """Whether the next pass is decoded without context."""
        self._doubted: tuple[int, Heard] | None = None
        """An answer whose repetitions are counted again without context, after where its audio ends."""
        self._closing: tuple[int, Heard, float] | None = None
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
        self._segment_samples, self._spoken_samples = opened.start_samples, opened.speech_samples
        self._window.open(opened.start_samples)
        self._heard_samples = max(self._heard_samples, opened.start_samples)

    def _close(self, closed: Closed) -> None:
        self._window.close(closed.end_samples)
        self._closed_segment_samples = self._segment_samples
        if self._closing and self._closing[0] == closed.end_samples:
            _, heard, model_ms = self._closing
            if not self._decodes_rest(heard, closed):
                self._finish(closed, heard, model_ms)
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
            self._transcript.context += recalled_words(history.words, history.start_samples, tokens)
        if history.committed:
            settled = recalled_words(spelled(history), history.committed[0].start_samples, tokens)
            self._transcript.settled += settled
            self._transcript.context += settled
            self._shown = (history.committed_text, history.committed_text)
            self._shown_settled = len(settled)
            self._heard_samples = settled[-1].end_samples
        self._cut_window(max(checkpoint, self._heard_samples))

    # Language

    def undetected(self) -> list[Span]:
        """The open segment, repeatedly until its language is settled; a short one when it ends."""
        if self._segment_options.language:
            return []
        closed = self._queue.unanswered
        if closed is None and not self._window.is_open:
            return []
        start = self._closed_segment_samples if closed else self._segment_samples
        end = closed.end_samples if closed else self.endpointing.segmenter.position_samples
        speech_s = (end - start) / SAMPLE_RATE_HZ
        ends = closed is not None or (self.endpointing.segmenter.quiet_end_samples and not self._language.current)
        return [Span(start, end)] if self._language.is_due(speech_s, ends=bool(ends)) else []

    def take_detected(self, span: Span, probabilities: Probabilities) -> None:
        before = self._language.current
        self._language.hear(probabilities, span.length_samples / SAMPLE_RATE_HZ)
        if before not in (None, self._language.current):  # words of another language are not used as context
            self._transcript.context.clear()
            self._cut_window(self.endpointing.segmenter.position_samples)

    # Decoding

    def due_passes(self, interval_ms: float) -> list[Pass]:
        return [found] if (found := self._due(interval_ms)) else []

    def _due(self, interval_ms: float) -> Pass | None:
        if closed := self._queue.unanswered:
            return self._pass(Kind.FINAL, closed.end_samples)
        if not self._window.is_open:
            return None
        found = self._queue.open_pass(
            from_samples=max(self._segment_samples, self._since_samples()),
            heard_samples=self._heard_samples,
            new_samples=self._wanted_samples(interval_ms),
        )
        if found is None:
            return None
        kind, end = found
        heard_all = kind is Kind.CLOSING and self._closing is not None and self._closing[0] == end
        return None if heard_all else self._pass(kind, end)

    def _wanted_samples(self, interval_ms: float) -> float:
        """New audio that the next partial pass needs."""
        if self._alone or self._is_full():
            return 0
        return interval_ms * SAMPLES_PER_MS if self.is_live else inf

    def _pass(self, kind: Kind, end_samples: int) -> Pass | None:
        start = max(self._since_samples(), self._unsaid_samples()) if self._alone else 0
        spans = self._window.until(end_samples, start)
        return Pass(self, kind, spans) if spans.spans else None

    def job(self, wanted: Pass) -> Job:
        options = self._segment_options
        closing = wanted.kind is not Kind.PARTIAL
        return Job(
            wanted.spans.pcm(self.endpointing.audio),
            language=options.language or self._language.current or "",
            prompt=options.prompt,
            forced=() if self._alone else self._transcript.forced_tokens,
            draft=() if self._alone or closing else self._transcript.draft_tokens,
            closing=closing,
            is_live=self.is_live,
            lead_samples=self._lead_samples(wanted.spans.start_samples, self._first_spoken_samples(wanted)),
            beam_below=self._settings.beam_below if closing else -inf,
            cap_tokens=MAX_NEW_TOKENS if closing else self._cap_tokens(wanted.end_samples),
            translate=self._is_translated(),
            keyterms=options.keyterms or (),
        )

    def _first_spoken_samples(self, wanted: Pass) -> int:
        """Where speech begins in a window; a window with context begins with speech that was decoded before."""
        if self._transcript.context:
            return wanted.end_samples
        closed = self._queue.unanswered
        return closed.speech_start_samples if closed else self._spoken_samples

    def take_heard(self, done: Pass, heard: Heard, model_ms: float) -> None:
        heard = replace(heard, words=self._believed(done, heard))
        doubted, self._doubted = self._doubted, None
        if doubted and doubted[0] == done.end_samples and done.kind is not Kind.PARTIAL:
            heard, self._alone = replace(doubted[1], words=recounted(doubted[1].words, heard.words)), False
        elif not self._alone and self._retries_alone(done, heard):
            return
        was_alone, self._alone = self._alone, False
        if was_alone:  # the answer does not contain the mark before it
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
            self._closing = (done.end_samples, heard, model_ms)
        if self._is_noise(heard, MIN_VOICED_WINDOWS):
            return
        delay = self._segment_options.commit_delay or CommitDelay.BALANCED
        rule = self._settings.rules[delay] if self._may_settle() else NEVER
        if done.kind is Kind.CLOSING:
            self._transcript.hear_end(heard.words, heard.lead, heard.lead_tokens, done.end_samples)
        else:
            self._transcript.hear(heard.words, heard.lead, heard.lead_tokens, done.end_samples, rule)
            self._end_long_segment(heard.language, model_ms)
        self._show(done, model_ms)
        if done.kind is Kind.PARTIAL:
            self._trim()

    def _believed(self, done: Pass, heard: Heard) -> tuple[HeardWord, ...]:
        placed = tuple(done.spans.placed(heard.words))
        words = self._voiced(placed, self._since_samples(), done.end_samples, heard.language)
        context = self._transcript.context
        goes_on = bool(context) and done.spans.start_samples <= context[-1].end_samples
        return without_echo(words, context) if self._alone and goes_on else words

    def _may_settle(self) -> bool:
        """Whether words can be settled before their segment ends."""
        in_doubt = self._segment_options.language is None and self._language.wants_more
        return not self._is_translated() and not in_doubt

    def _retries_alone(self, done: Pass, heard: Heard) -> bool:
        """Whether the same is decoded again without context, since the context may have caused the answer."""
        is_whole = done.kind is not Kind.PARTIAL and not self._transcript.settled
        if not heard.words:
            self._alone = self._is_deaf(done)
        elif is_whole and goes_on_repeating(heard.words, self._transcript.context):
            self._alone, self._doubted = True, (done.end_samples, heard)
        return self._alone

    def _is_deaf(self, done: Pass) -> bool:
        """Whether the decoder finds no words in much speech: forced words can end its text."""
        is_empty = done.kind is not Kind.PARTIAL and not self._transcript.settled
        least_s = self._settings.retry_if_empty_s if is_empty else self._settings.retry_after_s
        voiced_s = self._voice.seconds(self._since_samples(), done.end_samples)
        return bool(self._transcript.context) and voiced_s >= least_s

    def _decodes_rest(self, heard: Heard, closed: Closed) -> bool:
        """If the decoder has stopped before the end of a segment, settle what it has said: the rest is next."""
        words, since = with_end(heard.words, self._voice), self._since_samples()
        if not words or words[-1].end_samples <= since or self._is_translated():
            return False
        voiced_s = self._voice.seconds(words[-1].end_samples, closed.end_samples)
        if voiced_s < self._settings.retry_after_s or self._is_noise(heard, closed.voiced_windows):
            return False
        self._transcript.settle(words, heard.lead, heard.lead_tokens)
        self._alone = True
        return True

    def _finish(self, closed: Closed, heard: Heard, model_ms: float) -> None:
        """The final of a closed segment."""
        noise = self._is_noise(heard, closed.voiced_windows)
        said_before = bool(self._shown[0])
        words = self._transcript.close(() if noise else heard.words, heard.lead, heard.lead_tokens)
        span = Span(self._closed_segment_samples, closed.end_samples)
        spoken = Span(max(span.start_samples, closed.speech_start_samples), closed.speech_end_samples)
        wanted = bool(words) or said_before or self._options.turns
        self._queue.answer(closed, *([self._final(words, span, spoken, heard.language, model_ms)] if wanted else []))
        if wanted:
            self._segment += 1
        if self._is_translated() or self._has_new_terms():
            self._transcript.context.clear()
        self._cut_window(self.endpointing.segmenter.position_samples)
        if not self._transcript.context:
            self._window.begin_at(closed.end_samples)
        self._closing = None
        self._language.end_stretch()
        self._shown, self._shown_settled, self._partial_tokens = ("", ""), 0, 0
        self._segment_options = self._options

    def _show(self, done: Pass, model_ms: float) -> None:
        if not self.is_live:
            return
        text = self._transcript.shown_text
        shown = (text, self._transcript.settled_text)
        if text and shown != self._shown:
            self._shown = shown
            settled = self._transcript.settled_words
            self._shown_settled = len(settled)
            place = self._segment, text, self._segment_samples, done.end_samples, model_ms
            spoken = Span(self._spoken_samples, done.end_samples)
            self._queue.put(Partial(*place, joined(settled), wire_words(settled, spoken)))

    def _end_long_segment(self, language: str, model_ms: float) -> None:
        """A final for the settled words of a segment that has become long, with all that were shown as settled."""
        settings, least = self._settings, max(self._shown_settled, 1)
        count = self._transcript.long_part(least, self._segment_samples, settings.sentence_s, settings.segment_s)
        if not count:
            return
        words = self._transcript.cut(count)
        span = Span(self._segment_samples, words[-1].end_samples)
        spoken = Span(self._spoken_samples, span.end_samples)
        self._queue.put(self._final(words, span, spoken, language, model_ms))
        self._segment += 1
        self._segment_samples = self._spoken_samples = span.end_samples
        self._shown, self._shown_settled = ("", ""), 0

    # The window

    def _trim(self) -> None:
        """Keep the window short."""
        end = self.endpointing.segmenter.position_samples
        if self._window.until(end).length_samples <= self._settings.window_s * SAMPLE_RATE_HZ:
            return
        self._cut_window(end)
        if self._window.until(end).length_samples <= self._settings.longest_window_s * SAMPLE_RATE_HZ:
            return
        if self._is_translated():
            for boundary in self._queue.cut():
                self._take_boundary(boundary)
        else:  # the decoder finds no words in all of this
            self._transcript.context.clear()
            self._window.begin_at(end - round(self._settings.context_s * SAMPLE_RATE_HZ))

    def _cut_window(self, end_samples: int) -> None:
        """Keep the last settled words, if they lie within `context_s`, and what follows them."""
        self._doubted = None  # its context changes
        context = self._transcript.context
        limit = round(self._settings.context_s * SAMPLE_RATE_HZ)
        count = self._window.words_within(context, limit, end_samples) if context else 0
        if context:
            start = context[-count].start_samples if count else context[-1].end_samples
        else:
            start = self._unsaid_samples()
        del context[: len(context) - count]
        self._window.begin_at(start)
        self._voice.forget_before(start)

    def _unsaid_samples(self) -> int:
        """Where the first segment without a final starts, or could start."""
        if self._queue.unanswered:
            return self._closed_segment_samples
        return self._segment_samples if self._window.is_open else self.endpointing.segmenter.needed_from_samples

    def _since_samples(self) -> int:
        """Words that are not settled yet begin after this."""
        if self._transcript.context:
            return self._transcript.context[-1].end_samples
        start = self._window.start_samples
        return self._segment_samples if start is None else start

    def _is_full(self) -> bool:
        """Whether the waiting audio must be decoded before more is heard."""
        segmenter = self.endpointing.segmenter
        reached = segmenter.position_samples if segmenter.quiet_end_samples is None else segmenter.quiet_end_samples
        waiting = reached - self._heard_samples
        return waiting >= self._settings.window_s / 2 * SAMPLE_RATE_HZ

    def _cap_tokens(self, end_samples: int) -> int:
        """The tokens of the last pass, plus those that the new audio can hold."""
        new_s = (end_samples - self._heard_samples) / SAMPLE_RATE_HZ
        return self._partial_tokens + SPARE_PARTIAL_TOKENS + round(TOKENS_PER_S * new_s)

    @property
    def checkpoint_samples(self) -> int:
        needed = self.endpointing.segmenter.needed_from_samples
        if self._queue.unanswered:
            return min(needed, self._closed_segment_samples)
        return min(self._segment_samples, self.endpointing.audio.end_samples) if self._window.is_open else needed

    @property
    def _needed_from_samples(self) -> int:
        start = self._window.start_samples
        return self.endpointing.segmenter.needed_from_samples if start is None else start

    @property
    def answered_samples(self) -> int:
        return self._queue.answered_samples(self._heard_samples, waits_for_more=False)

    def _forget_context(self) -> None:
        self._transcript.context.clear()
        self._cut_window(self.endpointing.segmenter.position_samples)

    def _forget_language(self) -> None:
        self._language = SpokenLanguage(self._options.languages or ())
