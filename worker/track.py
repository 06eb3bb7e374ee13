"""The text of one handle of a session: engine outputs go in, the fields of events come out.

A session has one track, or one for each channel if its channels are separate. Only state: no Redis, no model, no clock.
"""

from typing import Any

from shared.events import CommittedText
from shared.session_options import SessionOptions
from worker.claim import Opening
from worker.commitment import Commitment, with_final, with_partial
from worker.engines import base
from worker.speakers.finals import SessionSpeakers
from worker.speakers.outputs import Released
from worker.wording.session_wording import SessionWording


class Track:
    """Only its session changes it. The numbers of its segments are the engine's, and positions are in samples."""

    def __init__(
        self, opening: Opening, options: SessionOptions, speakers: bytes, *, channel: int = 0, label_prefix: str = ""
    ) -> None:
        """`speakers`: what a former owner knew of the voices; empty if nothing."""
        self.opening = opening
        self.channel = channel
        self.label_prefix = label_prefix
        """What the labels of its speakers begin with, so that those of two channels differ."""
        self.absorbed_samples = self.checkpoint_samples = opening.checkpoint_samples
        self.segment = opening.segment
        """The next number that the engine gives a segment."""
        self.committed = opening.committed
        """The committed text of the open segment."""
        self.speakers = SessionSpeakers(speakers)
        self.spoken_language: str | None = None
        """The language of its last final."""
        self.wording = SessionWording(options)
        self._has_words = options.words

    @property
    def handle(self) -> str:
        return self.opening.handle

    def configure(self, options: SessionOptions, at_samples: int) -> None:
        """The client has set options after this much audio."""
        self._has_words = options.words
        self.wording.configure(options, at_samples)

    def partial(self, output: base.Partial) -> dict[str, Any] | None:
        """The fields of the event for a partial; None if there is none."""
        kept = self._kept(output.segment)
        written = self.wording.partial(output, is_committed=bool(kept.text))
        if written is None:
            return None
        output, self.committed = with_partial(kept, written)
        words = output.committed_words if self._has_words else None
        return {
            "segment": output.segment,
            "text": output.text,
            "start_samples": output.start_samples,
            "end_samples": output.heard_samples,
            "committed": CommittedText(output.committed_text, words) if output.committed_text else None,
        }

    def final(self, output: base.Final, released: Released | None) -> tuple[dict[str, Any], list[base.Notice]]:
        """The fields of the event for a final, and notices about its wording. `released` has the speakers."""
        kept = self._kept(output.segment)
        written, notices = self.wording.final(output, is_committed=bool(kept.text))
        output = with_final(kept, written)
        self.segment = output.segment + 1
        self.committed = Commitment(self.segment)
        self.checkpoint_samples = max(self.checkpoint_samples, output.resume_samples)
        self.spoken_language = output.language or self.spoken_language
        spoken = self.speakers.final(output, released, with_words=self._has_words)
        return {
            "segment": output.segment,
            "text": output.text,
            "start_samples": output.start_samples,
            "end_samples": output.end_samples,
            "words": spoken.words if self._has_words else None,
            "language": output.language,
            "usage": output.usage,
            "scores": output.scores,
            "speaker": spoken.speaker,
            "speaker_unsure": spoken.speaker_unsure,
        }, notices

    def _kept(self, segment: int) -> Commitment:
        return self.committed if self.committed.segment == segment else Commitment(segment)
