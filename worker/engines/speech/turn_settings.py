"""The settings of a session's segmenter, as its client's turn detection changes those of the engine. Pure."""

from dataclasses import replace
from math import inf
from typing import Final

from shared.turn_detection import TurnDetection
from worker.engines.speech.boundaries import SegmenterSettings
from worker.turns.rule import turn_rule

HYSTERESIS: Final = 0.15
"""Speech ends at a probability that is lower than the one it starts at, as in Silero's own `VADIterator`."""
LEAST: Final = 0.01
"""Digital silence has a probability of 0 and must end speech."""


def turn_settings(settings: SegmenterSettings, detection: TurnDetection | None) -> SegmenterSettings:
    """`settings` are those of the engine, which apply to everything that the client leaves open."""
    if detection is None:
        return settings
    if detection.threshold is not None:
        settings = replace(
            settings,
            onset_probability=max(detection.threshold, LEAST),
            offset_probability=max(detection.threshold - HYSTERESIS, LEAST),
        )
    if detection.prefix_padding_ms is not None:
        settings = replace(settings, pre_roll_ms=detection.prefix_padding_ms)
    if detection.silence_duration_ms is not None:
        silence_ms = detection.silence_duration_ms
        settings = replace(settings, endpoint_ms=silence_ms, late_endpoint_ms=silence_ms, late_after_s=inf)
    return replace(settings, turn_rule=turn_rule(detection))
