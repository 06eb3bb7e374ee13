"""What a viewer of one stream sees, and its accuracy and latency. Knows no engine and no service.

Delays count from the true end of each correctly transcribed word. A word appears when it is first shown at its place in
its segment; it is stable from when it stays there; it is committed when the committed text reaches it.
"""

import difflib
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from shared.events import SAMPLE_RATE_HZ
from tests.bench.scoring import edits, normalised, plain_words
from worker.engines.base import Final, Finished, Output, Partial


@dataclass(frozen=True, slots=True)
class Script:
    """One stream: its audio, and its tokens with where each truly ends."""

    pcm: NDArray[np.float32]
    words: list[str]
    ends_samples: Sequence[int | None]
    """None if it is not known."""
    language: str = "en"


@dataclass(frozen=True, slots=True)
class Sight:
    """The text of a segment at one moment."""

    at_s: float
    text: str
    committed_text: str


@dataclass(slots=True)
class Screen:
    """All that a viewer has seen, by segment."""

    shown: dict[int, list[Sight]] = field(default_factory=dict)
    finals: dict[int, str] = field(default_factory=dict)
    finished_s: float = 0.0
    """When the last final arrived."""
    done: bool = False

    def take(self, now_s: float, output: Output) -> None:
        """One output of an engine."""
        if isinstance(output, Partial):
            self.see_partial(now_s, output.segment, output.text, output.committed_text)
        elif isinstance(output, Final):
            self.see_final(now_s, output.segment, output.text)
        self.done = self.done or isinstance(output, Finished)

    def see_partial(self, now_s: float, segment: int, text: str, committed_text: str = "") -> None:
        self.shown.setdefault(segment, []).append(Sight(now_s, text, committed_text))

    def see_final(self, now_s: float, segment: int, text: str) -> None:
        self.shown.setdefault(segment, []).append(Sight(now_s, text, text))
        self.finals[segment] = text
        self.finished_s = now_s

    @property
    def text(self) -> str:
        return " ".join(self.finals[segment] for segment in sorted(self.finals))


@dataclass(slots=True)
class Measured:
    """Of one stream, or of several together."""

    errors: int = 0
    words: int = 0
    retracted: int = 0
    first_ms: list[float] = field(default_factory=list)
    stable_ms: list[float] = field(default_factory=list)
    commit_ms: list[float] = field(default_factory=list)
    final_ms: list[float] = field(default_factory=list)
    """From the end of the audio to the last final."""

    def add(self, other: "Measured") -> None:
        self.errors += other.errors
        self.words += other.words
        self.retracted += other.retracted
        self.first_ms += other.first_ms
        self.stable_ms += other.stable_ms
        self.commit_ms += other.commit_ms
        self.final_ms += other.final_ms

    @property
    def error_percent(self) -> float:
        return 100 * self.errors / self.words if self.words else float("nan")

    @property
    def retracted_percent(self) -> float:
        return 100 * self.retracted / self.words if self.words else float("nan")


@dataclass(frozen=True, slots=True)
class Appearance:
    """When one word of a final was seen, in seconds since the stream began."""

    first_s: float
    stable_s: float
    commit_s: float


def measured(script: Script, screen: Screen) -> Measured:
    seen = [
        (word, appearance)
        for segment in sorted(screen.finals)
        for word, appearance in appearances(screen.shown[segment], script.language)
    ]
    spoken = [word for word, _ in seen]
    result = Measured(edits(script.words, spoken), len(script.words))
    result.retracted = sum(retracted(history, script.language) for history in screen.shown.values())
    if screen.finals:
        result.final_ms.append(1000 * (screen.finished_s - len(script.pcm) / SAMPLE_RATE_HZ))
    matcher = difflib.SequenceMatcher(None, script.words, spoken, autojunk=False)
    for block in matcher.get_matching_blocks():
        for step in range(block.size):
            end_samples, (_, appearance) = script.ends_samples[block.a + step], seen[block.b + step]
            if end_samples is not None:
                end_s = end_samples / SAMPLE_RATE_HZ
                result.first_ms.append(1000 * (appearance.first_s - end_s))
                result.stable_ms.append(1000 * (appearance.stable_s - end_s))
                result.commit_ms.append(1000 * (appearance.commit_s - end_s))
    return result


def appearances(history: Sequence[Sight], language: str = "en") -> list[tuple[str, Appearance]]:
    """The words of a segment's final, each with when it was seen. The history ends with the final."""
    shown = [(sight.at_s, normalised(sight.text, language)) for sight in history]
    committed = [(sight.at_s, len(normalised(sight.committed_text, language))) for sight in history]
    return [
        (word, Appearance(*_first_and_stable_s(shown, place, word), _committed_s(committed, place)))
        for place, word in enumerate(shown[-1][1])
    ]


def retracted(history: Sequence[Sight], language: str = "en") -> int:
    """How many shown words were retracted or changed, apart from case and punctuation."""
    shown = [plain_words(sight.text, language) for sight in history]
    return sum(_lost(before, after) for before, after in itertools.pairwise(shown))


def _first_and_stable_s(shown: Sequence[tuple[float, list[str]]], place: int, word: str) -> tuple[float, float]:
    there = [(at_s, len(words) > place and words[place] == word) for at_s, words in shown]
    first_s = next(at_s for at_s, right in there if right)
    stable_s = there[-1][0]
    for at_s, right in reversed(there):
        if not right:
            break
        stable_s = at_s
    return first_s, stable_s


def _committed_s(committed: Sequence[tuple[float, int]], place: int) -> float:
    return next(at_s for at_s, count in committed if count > place)


def _lost(before: list[str], after: list[str]) -> int:
    matcher = difflib.SequenceMatcher(None, before, after, autojunk=False)
    return len(before) - sum(block.size for block in matcher.get_matching_blocks())
