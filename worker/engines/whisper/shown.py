"""The words of a live session that a viewer sees before they are settled. Pure.

Successive hypotheses differ, and each change is seen as a correction. A shown word therefore changes only if two
hypotheses in a row agree on a likelier one, or three agree; the words after it are shown in the meantime.
"""

from collections import deque
from collections.abc import Sequence
from typing import Final

from shared.events import SAMPLE_RATE_HZ
from shared.words import common_prefix, normalised
from worker.engines.whisper.words import HeardWord, normalised_texts

SAME_TIME_S: Final = 0.3
"""The same word ends at about the same time in two hypotheses."""


class ShownWords:
    """Those of the open segment after the settled ones."""

    def __init__(self) -> None:
        self.words: list[HeardWord] = []
        self._before: deque[tuple[HeardWord, ...]] = deque(maxlen=2)
        """The last hypotheses."""

    def hear(self, heard: Sequence[HeardWord], free: int) -> None:
        """Add a hypothesis, whose first `free` words can be shown."""
        same = common_words(self.words, heard)
        if same == len(self.words):
            self._change(heard, same, max(free, same))
        elif (agreed := self._agreed(heard, same)) > same:
            self._change(heard, same, max(free, agreed))
        else:
            self.words += heard[self._seam(heard) : free]
        self._before.append(tuple(heard))

    def settle(self, count: int, heard: Sequence[HeardWord], free: int) -> None:
        """The first `count` words of the last hypothesis are settled: show them no longer."""
        are_shown = common_words(self.words, heard[:count]) == count
        self.words = self.words[count:] if are_shown else list(heard[count:free])
        for _ in range(len(self._before)):
            self._before.append(self._before.popleft()[count:])

    def clear(self) -> None:
        self.words.clear()
        self._before.clear()

    def _change(self, heard: Sequence[HeardWord], same: int, shown: int) -> None:
        """Equal words keep their marks, except the last one."""
        kept = min(same, max(len(self.words) - 1, 0))
        self.words = [*self.words[:kept], *heard[kept:shown]]

    def _agreed(self, heard: Sequence[HeardWord], place: int) -> int:
        """On how many words enough hypotheses agree for the shown word at `place` to change."""
        likelier = place < len(heard) and heard[place].probability >= self.words[place].probability
        needed = 1 if likelier else 2
        if len(self._before) < needed:
            return 0
        return min(common_words(one, heard) for one in list(self._before)[-needed:])

    def _seam(self, heard: Sequence[HeardWord]) -> int:
        """The number of words of a hypothesis up to the last shown word; all of them if it lacks that."""
        last = self.words[-1]
        for index in reversed(range(len(heard))):
            apart = abs(heard[index].end_samples - last.end_samples)
            if apart <= SAME_TIME_S * SAMPLE_RATE_HZ and normalised(heard[index].text) == normalised(last.text):
                return index + 1
        return len(heard)


def common_words(left: Sequence[HeardWord], right: Sequence[HeardWord]) -> int:
    """How many leading words are equal, apart from case and punctuation."""
    return common_prefix(normalised_texts(left), normalised_texts(right))
