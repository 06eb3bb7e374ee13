from hypothesis import given
from hypothesis import strategies as st

from worker.engines.whisper.batches import MAX_MEMBERS, MAX_PADDING_S, Shape, batched

shapes = st.lists(
    st.builds(Shape, st.sampled_from([3.0, 4.0, 6.0, 9.0, 14.0]), st.sampled_from([0, 12]), st.booleans()), max_size=24
)


@given(shapes, st.integers(1, 4))
def test_batched_places_each_window_once_where_it_fits(shapes: list[Shape], threads: int) -> None:
    batches = batched(shapes, threads)
    assert sorted(index for batch in batches for index in batch.members) == list(range(len(shapes)))
    for batch in batches:
        assert len(batch.members) <= MAX_MEMBERS
        for index in batch.members:
            padding_s = batch.window_s - shapes[index].window_s
            assert 0 <= padding_s <= (0 if shapes[index].exact else MAX_PADDING_S)
            assert shapes[index].prompt_tokens == batch.prompt_tokens


def test_batched_gives_every_thread_work() -> None:
    assert [len(batch.members) for batch in batched([Shape(5.0, 0, exact=False)] * 4, 2)] == [2, 2]
    assert len(batched([Shape(5.0, 0, exact=False)], 2)) == 1
