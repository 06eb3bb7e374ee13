import pytest

from shared.turn_detection import Eagerness, TurnDetection
from worker.turns.rule import LEVELS, TurnRule, turn_rule


def rule(**fields: object) -> TurnRule:
    found = turn_rule(TurnDetection("semantic", **fields))  # type: ignore[arg-type]
    assert found is not None
    return found


def test_rule_of_a_pause_is_none() -> None:
    assert turn_rule(None) is None
    assert turn_rule(TurnDetection("pause", silence_duration_ms=300)) is None


@pytest.mark.parametrize("probability", [None, 0.0, 0.2, 0.5, 0.9, 0.99])
def test_silence_is_shorter_with_more_eagerness(probability: float | None) -> None:
    silences_ms = [rule(eagerness=level).silence_ms(probability) for level in ("low", "medium", "high")]
    assert silences_ms == sorted(silences_ms, reverse=True)
    assert rule(eagerness="auto") == rule() == rule(eagerness="medium")


def test_silence_is_shorter_the_surer_the_model_is() -> None:
    for level in LEVELS.values():
        silences_ms = [level.silence_ms(probability / 100) for probability in range(101)]
        assert silences_ms == sorted(silences_ms, reverse=True)
        assert level.silence_ms(None) == level.silence_ms(0.0) == level.max_silence_ms


def test_limits_of_the_client_replace_those_of_the_level() -> None:
    assert rule(max_silence_ms=900).silence_ms(0.0) == 900
    assert rule(min_silence_ms=700).silence_ms(1.0) == 700
    assert rule(min_silence_ms=700, max_silence_ms=500).silence_ms(1.0) == 500
    strict = rule(end_threshold=0.99, eagerness="high")
    assert strict.silence_ms(0.98) == LEVELS[Eagerness.HIGH].max_silence_ms
    assert strict.silence_ms(0.99) == 200


def test_early_notices_come_only_if_requested_and_not_after_the_end() -> None:
    assert rule().early_threshold is None
    assert rule(early=True).early_threshold == 0.5
    assert rule(early=True, end_threshold=0.3).early_threshold == 0.3
    assert rule(early_threshold=0.4).early_threshold == 0.4
