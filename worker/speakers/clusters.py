"""The speakers of a session: one mean embedding for each, and the decision who a new embedding belongs to. Pure.

Similarity is the product of means of unit vectors, and not the cosine of the means: its expected value does not depend
on how many windows each mean has, so one set of thresholds is right for short and long turns.
"""

import base64
from dataclasses import dataclass, field
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

MAX_WEIGHT: Final = 100.0
"""A speaker's mean moves with the speech of about the last 40 s, so that it adapts to a new position in the room."""
KNOWN_MARGIN: Final = 0.04
"""So much more similar must speech be to a known speaker: a wrong name is worse than one more letter."""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Similarities of a model. Those of GE2E are measured, see docs/features.md."""

    group: float
    """Windows of one final are joined down to this similarity."""
    new: float
    """Below it, long speech belongs to a new speaker."""
    same: float
    """From here on, speech certainly belongs to the speaker, and makes its mean more exact."""
    merged: float
    """Two speakers whose means are this similar are one."""
    margin: float = 0.03
    """The second best speaker must be less similar by this."""

    @classmethod
    def around(cls, similarity: float) -> Self:
        """All of them, from the similarity below which speakers differ."""
        return cls(group=similarity - 0.06, new=similarity, same=similarity + 0.02, merged=similarity + 0.06)


GE2E: Final = Thresholds.around(0.64)
GE2E_NARROW: Final = Thresholds.around(0.70)
"""For telephone lines, through which voices are more alike."""
OTHER: Final = Thresholds.around(0.45)
"""For other models, unless `speakers.similarity` is set. WeSpeaker's and ReDimNet's give one speaker about 0.6, and two
about 0.1."""


@dataclass(slots=True, eq=False)
class Speaker:
    label: str
    total: Floats
    """Sum of unit vectors."""
    weight: float
    """How many."""
    is_known: bool = False
    """Whether it was named before the session."""
    since_segment: int = 0

    def similarity(self, mean: Floats) -> float:
        """Of speech to the speaker; less for a known one."""
        return float(mean @ self.mean) - (KNOWN_MARGIN if self.is_known else 0.0)

    @property
    def mean(self) -> Floats:
        return self.total / np.float32(self.weight)

    def add(self, mean: Floats, weight: float) -> None:
        self.total = self.total + mean * np.float32(weight)
        self.weight += weight
        if self.weight > MAX_WEIGHT:
            self.total = self.total * np.float32(MAX_WEIGHT / self.weight)
            self.weight = MAX_WEIGHT


@dataclass(slots=True)
class Speakers:
    limit: int
    thresholds: Thresholds
    prefix: str = ""
    """Of the labels of new speakers."""
    found: list[Speaker] = field(default_factory=list)
    named: int = 0
    """Letters that were given so far; none is given twice."""

    def name(self, label: str, mean: Floats, weight: float) -> None:
        """Add a speaker that is known before the session."""
        self.found.append(Speaker(label, mean * np.float32(weight), weight, is_known=True))

    def best(self, mean: Floats) -> tuple[Speaker | None, float, float]:
        """The most similar speaker, and the similarities of it and of the second one."""
        if not self.found:
            return None, -1.0, -1.0
        scores = np.array([one.similarity(mean) for one in self.found])
        order = np.argsort(-scores)
        second = float(scores[order[1]]) if len(order) > 1 else -1.0
        return self.found[order[0]], float(scores[order[0]]), second

    def assign(self, mean: Floats, weight: float, *, founds: bool, segment: int) -> Speaker | None:
        """Who spoke it; None if that is not certain. `founds`: the speech is long enough for a new speaker."""
        limits = self.thresholds
        speaker, score, second = self.best(mean)
        if speaker is not None and score >= limits.same and score - second >= limits.margin:
            speaker.add(mean, weight)
            return speaker
        if founds and score < limits.new and len(self.found) < self.limit:
            return self._new(mean, weight, segment)
        is_clear = score - second >= limits.margin
        if speaker is not None and is_clear and (score >= limits.new or len(self.found) >= self.limit):
            return speaker
        return None

    def certain(self, vector: Floats) -> Speaker | None:
        """The speaker of a single window, if no other is nearly as similar."""
        speaker, score, second = self.best(vector)
        is_certain = score >= self.thresholds.new and score - second >= 2 * self.thresholds.margin
        return speaker if is_certain else None

    def confirm(self, speaker: Speaker, mean: Floats, weight: float) -> Speaker | None:
        """The speaker of a group that began with windows of it. None if the whole group is not similar enough."""
        score = speaker.similarity(mean)
        if score < self.thresholds.group:
            return None
        if score >= self.thresholds.same:
            speaker.add(mean, weight)
        return speaker

    def merged(self, first_segment: int) -> dict[str, str]:
        """Join speakers that are one: former label → label. Only those that were found from a segment on."""
        renamed: dict[str, str] = {}
        for younger in list(reversed(self.found)):
            if younger.is_known or younger.since_segment < first_segment:
                continue
            others = [one for one in self.found if one is not younger]
            scores = [float(younger.mean @ one.mean) for one in others]
            if scores and max(scores) >= self.thresholds.merged:
                older = others[int(np.argmax(scores))]
                if older.since_segment > younger.since_segment:
                    continue
                older.add(younger.mean, younger.weight)
                self.found.remove(younger)
                renamed[younger.label] = older.label
        return renamed

    def _new(self, mean: Floats, weight: float, segment: int) -> Speaker:
        taken = {one.label for one in self.found}
        while (label := self.prefix + _letter(self.named)) in taken:
            self.named += 1
        self.named += 1
        speaker = Speaker(label, mean * np.float32(weight), weight, since_segment=segment)
        self.found.append(speaker)
        return speaker

    def to_wire(self) -> dict[str, Any]:
        """The state for a new owner of the session, for JSON."""
        return {
            "named": self.named,
            "speakers": [
                [one.label, text_of(one.mean), round(one.weight, 2), one.is_known, one.since_segment]
                for one in self.found
            ],
        }

    def restore(self, wire: dict[str, Any]) -> None:
        self.named = wire["named"]
        for label, mean, weight, is_known, since in wire["speakers"]:
            self.found.append(Speaker(label, vector_of(mean) * np.float32(weight), weight, is_known, since))


def text_of(vector: Floats) -> str:
    """Base64 of float16, little-endian."""
    return base64.b64encode(vector.astype("<f2").tobytes()).decode()


def vector_of(text: str) -> Floats:
    return np.frombuffer(base64.b64decode(text), "<f2").astype(np.float32)


def _letter(number: int) -> str:
    """A to Z, then AA, AB, …"""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    return letters[number] if number < len(letters) else _letter(number // 26 - 1) + letters[number % 26]
