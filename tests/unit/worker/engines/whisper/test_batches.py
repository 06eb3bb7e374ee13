import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.engines.whisper.batches import CPU_LIMITS, Limits, Shape, batched, gpu_limits
from worker.engines.whisper.sizes import LARGE, MEMBERS, SIZES, Size

GPU_LIMITS = gpu_limits(LARGE)

shapes = st.lists(
    st.builds(
        Shape, st.sampled_from([3.0, 4.0, 6.0, 9.0, 14.0]), st.sampled_from([0, 12]), st.booleans(), st.booleans()
    ),
    max_size=24,
)


@given(shapes, st.integers(1, 4), st.sampled_from([CPU_LIMITS, GPU_LIMITS]))
def test_batched_places_each_window_once_where_it_fits(shapes: list[Shape], threads: int, limits: Limits) -> None:
    batches = batched(shapes, threads, limits)
    assert sorted(index for batch in batches for index in batch.members) == list(range(len(shapes)))
    for batch in batches:
        assert len(batch.members) <= limits.members
        assert len(batch.members) == 1 or not any(shapes[index].alone for index in batch.members)
        for index in batch.members:
            padding_s = batch.window_s - shapes[index].window_s
            assert 0 <= padding_s <= (0 if shapes[index].exact else limits.padding_s)
            assert shapes[index].prompt_tokens == batch.prompt_tokens


def test_batched_gives_every_thread_work() -> None:
    assert [len(batch.members) for batch in batched([Shape(5.0, 0, exact=False)] * 4, 2)] == [2, 2]
    assert len(batched([Shape(5.0, 0, exact=False)], 2)) == 1


def test_batched_takes_all_partials_at_once_on_a_gpu() -> None:
    shapes = [Shape(3.0 + index % 9, 0, exact=False) for index in range(32)]
    assert [len(batch.members) for batch in batched(shapes, 1, GPU_LIMITS)] == [32]
    assert len(batched(shapes, 1)) >= 4


@pytest.mark.parametrize("size", dict.fromkeys(SIZES.values()))
@given(window_s=st.floats(1.0, 30.0), count=st.integers(1, 64))
def test_no_batch_of_a_gpu_needs_more_memory_than_calculated(size: Size, window_s: float, count: int) -> None:
    """Such as windows of recordings without pauses, which are all of 30 s."""
    batches = batched([Shape(window_s, 0, exact=True)] * count, 1, gpu_limits(size))
    most = max(len(batch.members) for batch in batches)
    assert most * size.window_bytes(window_s) <= size.batch_bytes
    assert most == min(count, MEMBERS) or (most + 1) * size.window_bytes(window_s) > size.batch_bytes
