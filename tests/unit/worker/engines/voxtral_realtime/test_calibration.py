"""How many sessions are served in time, decided from given timings."""

from collections.abc import Callable

import pytest

from worker.engines.voxtral_realtime.calibration import LIMIT_MS, TRIES, fitted, slots_in_time, typical_ms


def line(floor_ms: float, session_ms: float) -> Callable[[int], float]:
    return lambda sessions: floor_ms + session_ms * sessions


@pytest.mark.parametrize(
    ("slots", "floor_ms", "session_ms", "fitting"),
    [
        (83, 10.7, 0.75, 65),  # L40S as calculated: 79 ms with all
        (303, 7.8, 0.23, 226),  # H200
        (23, 23.0, 1.0, 23),
        (16, 0.0, 60.0, 1),
    ],
)
def test_slots_are_lowered_until_a_tick_fits(slots: int, floor_ms: float, session_ms: float, fitting: int) -> None:
    found = slots_in_time(slots, line(floor_ms, session_ms))
    assert floor_ms + session_ms * found <= LIMIT_MS
    assert found == pytest.approx(fitting, abs=0.03 * slots)


def test_all_slots_that_fit_are_measured_once() -> None:
    measured: list[int] = []
    assert slots_in_time(20, lambda sessions: measured.append(sessions) or float(LIMIT_MS)) == 20
    assert measured == [20]


@pytest.mark.parametrize("slots", [1, 2, 40])
def test_one_session_is_served_however_long_it_takes(slots: int) -> None:
    assert slots_in_time(slots, lambda _: 500.0) == 1


def test_steps_between_recorded_shapes_cost_few_measurements() -> None:
    """Passes over 129 sessions take the time of 160, and so on; the time of one measurement is never trusted beyond."""
    measured: list[int] = []

    def tick_ms(sessions: int) -> float:
        measured.append(sessions)
        return 5 + 0.3 * next(size for size in (1, 64, 128, 160, 192, 256, 303) if size >= sessions)

    found = slots_in_time(303, tick_ms)
    assert 155 <= found <= 160
    assert found in measured
    assert len(measured) <= TRIES + 2


def test_slots_that_are_set_are_kept() -> None:
    fit = fitted(83, line(10, 0.75), is_set=True)
    assert fit.slots == 83
    assert fit.in_time < 83
    assert fit.tick_ms == 10 + 0.75 * 83
    assert fit.reason == f"83 set in model.slots, time allows {fit.in_time}"
    assert fitted(20, line(10, 0.75), is_set=True).reason == ""


def test_reason_says_what_fits() -> None:
    fit = fitted(83, line(10, 0.75), is_set=False)
    assert fit.slots == fit.in_time
    assert fit.reason == f"memory allows 83, time allows {fit.slots}"
    assert fitted(20, line(10, 0.75), is_set=False).reason == "memory and time allow 20"


def test_longest_pass_counts_on_a_gpu_and_the_undisturbed_one_on_a_cpu() -> None:
    assert typical_ms([5.0, 40.0, 6.0], on_gpu=True) == 40.0
    assert typical_ms([5.0, 40.0, 6.0], on_gpu=False) == 5.0
