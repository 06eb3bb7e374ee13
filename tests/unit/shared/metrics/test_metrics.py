"""Counters and histograms of one process: what each call of `take` returns."""

from collections import Counter as Sums

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.metrics.families import AUDIO, FAMILIES, STEP, Family
from shared.metrics.metrics import INFINITE, SUM, Metrics

TIMES = Family("times", "", ("model",), (1.0, 2.0))


def named(*words: str | float) -> bytes:
    return orjson.dumps(words)


def test_observation_at_a_bound_is_in_its_bucket() -> None:
    metrics = Metrics()
    for value in (0.5, 1.0, 2.0, 2.5):
        metrics.histogram(TIMES, "m").observe(value)
    assert metrics.take() == {
        named("times", "m", 1.0): 2,
        named("times", "m", 2.0): 1,
        named("times", "m", INFINITE): 1,
        named("times", "m", SUM): 6.0,
    }


def test_nothing_is_taken_twice() -> None:
    metrics = Metrics()
    metrics.counter(AUDIO, "anna").add(0.5)
    metrics.histogram(TIMES, "m").observe(0.0)
    assert metrics.take() == {
        named(AUDIO.name, "anna"): 0.5,
        named("times", "m", 1.0): 1,
        named("times", "m", SUM): 0.0,
    }
    assert metrics.take() == {}


@given(st.lists(st.one_of(st.none(), st.floats(0, 5)), max_size=30))
def test_increments_add_up_to_all_observations(values: list[float | None]) -> None:
    """None stands for a call of `take`."""
    metrics, totals = Metrics(), Sums[bytes]()
    for value in (*values, None):
        if value is None:
            totals.update(metrics.take())
        else:
            metrics.histogram(TIMES, "m").observe(value)
    observed = [value for value in values if value is not None]
    assert totals[named("times", "m", SUM)] == pytest.approx(sum(observed))
    assert totals[named("times", "m", 1.0)] == sum(value <= 1 for value in observed)
    assert totals[named("times", "m", INFINITE)] == sum(value > 2 for value in observed)


def test_same_labels_are_the_same_series() -> None:
    metrics = Metrics()
    assert metrics.histogram(STEP, "m") is metrics.histogram(STEP, "m")
    assert metrics.histogram(STEP, "m") is not metrics.histogram(STEP, "n")


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_buckets_ascend_and_names_differ(family: Family) -> None:
    assert list(family.buckets) == sorted(set(family.buckets))
    assert [one.name for one in FAMILIES].count(family.name) == 1
