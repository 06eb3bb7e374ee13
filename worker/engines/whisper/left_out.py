"""Finds the end of a recording's window that the decoder has left out. Pure."""

from collections.abc import Sequence

from worker.engines.whisper.repetitions import repetition
from worker.engines.whisper.spans import Span
from worker.engines.whisper.voice import Voice
from worker.engines.whisper.words import HeardWord

REST_S = 1.0
"""With this much voice after its last word, the decoder has stopped too early. Measured on 80 windows: at most 0.42 s,
except one of 4.1 s where the decoder had left out words."""
SEGMENT_REST_S = 0.3
"""The same for whole segments: a decoder often writes a repeated sentence only once."""


def rest_start(words: Sequence[HeardWord], segments: Sequence[Span], voice: Voice, end_samples: int) -> int | None:
    """Where the part of a window without words begins; None if the decoder has left out nothing.

    `words`: those of the window, at least one. `segments`: its speech. `end_samples`: where it ends.
    """
    last = words[-1]
    unsaid = [one for one in segments if _is_unsaid(one, last, voice)]
    starts = [(last.end_samples, REST_S), *((one.start_samples, SEGMENT_REST_S) for one in unsaid[:1])]
    if unsaid and _repeated_segments(words, segments, voice) > segments.index(unsaid[0]):
        starts = [(one.start_samples, SEGMENT_REST_S) for one in unsaid[1:2]]
    return next((start for start, least_s in starts if voice.seconds(start, end_samples) >= least_s), None)


def _is_unsaid(segment: Span, last: HeardWord, voice: Voice) -> bool:
    """Whether a segment comes after the last word.

    A word that begins in the segment is said there, though it may have little voice: the VAD finds some later.
    """
    begins_before = last.start_samples < segment.start_samples
    ends_before = voice.lies_before(segment.start_samples, last.start_samples, last.end_samples)
    return begins_before and ends_before and segment.end_samples > last.end_samples


def _repeated_segments(words: Sequence[HeardWord], segments: Sequence[Span], voice: Voice) -> int:
    """How many segments are said if each repetition of the last phrase is in one of its own; 0 if that is not so.

    Repetitions sound alike, so the aligner takes one for another, and the last one may seem to end too early.
    """
    length, times = repetition(words)
    first, second = (_segment_of(words[-length * count], segments, voice) for count in (times, max(times - 1, 1)))
    return first + times if second > first else 0


def _segment_of(word: HeardWord, segments: Sequence[Span], voice: Voice) -> int:
    place = word.start_samples, word.end_samples
    return sum(not voice.lies_before(one.start_samples, *place) for one in segments[1:])
