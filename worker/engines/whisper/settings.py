"""Tunable values of the Whisper engine. docs/benchmarks.md says on which speech they were chosen."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf

from shared.session_options import CommitDelay
from worker.engines.speech.boundaries import SegmenterSettings
from worker.engines.whisper.transcript import RULES, Rule

LIVE_SEGMENTER = SegmenterSettings(onset_probability=0.3, offset_probability=0.2, late_after_s=inf, max_segment_s=inf)
"""The thresholds also accept telephone-band speech. Long segments end at settled words."""


@dataclass(frozen=True, slots=True)
class LiveSettings:
    """The rolling window of a live session."""

    window_s: float = 8.0
    """A longer window is cut."""
    context_s: float = 3.0
    """Settled audio that is kept before the rest when the window is cut, or when a pause ends."""
    context_lifetime_s: float = 30.0
    """Speech after a pause this long is decoded without context."""
    longest_window_s: float = 14.0
    """A window without settled words to cut at loses its beginning at this length: it has no words. The words of a
    translation are settled only when their segment ends, so a translated segment ends at its best pause instead."""
    retry_after_s: float = 0.9
    """With this much voice without words after the last settled word, it is decoded again without context."""
    retry_if_empty_s: float = 0.3
    """The same for a segment that ends without words: a sentence that repeats the one before it is often left out."""
    pause_s: float = 6.0
    sentence_s: float = 8.0
    segment_s: float = 16.0
    """A segment longer than `pause_s` ends at its next pause, one longer than `sentence_s` after the next settled
    sentence, and one of this length after any word."""
    beam_below: float = -0.4
    """See `Job`; for text that becomes final."""
    rules: Mapping[CommitDelay, Rule] = field(default_factory=lambda: RULES)


@dataclass(frozen=True, slots=True)
class WhisperSettings:
    """How an engine divides its time among sessions."""

    segmenter: SegmenterSettings = field(default_factory=lambda: LIVE_SEGMENTER)
    partial_interval_ms: float = 280.0
    """New audio that a session needs before its next partial."""
    live: LiveSettings = field(default_factory=LiveSettings)
    load_share: float = 1.4
    """The interval grows to this multiple of the time that a pass of each session takes, so that overload slows all
    sessions equally."""
    max_jobs: int = 16
    """Windows that a step decodes in batches; more would make the step, and thus every session's wait, longer."""
    max_vad_windows: int = 1000
    """For each session and step: 32 s of audio, about 55 ms."""
