"""The rules of timestamps."""

from math import exp, inf

import numpy as np
import pytest
from numpy.typing import NDArray

from worker.engines.whisper.onnx_model.timestamps import TimestampRules, log_of_sum

END, NO_TIMESTAMPS, TIMESTAMPS, COUNT = 10, 11, 12, 20
SUPPRESSED = 3
RULES = TimestampRules(end=END, timestamps=TIMESTAMPS, suppressed=[SUPPRESSED])


def logits(**values: float) -> NDArray[np.float32]:
    """-5, except for these: `t5=1` is the logit of token 5."""
    found = np.full(COUNT, -5, np.float32)
    for name, value in values.items():
        found[int(name[1:])] = value
    return found


@pytest.mark.parametrize(
    ("said", "scores", "expected"),
    [
        pytest.param([12], {"t5": 2, "t14": 9}, 5, id="text follows the first timestamp"),
        pytest.param([12], {"t10": 2, "t14": 9}, END, id="or the end"),
        pytest.param([12, 5], {"t3": 9, "t6": 2}, 6, id="suppressed tokens are never chosen"),
        pytest.param([12, 5], {"t11": 9, "t6": 2}, 6, id="nor is the token that asks for no timestamps"),
        pytest.param([12, 5, 14], {"t6": 9, "t15": 2}, 15, id="a timestamp is followed by another one"),
        pytest.param([12, 5, 14], {"t6": 9, "t10": 2}, END, id="or by the end"),
        pytest.param([12, 5, 14, 14], {"t6": 2, "t15": 9}, 6, id="a pair of timestamps is followed by text"),
        pytest.param([12, 5, 15, 15, 6], {"t14": 9, "t16": 8, "t6": 2}, 16, id="timestamps never decrease"),
        pytest.param([12, 5, 15, 15, 6], {"t15": 9, "t6": 2}, 15, id="but may stay"),
        pytest.param(
            [12, 5], {"t6": 2, "t13": 1.5, "t14": 1.4, "t15": 1.3}, 13, id="many likely timestamps outweigh a word"
        ),
        pytest.param([12, 5], {"t6": 2, "t13": 1.5}, 6, id="one less likely timestamp does not"),
    ],
)
def test_the_next_token(said: list[int], scores: dict[str, float], expected: int) -> None:
    assert RULES.choose(logits(**scores), said)[0] == expected


def test_tokens_that_begin_answers_are_never_chosen() -> None:
    rules = TimestampRules(end=8, timestamps=TIMESTAMPS, suppressed=[])
    assert rules.choose(logits(t9=9, t10=8, t11=7, t5=1), [12])[0] == 5


def test_probabilities_are_those_among_the_allowed_tokens() -> None:
    values = np.full(COUNT, -inf, np.float32)
    values[[5, 6, SUPPRESSED]] = 1.0, 0.0, 7.0
    token, log_probability = RULES.choose(values, [12])
    assert token == 5
    assert exp(log_probability) == pytest.approx(exp(1) / (exp(1) + 1), rel=1e-5)


def test_the_logits_stay_as_they_are() -> None:
    values = logits(t5=2)
    before = values.copy()
    RULES.choose(values, [12, 5])
    np.testing.assert_array_equal(values, before)


def test_the_logarithm_of_a_sum() -> None:
    assert log_of_sum(np.array([1000.0, 1000.0], np.float32)) == pytest.approx(1000 + np.log(2))
    assert log_of_sum(np.array([-inf, -inf], np.float32)) == -inf
