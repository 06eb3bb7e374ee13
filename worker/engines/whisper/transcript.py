"""The words of a live session: which are settled, and which are shown. Pure.

Each pass gives a hypothesis: the words that follow the settled ones. Words are settled from the front, and never change
again, when hypotheses have agreed on them for a while and they lie far enough before the edge of the audio; unsure
words wait longer. The punctuation after the last settled word stays open until the next word is settled.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf

from shared.events import SAMPLE_RATE_HZ
from shared.session_options import CommitDelay
from worker.engines.keyterms.spans import SENTENCE_MARKS
from worker.engines.whisper.repetitions import goes_on_repeating, repeated_word_start
from worker.engines.whisper.shown import ShownWords, common_words
from worker.engines.whisper.words import HeardWord

MIN_AGREEING = 2
"""Hypotheses that must agree, however long ago the first one of them was."""
ALONE_LAG_S = 2.5
"""A word this far before the edge is settled by one hypothesis: audio came faster than it was decoded."""
OVERDUE_S = 5.0
"""A word this far before the edge is settled although hypotheses differ; waiting longer does not help."""


@dataclass(frozen=True, slots=True)
class Rule:
    """When a word is settled. Chosen on recorded speech; docs/benchmarks.md has the speech and the results."""

    lag_s: float = 0.9
    """How far before the edge of the audio a word must end."""
    unsure_lag_s: float = 3.0
    sure_probability: float = 0.7
    """Less probable words wait for `unsure_lag_s`."""
    agreement_s: float = 0.8
    """How long hypotheses must have agreed on it, in seconds of audio."""
    hold_s: float = 0.06
    """How far before the edge a certain word must end to be shown."""
    unsure_hold_s: float = 0.5
    """How much farther one of probability 0 must end; others, in proportion."""


RULES = {
    CommitDelay.FAST: Rule(lag_s=0.7, unsure_lag_s=1.6, agreement_s=0.5),
    CommitDelay.BALANCED: Rule(),
    CommitDelay.ACCURATE: Rule(lag_s=1.5, unsure_lag_s=4.0, agreement_s=1.2),
}
NEVER = Rule(lag_s=inf, unsure_lag_s=inf)
"""For text whose words do not follow the audio."""


@dataclass(frozen=True, slots=True)
class _Hypothesis:
    edge_samples: int
    words: tuple[HeardWord, ...]


class Transcript:
    """The settled words of the open segment, and its words that may still change."""

    def __init__(self) -> None:
        self._words: list[HeardWord] = []
        """The settled words that are still needed, of earlier segments and of the open one."""
        self._segment_start = self._context_start = 0
        """The indices of the first word of the open segment, and of the first word of the window."""
        self._hypotheses: deque[_Hypothesis] = deque()
        self._shown = ShownWords()
        self._published = ("", "")
        """What the client has of the open segment: its text, and the settled part of that."""
        self._published_words = 0
        """The number of words in that part: the final begins with them."""

    @property
    def settled(self) -> list[HeardWord]:
        """Words of the open segment."""
        return self._words[self._segment_start :]

    @property
    def context(self) -> list[HeardWord]:
        """Words of the window, which may reach into earlier segments and may lack the beginning of the open one."""
        return self._words[self._context_start :]

    def keep_context(self, count: int) -> None:
        """Only the last `count` words stay in the window."""
        self._context_start = len(self._words) - count
        unused = min(self._context_start, self._segment_start)
        del self._words[:unused]
        self._context_start -= unused
        self._segment_start -= unused

    def recall_context(self, words: Sequence[HeardWord]) -> None:
        """Words of earlier segments, which a former owner has settled."""
        self._words += words
        self._segment_start = len(self._words)

    @property
    def forced_tokens(self) -> tuple[int, ...]:
        """What the next answer must begin with; the mark after the last settled word is open."""
        tokens = [token for word in self.context for token in (*word.tokens, *word.mark_tokens)]
        open_marks = len(self.context[-1].mark_tokens) if self.settled and self.context else 0
        return tuple(tokens[: len(tokens) - open_marks])

    @property
    def draft_tokens(self) -> tuple[int, ...]:
        """What the next answer will probably contain after them."""
        words = self._hypotheses[-1].words if self._hypotheses else ()
        return self.open_mark[1] + tuple(token for word in words for token in (*word.tokens, *word.mark_tokens))

    @property
    def open_mark(self) -> tuple[str, tuple[int, ...]]:
        """The current mark after the last settled word, and its tokens."""
        return (self.settled[-1].mark, self.settled[-1].mark_tokens) if self.settled else ("", ())

    @property
    def settled_text(self) -> str:
        """Text of the open segment, without the mark after its last word."""
        return joined(self.settled_words)

    @property
    def settled_words(self) -> tuple[HeardWord, ...]:
        """The words of `settled_text`."""
        if not self.settled:
            return ()
        return (*self.settled[:-1], replace(self.settled[-1], mark="", mark_tokens=()))

    @property
    def shown_text(self) -> str:
        """Text of the open segment: `settled_text` and the current words after it."""
        if not self._shown.words:
            return self.settled_text
        return joined([*self.settled, *self._shown.words])

    @property
    def is_published(self) -> bool:
        """Whether the client has text of the open segment."""
        return bool(self._published[0])

    def publish(self) -> bool:
        """Whether there is text of the open segment that the client does not have; from now on it has it."""
        text = self.shown_text, self.settled_text
        if not text[0] or text == self._published:
            return False
        self._published, self._published_words = text, len(self.settled)
        return True

    def recall(self, settled: Sequence[HeardWord], text: str) -> None:
        """The client has the text of these settled words."""
        self._words += settled
        self._published, self._published_words = (text, text), len(settled)

    def hear(
        self,
        words: Sequence[HeardWord],
        lead: str,
        lead_tokens: tuple[int, ...],
        edge_samples: int,
        rule: Rule,
        *,
        may_end: bool = False,
    ) -> None:
        """Add a hypothesis of the open segment. If it may end here, all of its words are shown and none is settled."""
        self._take_lead(words, lead, lead_tokens)
        self._hypotheses.append(_Hypothesis(edge_samples, tuple(words)))
        oldest_samples = edge_samples - rule.agreement_s * SAMPLE_RATE_HZ
        while len(self._hypotheses) > MIN_AGREEING and self._hypotheses[0].edge_samples < oldest_samples:
            self._hypotheses.popleft()
        held_back = (index for index, word in enumerate(words) if not _is_free(word, edge_samples, rule))
        free = len(words) if may_end else next(held_back, len(words))
        self._shown.hear(words, free)
        count = 0 if may_end else self._ripe(rule)
        self._shown.settle(count, words, free)
        self._settle_first(count)

    def close(self, words: Sequence[HeardWord], lead: str, lead_tokens: tuple[int, ...]) -> tuple[HeardWord, ...]:
        """Add the last hypothesis of the open segment, end the segment, and return all of its words."""
        self.settle(words, lead, lead_tokens)
        return self.cut(len(self.settled))

    def settle(self, words: Sequence[HeardWord], lead: str, lead_tokens: tuple[int, ...]) -> None:
        """Add the last hypothesis of a part of the open segment."""
        self._take_lead(words, lead, lead_tokens)
        self._words += words
        self._hypotheses.clear()
        self._shown.clear()

    def long_part(self, start_samples: int, sentence_s: float, segment_s: float) -> int:
        """How many settled words, with all that the client has, end a sentence `sentence_s` or more after a position.

        Or any word, at `segment_s`. 0 if none do; the last settled word, whose mark is open, never does.
        """
        settled = self.settled
        for count in range(len(settled) - 1, max(self._published_words, 1) - 1, -1):
            last = settled[count - 1]
            length_s = (last.end_samples - start_samples) / SAMPLE_RATE_HZ
            if length_s >= (sentence_s if last.mark.startswith(SENTENCE_MARKS) else segment_s):
                return count
        return 0

    def cut(self, count: int) -> tuple[HeardWord, ...]:
        """End the open segment after its first `count` settled words, and return them."""
        closed = tuple(self.settled[:count])
        self._segment_start += count
        self._published, self._published_words = ("", ""), 0
        return closed

    def _take_lead(self, words: Sequence[HeardWord], lead: str, lead_tokens: tuple[int, ...]) -> None:
        """The answer's punctuation after the last settled word becomes its mark, unless the answer is empty."""
        if self.settled and (words or lead):
            self._words[-1] = replace(self._words[-1], mark=lead, mark_tokens=lead_tokens)

    def _ripe(self, rule: Rule) -> int:
        """How many words of the last hypothesis can be settled."""
        last = self._hypotheses[-1]
        agreed = min((common_words(one.words, last.words) for one in self._hypotheses), default=0)
        agreed = min(agreed, repeated_word_start(last.words))
        if not self.settled and goes_on_repeating(last.words, self.context):  # counted when the segment ends
            agreed = 0
        count = 0
        for word in last.words:
            behind_s = (last.edge_samples - word.end_samples) / SAMPLE_RATE_HZ
            if behind_s < max(OVERDUE_S, rule.lag_s):
                lag_s = rule.lag_s if word.probability >= rule.sure_probability else rule.unsure_lag_s
                if len(self._hypotheses) < MIN_AGREEING:
                    lag_s = max(lag_s, ALONE_LAG_S)
                if behind_s < lag_s or count >= agreed:
                    break
            count += 1
        return count

    def _settle_first(self, count: int) -> None:
        words = self._hypotheses[-1].words[:count]
        self._words += words
        for index, one in enumerate(self._hypotheses):
            self._hypotheses[index] = replace(one, words=one.words[count:])


def _is_free(word: HeardWord, edge_samples: int, rule: Rule) -> bool:
    """Whether the edge of the audio can no longer change a word much."""
    hold_s = rule.hold_s + rule.unsure_hold_s * (1 - word.probability)
    return word.end_samples <= edge_samples - hold_s * SAMPLE_RATE_HZ


def joined(words: Sequence[HeardWord]) -> str:
    """The text of words, without the space before the first one."""
    return "".join(word.text + word.mark for word in words).lstrip()
