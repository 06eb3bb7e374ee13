"""The speakers of a session's words: labels new finals, and finds what changes in past ones. Pure."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from shared.events import Word
from shared.final_speakers import FinalSpeakers
from worker.engines import base
from worker.speakers.labelling import Labelling
from worker.speakers.outputs import Released
from worker.speakers.sizes import REMEMBERED_FINALS

STEP_SAMPLES: Final = 8_000
"""A final without word times is looked at every half second."""


@dataclass(frozen=True, slots=True)
class SpokenFinal:
    """A final with the speakers of its words."""

    words: tuple[Word, ...]
    speaker: str | None = None
    speaker_unsure: bool = False


@dataclass(slots=True)
class PastFinal:
    """A final whose labels may still change."""

    segment: int
    spans: tuple[tuple[int, int], ...]
    """Of its words, in samples."""
    has_words: bool
    labelling: Labelling | None = None
    """The newest one; None if the final has no label yet."""
    said: FinalSpeakers | None = None
    """What the client knows; None if the final has no label yet."""

    def revised(self, words: tuple[Word, ...], *, with_words: bool) -> SpokenFinal:
        """Other words of the final, with their speakers. Later labels are about these words."""
        if words:
            self.spans = _spans(words)
        self.has_words = bool(words) and with_words
        return self.spoken(words)

    def spoken(self, words: tuple[Word, ...]) -> SpokenFinal:
        """Its words with their speakers, as its client gets them."""
        if self.labelling is None:
            return SpokenFinal(words)
        self.said, names = _said(self, self.labelling)
        labelled = tuple(
            replace(word, speaker=name, speaker_unsure=name is None) for word, name in zip(words, names, strict=False)
        )
        return SpokenFinal(labelled, self.said.speaker, self.said.speaker is None)


@dataclass(slots=True)
class SessionSpeakers:
    """What is known of the speakers of one session, and the labels that its client has."""

    state: bytes = b""
    """Of its speakers, for a new owner; empty if it has none."""
    tracked_samples: int | None = None
    """Audio that the speaker thread has processed; None if it processes none of this session."""
    _past: dict[int, PastFinal] = field(default_factory=dict)
    _order: deque[int] = field(default_factory=deque)
    _ahead: dict[int, Labelling] = field(default_factory=dict)
    """Newer labels of finals that wait to be sent, for example for another channel."""

    def track_from(self, position_samples: int | None) -> None:
        """Audio is processed up to a position; None: no more of it is."""
        self.tracked_samples = position_samples

    def final(self, final: base.Final, released: Released | None, *, with_words: bool) -> SpokenFinal:
        """The final's words with their speakers. `released`: None if the session is not diarized."""
        if released is None:
            return SpokenFinal(final.words)
        self.state = released.state or self.state
        labelling = self._ahead.pop(final.segment, released.labelling)
        spans = _spans(final.words)
        if not spans:
            steps = range(final.start_samples, max(final.start_samples + 1, final.end_samples), STEP_SAMPLES)
            spans = tuple((at, min(at + STEP_SAMPLES, final.end_samples)) for at in steps)
        past = PastFinal(final.segment, spans, bool(final.words) and with_words)
        self._remember(past)
        if labelling is None or not final.text:
            return SpokenFinal(final.words)
        past.labelling = labelling
        return past.spoken(final.words)

    def past(self, segment: int) -> PastFinal | None:
        """A past final; None if the session was not diarized then, or if the final is not remembered any more."""
        return self._past.get(segment)

    def changed(self, labellings: Mapping[int, Labelling]) -> list[FinalSpeakers]:
        """What is new for the client in labels of past finals."""
        found = []
        for segment, labelling in sorted(labellings.items()):
            past = self._past.get(segment)
            if past is None:
                if not self._order or segment > self._order[-1]:
                    self._ahead[segment] = labelling
                continue
            past.labelling = labelling
            said, _ = _said(past, labelling)
            if said != past.said:
                past.said = said
                found.append(said)
        return found

    def _remember(self, past: PastFinal) -> None:
        self._past[past.segment] = past
        self._order.append(past.segment)
        if len(self._order) > REMEMBERED_FINALS + 1:
            self._past.pop(self._order.popleft(), None)


def _spans(words: tuple[Word, ...]) -> tuple[tuple[int, int], ...]:
    return tuple((word.start_samples, word.end_samples) for word in words)


def _said(past: PastFinal, labelling: Labelling) -> tuple[FinalSpeakers, list[str | None]]:
    """The labels of a final, and of each of its spans. The final's own is that of more than half of its speech."""
    names = [labelling.between(start, end) for start, end in past.spans]
    shares: dict[str, int] = {}
    for name, (start, end) in zip(names, past.spans, strict=True):
        if name is not None:
            shares[name] = shares.get(name, 0) + max(1, end - start)
    total = sum(max(1, end - start) for start, end in past.spans)
    best = max(shares, key=lambda name: shares[name], default=None)
    speaker = best if best is not None and 2 * shares[best] > total else None
    return FinalSpeakers(past.segment, speaker, tuple(names) if past.has_words else ()), names
