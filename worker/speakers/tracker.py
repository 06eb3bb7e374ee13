"""The speakers of one session: takes its audio and its finals in order, and says who spoke. Belongs to one thread.

After a final has changed what is known of the speakers, the last finals are looked at again: speech that was unsure
before its speaker had said enough gets a label, and speakers that turn out to be one get the label of the first.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import orjson
from numpy.typing import NDArray

from worker.engines.speech.vad import SileroVad
from worker.speakers.bandwidth import Bandwidth
from worker.speakers.clusters import Speakers
from worker.speakers.encoders import Encoder
from worker.speakers.labelling import REACH_SAMPLES, Embedded, Labelling, parts, speakers_of
from worker.speakers.reports import Labelled
from worker.speakers.sizes import REMEMBERED_FINALS
from worker.speakers.windows import SpeechWindows, Window

UNSURE_FINALS: Final = 8
"""Finals whose unsure speech is compared again with the speakers."""
MAX_UNLABELLED: Final = 9_000
"""Windows that are kept for the next final: those of at least an hour, which no final exceeds."""
KNOWN_WEIGHT: Final = 20.0
"""A known voice counts like so many windows, so that a few seconds of other speech do not change it."""

Floats = NDArray[np.float32]


@dataclass(slots=True, eq=False)
class _Final:
    segment: int
    windows: list[Embedded]
    labelling: Labelling


@dataclass(slots=True)
class Tracker:
    encoder: Encoder
    windows: SpeechWindows
    speakers: Speakers
    _bandwidth: Bandwidth = field(default_factory=Bandwidth)
    _embedded: deque[Embedded] = field(default_factory=lambda: deque(maxlen=MAX_UNLABELLED))
    """Those of audio without a final."""
    _past: deque[_Final] = field(default_factory=lambda: deque(maxlen=REMEMBERED_FINALS))

    @classmethod
    def of(cls, encoder: Encoder, vad: SileroVad, *, limit: int, start_samples: int, prefix: str = "") -> "Tracker":
        return cls(encoder, SpeechWindows(vad, start_samples), Speakers(limit, encoder.thresholds, prefix))

    def restore(self, state: bytes) -> bool:
        """Continue from the state that a former owner has stored. False if its embeddings are of another model."""
        wire: dict[str, Any] = orjson.loads(state)
        if wire["model"] != self.encoder.name:
            return False
        self.speakers.restore(wire)
        return True

    @property
    def state(self) -> bytes:
        return orjson.dumps({"model": self.encoder.name, **self.speakers.to_wire()})

    def feed(self, pcm: Floats) -> list[Window]:
        """Take audio. The new windows are to be embedded, with those of other sessions, and given to `learn`."""
        return self.windows.feed(pcm)

    def learn(self, window: Window, vector: Floats) -> None:
        self._bandwidth.hear(window.pcm)
        self._embedded.append(Embedded(window.start_samples, window.end_samples, vector))

    def ends_before(self, end_samples: int) -> list[Window]:
        """The last window of speech that is still open at the end of a final."""
        return self.windows.end_stretch() if self.windows.is_open_before(end_samples) else []

    def label(self, segment: int, start_samples: int, end_samples: int) -> Labelled:
        """Who spoke in the final between two positions. All audio before its end must be embedded."""
        mine = self._windows_of(start_samples, end_samples)
        self.speakers.thresholds = self.encoder.narrow if self._bandwidth.is_narrow else self.encoder.thresholds
        labels: list[str | None] = []
        renamed: dict[str, str] = {}
        for part in parts(mine):
            labels += speakers_of(part, self.speakers, segment)
            renamed |= self.speakers.merged(self._past[0].segment if self._past else segment)
        labelling = Labelling(tuple((one.start_samples, one.end_samples) for one in mine), tuple(labels))
        before = self._past[-1].labelling if self._past else Labelling((), ())
        labelling = _after(before, labelling).renamed(renamed)
        changed = self._look_again(renamed)
        self._past.append(_Final(segment, mine, labelling))
        return Labelled(segment, labelling, changed, self.state)

    def _windows_of(self, start_samples: int, end_samples: int) -> list[Embedded]:
        """Remove and return the windows of a final. Those before it are of speech that has no final, or are noise."""
        found: list[Embedded] = []
        while self._embedded and (self._embedded[0].start_samples + self._embedded[0].end_samples) / 2 < end_samples:
            one = self._embedded.popleft()
            if one.end_samples > start_samples - REACH_SAMPLES:
                found.append(one)
        return found

    def _look_again(self, renamed: dict[str, str]) -> dict[int, Labelling]:
        changed: dict[int, Labelling] = {}
        recent = list(self._past)[-UNSURE_FINALS:]
        for final in self._past:
            labelling = final.labelling.renamed(renamed)
            if final in recent and None in labelling.labels:
                labelling = self._resolved(final, labelling)
            if labelling != final.labelling:
                final.labelling = changed[final.segment] = labelling
        return changed

    def _resolved(self, final: _Final, labelling: Labelling) -> Labelling:
        """Label unsure runs of windows that are now certainly similar to one speaker."""
        labels = list(labelling.labels)
        offset = len(labels) - len(final.windows)
        for run in _unsure_runs(labels, offset):
            mean = np.mean([final.windows[at - offset].vector for at in run], axis=0)
            speaker, score, second = self.speakers.best(mean)
            limits = self.speakers.thresholds
            if speaker is not None and score >= limits.same and score - second >= limits.margin:
                for at in run:
                    labels[at] = speaker.label
        return Labelling(labelling.spans, tuple(labels))


def _after(before: Labelling, labelling: Labelling) -> Labelling:
    """With the last windows of the final before, which also cover the first words."""
    return Labelling(before.spans[-2:] + labelling.spans, before.labels[-2:] + labelling.labels)


def _unsure_runs(labels: Sequence[str | None], first: int) -> list[list[int]]:
    runs: list[list[int]] = []
    for at in range(first, len(labels)):
        if labels[at] is not None:
            continue
        if runs and runs[-1][-1] == at - 1:
            runs[-1].append(at)
        else:
            runs.append([at])
    return runs
