"""Rows stay dense whatever comes and goes, and each session's state follows it."""

from hypothesis import given
from hypothesis import strategies as st

from worker.engines.voxtral_realtime.rows import Rows


@given(st.lists(st.integers(0, 9), max_size=60))
def test_rows_stay_dense_and_state_follows_its_session(actions: list[int]) -> None:
    rows, state = Rows(10), [""] * 10
    for number in actions:
        session_id = str(number)
        if session_id in rows:
            move = rows.release(session_id)
            if move is not None:
                state[move.target] = state[move.source]
        else:
            state[rows.take(session_id)] = session_id
        assert [rows[one] for one in rows] == list(range(len(rows)))
        assert all(state[rows[one]] == one for one in rows)
