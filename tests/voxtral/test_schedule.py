from random import Random

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from worker.engines.voxtral.prompts import Prompt
from worker.engines.voxtral.requests import Request
from worker.engines.voxtral.rows import SHORT_ROW_TOKENS, RowPlan
from worker.engines.voxtral.schedule import MEASURED_PER_PASS, WINDOWS_PER_PASS, Piece, Schedule

SLOTS = 4
PLAN_TOKENS = (SLOTS + 40) * SHORT_ROW_TOKENS


def request(windows: int, new_tokens: int = 20) -> Request:
    prompt = Prompt((1, 3, 25), 24, windows, 375, (4, 34))
    return Request(np.zeros(1, np.int16), prompt, new_tokens, None, lambda _: None)


def schedule() -> Schedule:
    return Schedule(RowPlan(SLOTS, PLAN_TOKENS), SLOTS)


def shapes(pieces: list[Piece]) -> list[tuple[int, int]]:
    return [(piece.first_window, piece.windows) for piece in pieces if piece.windows]


@given(lengths=st.lists(st.integers(1, 80), min_size=1, max_size=8), answers=st.randoms(use_true_random=False))
def test_every_prompt_goes_through_once_and_in_order(lengths: list[int], answers: Random) -> None:
    queue = schedule()
    requests = [request(length) for length in lengths]
    seen: dict[int, int] = dict.fromkeys(range(len(requests)), 0)
    for one in requests:
        queue.submit(one)
    for _ in range(2000):
        if queue.is_idle:
            break
        pieces = queue.next_pieces()
        assert sum(piece.windows for piece in pieces) <= WINDOWS_PER_PASS
        assert sum(piece.measure for piece in pieces) <= MEASURED_PER_PASS
        assert pieces or queue.decoding, "a pass has something to do"
        for piece in pieces:
            index = requests.index(piece.request)
            assert piece.first_window == seen[index]
            assert not piece.windows or piece.request.measured_windows == lengths[index]
            seen[index] += piece.windows
        assert sum(one.row is not None for one in requests) <= SLOTS
        if not pieces:
            queue.remove(queue.decoding[answers.randrange(len(queue.decoding))])
    assert queue.is_idle
    assert list(seen.values()) == lengths


def test_prompts_and_answers_take_turns() -> None:
    queue = schedule()
    first, second = request(1), request(20)
    queue.submit(first)
    assert shapes(queue.next_pieces()) == [(0, 1)]
    queue.submit(second)
    turns = [shapes(queue.next_pieces()) for _ in range(6)]
    assert turns == [[], [(0, 8)], [], [(8, 8)], [], [(16, 4)]]
    assert queue.decoding == [first, second]


def test_short_prompts_share_a_pass_with_a_long_one() -> None:
    queue = schedule()
    long = request(30)
    queue.submit(long)
    assert shapes(queue.next_pieces()) == [(0, 8)]
    for _ in range(3):
        queue.submit(request(1))
    assert shapes(queue.next_pieces()) == [(8, 8)]
    assert shapes(queue.next_pieces()) == [(0, 1)] * 3 + [(16, 5)]


def test_very_long_recording_is_measured_first() -> None:
    queue = schedule()
    queue.submit(request(80))
    assert [(piece.measure, piece.windows) for _ in range(3) for piece in queue.next_pieces()] == [
        (32, 0),
        (32, 0),
        (16, 8),
    ]


def test_long_request_waits_for_memory_while_short_ones_pass() -> None:
    queue = schedule()
    running, waiting, short = request(80), request(80), request(1)
    for one in (running, waiting, short):
        queue.submit(one)
    queue.next_pieces()
    assert [one.row is not None for one in (running, waiting, short)] == [True, False, True]
    queue.remove(running)
    queue.next_pieces()
    assert waiting.row is not None


def test_removed_request_is_forgotten_wherever_it_is() -> None:
    queue = schedule()
    requests = [request(1), request(20), *(request(1) for _ in range(4))]
    for one in requests:
        queue.submit(one)
    queue.next_pieces()
    for one in requests:
        queue.remove(one)
        assert one.row is None
    assert queue.is_idle
