"""The speakers of a session's words: labels new finals, and finds what changes in past ones. Pure."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from shared.events import FinalSpeakers, Word
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
class _Past:
    spans: tuple[tuple[int, int], ...]
    """Of its words, in samples."""
    has_words: bool
    said: FinalSpeakers | None
    """What the client knows; None if the final has no label yet."""


@dataclass(slots=True)
class SessionSpeakers:
    """What is known of the speakers of one session, and the labels that its client has."""

    state: bytes = b""
    """Of its speakers, for a new owner; empty if it has none."""
    stored: bytes = b""
    """The state that Redis has."""
    tracked_samples: int | None = None
    """Audio that the speaker thread has processed; None if it processes none of this session."""
    _past: dict[int, _Past] = field(default_factory=dict)
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
        spans = tuple((word.start_samples, word.end_samples) for word in final.words)
        if not spans:
            steps = range(final.start_samples, max(final.start_samples + 1, final.end_samples), STEP_SAMPLES)
            spans = tuple((at, min(at + STEP_SAMPLES, final.end_samples)) for at in steps)
        past = _Past(spans, bool(final.words) and with_words, None)
        self._remember(final.segment, past)
        if labelling is None or not final.text:
            return SpokenFinal(final.words)
        past.said, names = _said(final.segment, past, labelling)
        if not final.words:
            return SpokenFinal((), past.said.speaker, past.said.speaker is None)
        words = tuple(
            replace(word, speaker=name, speaker_unsure=name is None)
            for word, name in zip(final.words, names, strict=True)
        )
        return SpokenFinal(words, past.said.speaker, past.said.speaker is None)

    def changed(self, labellings: Mapping[int, Labelling]) -> list[FinalSpeakers]:
        """What is new for the client in labels of past finals."""
        found = []
        for segment, labelling in sorted(labellings.items()):
            past = self._past.get(segment)
            if past is None:
                if not self._order or segment > self._order[-1]:
                    self._ahead[segment] = labelling
                continue
            said, _ = _said(segment, past, labelling)
            if said != past.said:
                past.said = said
                found.append(said)
        return found

    def _remember(self, segment: int, past: _Past) -> None:
        self._past[segment] = past
        self._order.append(segment)
        if len(self._order) > REMEMBERED_FINALS + 1:
            self._past.pop(self._order.popleft(), None)


def _said(segment: int, past: _Past, labelling: Labelling) -> tuple[FinalSpeakers, list[str | None]]:
    """The labels of a final, and of each of its spans. The final's own is that of more than half of its speech."""
    names = [labelling.between(start, end) for start, end in past.spans]
    shares: dict[str, int] = {}
    for name, (start, end) in zip(names, past.spans, strict=True):
        if name is not None:
            shares[name] = shares.get(name, 0) + max(1, end - start)
    total = sum(max(1, end - start) for start, end in past.spans)
    best = max(shares, key=lambda name: shares[name], default=None)
    speaker = best if best is not None and 2 * shares[best] > total else None
    return FinalSpeakers(segment, speaker, tuple(names) if past.has_words else ()), names
