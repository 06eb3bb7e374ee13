"""From a transcript that may be revised to text that is only ever appended, as other services' clients want it.

A `partial` replaces the one before it; a delta cannot be taken back. So of an engine that revises, words are passed
on once two partials in a row agree on them, and the last one is held back. An engine that only ever appends is passed
on as it comes. Where what was passed on is revised after all, the rest is fitted to it word by word, so that the
deltas joined differ from the final in no more words than they must. Without revision they are the final.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from shared.events import EventType

APPENDING_ENGINES: Final = frozenset({"voxtral_realtime"})
"""Their partials grow at the end and never change; but for a segment that another worker has taken over."""
MAX_FITTED_WORDS: Final = 200
"""Of each side. Speech does not reach it in one segment; beyond it, words are counted and not compared."""

_UNSPACED: Final = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
"""Thai, Lao, Burmese, Khmer, Japanese and Chinese: no spaces between words, so each character stands for one."""
_WORD: Final = re.compile(f"[{_UNSPACED}]|[^\\s{_UNSPACED}]+")


@dataclass(frozen=True, slots=True)
class _Word:
    start: int
    end: int
    """Of its text."""
    key: str
    """What it is compared by."""


class SegmentDeltas:
    """One segment. `text` is what has been passed on of it."""

    def __init__(self, *, appends: bool) -> None:
        self._appends = appends
        self._previous: list[_Word] = []
        self.text = ""

    def hear_partial(self, text: str) -> str:
        """The next delta; often empty."""
        if self._appends:
            return self._pass_on(text) if text.startswith(self.text) else ""
        words = _words(text)
        agreed = min(_common(self._previous, words), len(words) - 1)
        self._previous = words
        if agreed <= 0:
            return ""
        return self._pass_on(text[: words[agreed - 1].end])

    def hear_final(self, text: str) -> str:
        """The last delta."""
        return self._pass_on(text)

    def _pass_on(self, text: str) -> str:
        delta = continuation(self.text, text)
        self.text += delta
        return delta


class TranscriptDeltas:
    """All segments, one space between them. `text` is everything passed on so far."""

    def __init__(self, *, appends: bool) -> None:
        self._appends = appends
        self._segment: int | None = None
        self._deltas = SegmentDeltas(appends=appends)
        self._parts: list[str] = []

    @property
    def text(self) -> str:
        return "".join(self._parts)

    def hear(self, event: dict[str, Any]) -> str:
        """The delta that a `partial` or a `final` brings; empty for any other event."""
        if event["type"] not in (EventType.PARTIAL, EventType.FINAL):
            return ""
        if event["segment"] != self._segment:
            self._segment = event["segment"]
            self._deltas = SegmentDeltas(appends=self._appends)
        is_first = not self._deltas.text
        hear = self._deltas.hear_final if event["type"] == EventType.FINAL else self._deltas.hear_partial
        delta = hear(event["text"])
        if not delta:
            return ""
        if is_first and self._parts:
            delta = " " + delta
        self._parts.append(delta)
        return delta


def continuation(said: str, text: str) -> str:
    """What to append to `said` so that it comes nearest to `text`; `said` + it is `text` where that is possible."""
    if text.startswith(said):
        return text[len(said) :]
    said_words, words = _words(said), _words(text)
    reached = _reached(said_words, words)
    if reached == len(words):
        return _mark_behind(said, said_words, text, words)
    rest = text[words[reached].start :]
    spaced = reached == 0 or text[words[reached].start - 1].isspace()
    return f" {rest}" if spaced and not said[-1].isspace() else rest


def _mark_behind(said: str, said_words: list[_Word], text: str, words: list[_Word]) -> str:
    """The full stop, say, that the text has behind the last word and that was not there before."""
    if not words or not said_words or said_words[-1].key != words[-1].key:
        return ""
    last, shown = text[words[-1].start :], said[said_words[-1].start :]
    return last[len(shown) :] if last.casefold().startswith(shown.casefold()) else ""


def _reached(said: Sequence[_Word], words: Sequence[_Word]) -> int:
    """How many of the words `said` stands for: the beginning of `words` that is the fewest edits away from it.

    Where several are equally near, the longest: what is left out was nearly said, what is said twice is worse.
    """
    same = _common(said, words)
    said, words = said[same:], words[same:]
    if not said:
        return same
    if max(len(said), len(words)) > MAX_FITTED_WORDS:
        return same + min(len(said), len(words))
    edits = list(range(len(words) + 1))
    for count, mine in enumerate(said, start=1):
        diagonal, edits[0] = edits[0], count
        for index, theirs in enumerate(words, start=1):
            replaced = diagonal + (mine.key != theirs.key)
            diagonal = edits[index]
            edits[index] = min(replaced, edits[index] + 1, edits[index - 1] + 1)
    return same + min(range(len(edits)), key=lambda index: (edits[index], -index))


def _common(left: Sequence[_Word], right: Sequence[_Word]) -> int:
    """How many leading words are the same but for case and punctuation."""
    count = 0
    for one, other in zip(left, right, strict=False):
        if one.key != other.key:
            break
        count += 1
    return count


def _words(text: str) -> list[_Word]:
    return [_Word(found.start(), found.end(), _key(found.group())) for found in _WORD.finditer(text)]


def _key(word: str) -> str:
    """The letters and digits of a word, without case; the word itself when it has none."""
    return "".join(character for character in word.casefold() if character.isalnum()) or word
