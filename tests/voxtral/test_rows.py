from hypothesis import given
from hypothesis import strategies as st

from worker.engines.voxtral.rows import SHORT_ROW_TOKENS, Row, RowPlan

LENGTHS = st.integers(1, 40_000)


def held_tokens(plan: RowPlan) -> int:
    return sum(block.tokens for block in plan.blocks.values())


@given(
    slots=st.integers(1, 32),
    spare=st.integers(2, 100),
    actions=st.lists(st.tuples(st.booleans(), LENGTHS), max_size=60),
)
def test_rows_are_apart_long_enough_and_within_the_budget(
    slots: int, spare: int, actions: list[tuple[bool, int]]
) -> None:
    budget = (slots + spare) * SHORT_ROW_TOKENS
    plan = RowPlan(slots, budget)
    held: list[Row] = []
    for takes, length in actions:
        tokens = min(length, plan.longest_tokens)
        if takes and len(held) < slots:
            row = plan.take(tokens)
            if row is not None:
                assert row not in held
                assert plan.blocks[row.block].row_tokens > tokens
                held.append(row)
            else:
                assert not plan.is_short(tokens), "there is a short row for every slot"
        elif held:
            plan.release(held.pop(length % len(held)))
        assert held_tokens(plan) <= budget


@given(slots=st.integers(1, 32), spare=st.integers(2, 100), lengths=st.lists(LENGTHS, max_size=20))
def test_longest_request_fits_once_others_have_ended(slots: int, spare: int, lengths: list[int]) -> None:
    plan = RowPlan(slots, (slots + spare) * SHORT_ROW_TOKENS)
    rows = [plan.take(min(length, plan.longest_tokens)) for length in lengths[:slots]]
    for row in rows:
        if row is not None:
            plan.release(row)
    assert plan.take(plan.longest_tokens) is not None


def test_requests_of_like_length_share_a_block() -> None:
    plan = RowPlan(8, 64 * SHORT_ROW_TOKENS)
    rows = [plan.take(tokens) for tokens in (500, 700, 1500, 1900, 2000, 9000)]
    assert [row.block for row in rows if row] == [0, 0, 1, 1, 1, 2]


def test_idle_blocks_give_way_only_as_far_as_needed() -> None:
    """The first was recorded at the warm-up, and none is again."""
    plan = RowPlan(2, 16 * SHORT_ROW_TOKENS)
    usual, long = plan.take(1500), plan.take(4 * SHORT_ROW_TOKENS)
    assert usual
    assert long
    for row in (usual, long):
        plan.release(row)
    longer = plan.take(9 * SHORT_ROW_TOKENS)
    assert longer
    assert list(plan.blocks) == [0, usual.block, longer.block]
    assert plan.take(6 * SHORT_ROW_TOKENS) is None, "it must wait for the longer one"
    assert usual.block in plan.blocks


def test_idle_block_gives_way_and_a_longer_row_helps_out() -> None:
    plan = RowPlan(4, 8 * SHORT_ROW_TOKENS)
    first = plan.take(4 * SHORT_ROW_TOKENS - 1)
    assert first
    assert plan.take(1500) is None
    plan.release(first)
    second, third = plan.take(1500), plan.take(1500)
    assert second
    assert third
    assert first.block not in plan.blocks
    plan.release(second)
    assert plan.take(2500) is None, "what is left of the block in use is too short"
