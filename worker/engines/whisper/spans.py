"""The spans of a session's audio that one pass decodes, joined without the pauses between them. Pure."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from worker.engines.speech.audio_buffer import AudioBuffer
from worker.engines.whisper.words import HeardWord


@dataclass(frozen=True, slots=True)
class Span:
    """Audio between two positions of the session."""

    start_samples: int
    end_samples: int

    @property
    def length_samples(self) -> int:
        return self.end_samples - self.start_samples


@dataclass(frozen=True, slots=True)
class Spans:
    """Spans in order that do not overlap."""

    spans: tuple[Span, ...]

    @property
    def start_samples(self) -> int:
        return self.spans[0].start_samples

    @property
    def end_samples(self) -> int:
        return self.spans[-1].end_samples

    @property
    def length_samples(self) -> int:
        return sum(span.length_samples for span in self.spans)

    def between(self, start_samples: int, end_samples: int) -> "Spans":
        """The part between two positions of the session."""
        cut = (Span(max(span.start_samples, start_samples), min(span.end_samples, end_samples)) for span in self.spans)
        return Spans(tuple(span for span in cut if span.length_samples > 0))

    def pcm(self, audio: AudioBuffer) -> NDArray[np.float32]:
        """The joined audio, `[samples]`: a copy, since more audio may come while it is decoded."""
        return np.concatenate([audio.between(span.start_samples, span.end_samples) for span in self.spans])

    def placed(self, words: Iterable[HeardWord]) -> Iterator[HeardWord]:
        """Words of the joined audio, with times in the session."""
        for word in words:
            start = self.position(word.start_samples)
            end = self.position(word.end_samples - 1) + 1 if word.end_samples > word.start_samples else start
            yield replace(word, start_samples=start, end_samples=max(start, end))

    def position(self, joined_samples: int) -> int:
        """The session's position of a sample of the joined audio."""
        for span in self.spans:
            if joined_samples < span.length_samples:
                return span.start_samples + joined_samples
            joined_samples -= span.length_samples
        return self.end_samples
