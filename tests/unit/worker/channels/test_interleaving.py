"""The order of several channels' outputs: by where they begin, and nothing is lost."""

from hypothesis import given
from hypothesis import strategies as st

from worker.channels.interleaving import Interleaving


@st.composite
def channels(draw: st.DrawFn) -> list[list[int]]:
    """The starts of the finals of some channels."""
    starts = st.lists(st.integers(0, 100), max_size=8, unique=True).map(sorted)
    return draw(st.lists(starts, min_size=1, max_size=4))


@given(channels(), st.randoms(use_true_random=False))
def test_outputs_come_in_order_whatever_channel_is_ahead(starts: list[list[int]], random: object) -> None:
    interleaving: Interleaving[int] = Interleaving(len(starts))
    left = [list(one) for one in starts]
    found: list[int] = []
    while any(left):
        channel = random.choice([number for number, one in enumerate(left) if one])  # type: ignore[attr-defined]
        start = left[channel].pop(0)
        interleaving.put(channel, start, start)
        interleaving.reach(channel, start + 1)
        found += [output for _, output in interleaving.due()]
    for channel in range(len(starts)):
        interleaving.end(channel)
    found += [output for _, output in interleaving.due()]
    assert found == sorted(start for one in starts for start in one)


def test_output_without_a_start_waits_only_for_its_own_channel() -> None:
    interleaving: Interleaving[str] = Interleaving(2)
    interleaving.put(0, "final", 10)
    interleaving.put(0, "stopped", None)
    interleaving.put(1, "started", None)
    assert list(interleaving.due()) == [(1, "started")]
    assert interleaving.holds(0)
    interleaving.reach(1, 10)
    assert list(interleaving.due()) == [(0, "final"), (0, "stopped")]


def test_first_channel_comes_first_if_two_begin_together() -> None:
    interleaving: Interleaving[str] = Interleaving(2)
    interleaving.put(1, "second", 10)
    interleaving.reach(0, 10)
    assert list(interleaving.due()) == []
    interleaving.put(0, "first", 10)
    assert list(interleaving.due()) == [(0, "first")]
    interleaving.reach(0, 11)
    assert list(interleaving.due()) == [(1, "second")]
