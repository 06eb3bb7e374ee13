"""The rolling window of a live session: the audio of the next pass. Pure.

It holds the current speech, preceded by as much earlier speech as is wanted.
"""

from collections.abc import Sequence

from worker.engines.whisper.spans import Span, Spans
from worker.engines.whisper.words import HeardWord


class RollingWindow:
    """Closed spans of speech, and the open one during speech."""

    def __init__(self, start_samples: int) -> None:
        self._closed: tuple[Span, ...] = ()
        self._open_samples: int | None = None
        """Where the open span starts."""
        self._floor_samples = start_samples
        """No span starts earlier."""

    @property
    def is_open(self) -> bool:
        return self._open_samples is not None

    @property
    def start_samples(self) -> int | None:
        """Where the window starts; None if it is empty."""
        return self._closed[0].start_samples if self._closed else self._open_samples

    def until(self, end_samples: int, start_samples: int = 0) -> Spans:
        """The content of the window up to a position, starting at `start_samples` or later."""
        spans = self._closed
        if self._open_samples is not None and end_samples > self._open_samples:
            spans = (*spans, Span(self._open_samples, end_samples))
        return Spans(spans).between(start_samples, end_samples)

    def open(self, start_samples: int) -> None:
        """Speech has begun."""
        self._open_samples = max(start_samples, self._floor_samples)

    def close(self, end_samples: int) -> None:
        """Speech has ended."""
        self._closed = self.until(end_samples).spans
        self._open_samples = None

    def begin_at(self, start_samples: int) -> None:
        """Drop what is before a position."""
        self._floor_samples = max(self._floor_samples, start_samples)
        if self._closed:
            self._closed = Spans(self._closed).between(start_samples, self._closed[-1].end_samples).spans
        if self._open_samples is not None:
            self._open_samples = max(self._open_samples, start_samples)

    def words_within(self, words: Sequence[HeardWord], length_samples: int, end_samples: int) -> int:
        """How many of the last words lie within this length of the window, back from the end of the last one."""
        held = self.until(max(end_samples, words[-1].end_samples))
        count = 0
        while count < len(words):
            start = words[-count - 1].start_samples
            if held.between(start, words[-1].end_samples).length_samples > length_samples:
                break
            count += 1
        return count
