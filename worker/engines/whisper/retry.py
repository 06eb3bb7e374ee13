"""Whether a live window is decoded a second time without the words before it. Pure.

They may have caused the answer: forced words can end the decoder's text, and let it say a repeated phrase once too
often.
"""

from collections.abc import Sequence
from dataclasses import replace

from worker.engines.speech.segment_queue import Kind
from worker.engines.whisper.hallucinations import with_end
from worker.engines.whisper.jobs import Heard
from worker.engines.whisper.repetitions import goes_on_repeating, recounted
from worker.engines.whisper.session import Answer
from worker.engines.whisper.settings import LiveSettings
from worker.engines.whisper.transcript import Transcript
from worker.engines.whisper.voice import Voice
from worker.engines.whisper.words import HeardWord


class Retry:
    """The second decode of one session."""

    def __init__(self, settings: LiveSettings) -> None:
        self._settings = settings
        self._doubted: Answer | None = None
        """One whose repetitions are counted again."""
        self.is_due = False
        """Whether the next pass is decoded without context."""

    def wants(self, answer: Answer, transcript: Transcript, voiced_s: float) -> bool:
        """Whether an answer must be decoded again. `voiced_s`: how much voice follows the context."""
        is_whole = answer.done.kind is not Kind.PARTIAL and not transcript.settled
        if not answer.heard.words:
            least_s = self._settings.retry_if_empty_s if is_whole else self._settings.retry_after_s
            self.is_due = bool(transcript.context) and voiced_s >= least_s
        elif is_whole and goes_on_repeating(answer.heard.words, transcript.context):
            self.is_due, self._doubted = True, answer
        return self.is_due

    def before_rest(
        self, words: Sequence[HeardWord], voice: Voice, since_samples: int, end_samples: int
    ) -> tuple[HeardWord, ...]:
        """The words, if the decoder has stopped so early that the voice after them must be decoded alone; else none."""
        said = with_end(words, voice)
        if not said or said[-1].end_samples <= since_samples:
            return ()
        return said if voice.seconds(said[-1].end_samples, end_samples) >= self._settings.retry_after_s else ()

    def resolved(self, answer: Answer) -> Heard | None:
        """What was doubted, with its repetitions as often as this answer says them; None if it is about other audio."""
        doubted, self._doubted = self._doubted, None
        if not doubted or doubted.end_samples != answer.end_samples or answer.done.kind is Kind.PARTIAL:
            return None
        self.is_due = False
        return replace(doubted.heard, words=recounted(doubted.heard.words, answer.heard.words))

    def forget_doubt(self) -> None:
        """The context of what was doubted changes."""
        self._doubted = None
