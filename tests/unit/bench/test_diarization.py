"""The diarization error rate, against calculations by hand."""

import math

import pytest

from tests.bench.diarization import Errors, Turn, errors

REFERENCE = [Turn("ann", 0.0, 4.0), Turn("bo", 4.0, 8.0), Turn("ann", 7.0, 9.0)]
"""10 s of speech in 9 s: both speak from 7 to 8."""


def test_other_names_for_the_same_turns_are_no_errors() -> None:
    found = [Turn("B", 0.0, 4.0), Turn("A", 4.0, 8.0), Turn("B", 7.0, 9.0)]
    assert errors(REFERENCE, found) == Errors(speech=10.0)


def test_errors_are_those_of_a_calculation_by_hand() -> None:
    # A is ann and B is bo. 0 to 1 is missed; 3 to 4 is B instead of ann; of 7 to 8, one of two speakers is missed;
    # 9 to 9.5 is a false alarm: 2 s missed, 0.5 s of false alarm and 1 s confused of 10 s.
    found = [Turn("A", 1.0, 3.0), Turn("B", 3.0, 8.0), Turn("A", 8.0, 9.5)]
    result = errors(REFERENCE, found)
    assert (result.missed, result.false_alarm, result.confused) == pytest.approx((2.0, 0.5, 1.0))
    assert result.percent == pytest.approx(35.0)


def test_collar_leaves_out_the_audio_around_boundaries_of_the_reference() -> None:
    # Left: 0.25 to 3.75, 4.25 to 6.75, 7.25 to 7.75 (of two speakers), 8.25 to 8.75.
    result = errors(REFERENCE, [Turn("A", 0.25, 4.2), Turn("B", 4.2, 8.0), Turn("A", 7.0, 9.0)], 0.25)
    assert result == Errors(speech=pytest.approx(7.5))


def test_labels_are_matched_so_that_most_time_agrees() -> None:
    reference = [Turn("ann", 0.0, 3.0), Turn("bo", 3.0, 5.0)]
    assert errors(reference, [Turn("A", 0.0, 5.0)]).confused == pytest.approx(2.0)
    three = [Turn("A", 0.0, 1.0), Turn("B", 1.0, 3.0), Turn("C", 3.0, 5.0)]
    assert errors(reference, three).confused == pytest.approx(1.0)


def test_nothing_found_misses_everything() -> None:
    assert errors(REFERENCE, []).percent == pytest.approx(100.0)


def test_nothing_said_has_no_error_rate() -> None:
    found = errors([], [Turn("A", 0.0, 1.0)])
    assert found == Errors(false_alarm=pytest.approx(1.0))
    assert math.isnan(found.percent)
