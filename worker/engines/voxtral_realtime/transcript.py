"""The text of a session's segments, from the tokens of each position. Pure.

A token means one of three things: nothing new, the end of a word, or a part of a word's text. Text is only ever
appended, so all text of a partial is committed; its last word may still grow.
"""

import codecs
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from shared.events import Usage, Word
from worker.engines.base import Final as FinalText
from worker.engines.base import Output, Partial, SpeechStarted, SpeechStopped
from worker.engines.token_scores import ScoredPiece, scores_of, word_confidences

ENDPOINT_FRAMES: Final = 8
"""A segment ends after 0.64 s without words."""
TOKEN_SAMPLES: Final = 1280
"""80 ms: the audio that the language model takes in as one token."""
MAX_SEGMENT_SAMPLES: Final = 20 * 16_000
"""A longer segment ends before the next word."""


@dataclass(slots=True)
class _SpokenWord:
    """The text of one marker: a word, or a group of words that were spoken as one."""

    start_samples: int
    end_samples: int
    text: str = ""
    pieces: list[ScoredPiece] = field(default_factory=list)
    """Its tokens, if their probabilities are known."""


class Transcript:
    """One open segment at a time. Positions are samples of the session."""

    def __init__(self, segment: int, language: str | None) -> None:
        self.language = language
        self._segment = segment
        self._words: list[_SpokenWord] = []
        self._told: list[Word] = []
        """All words except the last, which may still grow."""
        self._told_text = ""
        self._pieces: list[ScoredPiece] = []
        """The tokens of these words."""
        self._tokens = 0
        """Of the open segment's text."""
        self._characters = codecs.getincrementaldecoder("utf-8")("replace")
        self._quiet_frames = 0
        self._shown = ""

    @property
    def is_open(self) -> bool:
        """Whether a segment has begun."""
        return bool(self._words)

    @property
    def is_over(self) -> bool:
        """Whether the open segment is followed by silence."""
        return self._quiet_frames >= ENDPOINT_FRAMES and self.is_open

    def is_quiet(self, frames: int) -> bool:
        """Whether so many positions have had no text, so that the last word is complete."""
        return self._quiet_frames >= frames

    @property
    def is_long(self) -> bool:
        return self.is_open and self._words[-1].end_samples - self._words[0].start_samples > MAX_SEGMENT_SAMPLES

    def pause(self) -> None:
        """A position without new text."""
        self._quiet_frames += 1

    def begin_word(self, start_samples: int, end_samples: int) -> None:
        """A word has ended; its text follows."""
        self._quiet_frames = 0
        if self._words and not self._words[-1].text:
            self._words.pop()
        elif self._words:
            self._told += _singles(self._words[-1])
            self._told_text += self._words[-1].text
            self._pieces += self._words[-1].pieces
        self._words.append(_SpokenWord(start_samples, end_samples))

    def append(
        self, piece: bytes, heard_samples: int, model_ms: float, log_probability: float | None = None
    ) -> list[Output]:
        """More text of the last word; `begin_word` must have been called in this segment."""
        self._quiet_frames = 0
        self._tokens += 1
        added = self._characters.decode(piece)
        self._words[-1].text += added
        if log_probability is not None:
            self._words[-1].pieces.append(ScoredPiece(added, log_probability))
        text = self._text()
        if text == self._shown:
            return []
        started: list[Output] = [] if self._shown else [SpeechStarted(self._words[0].start_samples)]
        self._shown = text
        partial = Partial(
            segment=self._segment,
            text=text,
            start_samples=self._words[0].start_samples,
            heard_samples=heard_samples,
            model_ms=model_ms,
            committed_text=text,
            committed_words=tuple(self._told),
        )
        return [*started, partial]

    def close(self, heard_samples: int, resume_samples: int, model_ms: float) -> list[Output]:
        """End the open segment, if there is one."""
        if self._words:
            self._words[-1].text += self._characters.decode(b"", final=True)
            self._told += _singles(self._words[-1])
            self._pieces += self._words[-1].pieces
        words = tuple(self._told)
        text = self._text()
        pieces, self._pieces = self._pieces, []
        tokens, self._tokens = self._tokens, 0
        segment, started = self._segment, bool(self._shown)
        self._words, self._shown, self._quiet_frames = [], "", 0
        self._told, self._told_text = [], ""
        self._characters.reset()
        if not words:
            return []
        start_samples, end_samples = words[0].start_samples, words[-1].end_samples
        self._segment += 1
        final = FinalText(
            segment=segment,
            text=text,
            start_samples=start_samples,
            end_samples=end_samples,
            heard_samples=heard_samples,
            resume_samples=resume_samples,
            words=words,
            language=self.language,
            model_ms=model_ms,
            usage=Usage(-(-(end_samples - start_samples) // TOKEN_SAMPLES), tokens, truncated=False),
            scores=scores_of(pieces, [word.confidence for word in words if word.confidence is not None]),
        )
        opening: list[Output] = [] if started else [SpeechStarted(start_samples)]
        return [*opening, SpeechStopped(end_samples), final]

    def without_words(self, speech: tuple[int, int], heard_samples: int, resume_samples: int) -> FinalText:
        """A segment of its own for speech, from and to these positions, in which there are no words."""
        assert not self._words, "the open segment has words"
        self._segment += 1
        return FinalText(
            segment=self._segment - 1,
            text="",
            start_samples=speech[0],
            end_samples=speech[1],
            heard_samples=heard_samples,
            resume_samples=resume_samples,
            words=(),
            language=None,
            model_ms=0.0,
        )

    def _text(self) -> str:
        last = self._words[-1].text if self._words else ""
        return (self._told_text + last).strip()


def _singles(word: _SpokenWord) -> Iterator[Word]:
    """The words of one marker: usually one. Several share its time in proportion to their lengths in characters."""
    texts = word.text.split()
    duration_samples, characters, before = word.end_samples - word.start_samples, sum(map(len, texts)), 0
    confidences: list[float | None] = [*word_confidences(word.pieces)]
    if len(confidences) != len(texts):  # unknown, or the text ends in half a character
        confidences = [None] * len(texts)
    for text, confidence in zip(texts, confidences, strict=True):
        start_samples = word.start_samples + duration_samples * before // characters
        before += len(text)
        yield Word(text, start_samples, word.start_samples + duration_samples * before // characters, confidence)
