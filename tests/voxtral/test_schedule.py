from random import Random

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from worker.engines.voxtral.prompts import Prompt
from worker.engines.voxtral.requests import Request
from worker.engines.voxtral.rows import SHORT_ROW_TOKENS, RowPlan
from worker.engines.voxtral.schedule import (
    CHUNK_MEASURED,
    CHUNK_WINDOWS,
    PASSES_BETWEEN_CHUNKS,
    PROMPTS_PER_PASS,
    Piece,
    Schedule,
)

SLOTS = 4
PLAN_TOKENS = (SLOTS + 40) * SHORT_ROW_TOKENS


def request(windows: int, new_tokens: int = 20, *, patient: bool = False) -> Request:
    prompt = Prompt((1, 3, 25), 24, windows, 375, (4, 34))
    return Request(np.zeros(1, np.int16), prompt, new_tokens, None, lambda _: None, patient=patient)


def schedule() -> Schedule:
    return Schedule(RowPlan(SLOTS, PLAN_TOKENS), SLOTS)


def shapes(pieces: list[Piece]) -> list[tuple[int, int]]:
    return [(piece.first_window, piece.windows) for piece in pieces if piece.windows]


@given(
    wanted=st.lists(st.tuples(st.just(1) | st.integers(1, 20), st.booleans()), min_size=1, max_size=8),
    seed=st.integers(),
)
def test_every_prompt_goes_through_once_and_in_order(wanted: list[tuple[int, bool]], seed: int) -> None:
    queue, answers = schedule(), Random(seed)
    requests = [request(windows, patient=patient) for windows, patient in wanted]
    seen: dict[int, int] = dict.fromkeys(range(len(requests)), 0)
    for one in requests:
        queue.submit(one)
    for _ in range(4000):
        if queue.is_idle:
            break
        pieces = queue.next_pieces()
        chunks = [piece for piece in pieces if piece.request.gives_way]
        assert len(chunks) <= 1
        assert len(pieces) - len(chunks) <= PROMPTS_PER_PASS
        assert pieces or queue.decoding, "a pass has something to do"
        for piece in pieces:
            index = requests.index(piece.request)
            assert piece.windows <= CHUNK_WINDOWS
            assert piece.measure <= CHUNK_MEASURED
            assert piece.measure or piece.windows
            assert piece.first_window == seen[index]
            assert not piece.windows or piece.request.measured_windows == piece.request.prompt.windows
            seen[index] += piece.windows
        assert sum(one.row is not None for one in requests) <= SLOTS
        if not pieces and answers.random() < 0.3:
            queue.remove(queue.decoding[answers.randrange(len(queue.decoding))])
    assert queue.is_idle
    assert list(seen.values()) == [windows for windows, _ in wanted]


@given(wanted=st.lists(st.integers(2, 20), min_size=1, max_size=3), seed=st.integers())
def test_live_answer_waits_for_one_chunk_at_most(wanted: list[int], seed: int) -> None:
    """Between two of its tokens; and in all for one more in eight passes. Long prompts still come through."""
    queue, answers = schedule(), Random(seed)
    for windows in wanted:
        queue.submit(request(windows))
    waiting_passes = chunks = passes_since_token = 0
    while queue._waiting or queue._prefilling:
        if not any(not one.gives_way for one in (*queue._waiting, *queue._prefilling, *queue.decoding)):
            queue.submit(request(1))
            waiting_passes = chunks = passes_since_token = 0
        pieces = queue.next_pieces()
        waiting_passes += 1
        chunks += any(piece.request.gives_way for piece in pieces)
        passes_since_token = passes_since_token + 1 if pieces else 0
        assert passes_since_token <= 1
        assert chunks <= 1 + waiting_passes // PASSES_BETWEEN_CHUNKS
        assert queue._passes_since_chunk <= PASSES_BETWEEN_CHUNKS + 1, "a long prompt goes on"
        for one in [one for one in queue.decoding if answers.random() < 0.1]:
            queue.remove(one)


def test_prompts_and_answers_take_turns() -> None:
    queue = schedule()
    first, second = request(2), request(4)
    queue.submit(first)
    assert [shapes(queue.next_pieces()) for _ in range(2)] == [[(0, 1)], [(1, 1)]]
    queue.submit(second)
    turns = [shapes(queue.next_pieces()) for _ in range(8)]
    assert turns == [[], [(0, 1)], [], [(1, 1)], [], [(2, 1)], [], [(3, 1)]]
    assert queue.decoding == [first, second]


def test_short_prompts_share_a_pass_and_long_ones_wait_for_them() -> None:
    queue = schedule()
    queue.submit(request(30))
    assert shapes(queue.next_pieces()) == []  # measured in four passes, and heard in the last of them
    assert [shapes(queue.next_pieces()) for _ in range(4)] == [[], [], [(0, 1)], [(1, 1)]]
    for _ in range(3):
        queue.submit(request(1))
    assert shapes(queue.next_pieces()) == [(0, 1)] * 3
    assert [shapes(queue.next_pieces()) for _ in range(8)] == [[]] * 7 + [[(2, 1)]]


def test_very_long_recording_is_measured_first() -> None:
    queue = schedule()
    queue.submit(request(20))
    assert [(piece.measure, piece.windows) for _ in range(4) for piece in queue.next_pieces()] == [
        (8, 0),
        (8, 0),
        (4, 1),
        (0, 1),
    ]


def test_live_speech_goes_before_the_segments_of_files() -> None:
    queue = schedule()
    files = [request(1, patient=True) for _ in range(2 * SLOTS)]
    for one in files:
        queue.submit(one)
    assert [piece.request for piece in queue.next_pieces()] == files[:1]
    live = request(1)
    queue.submit(live)
    assert queue.next_pieces() == []
    queue.remove(files[0])
    assert [piece.request for piece in queue.next_pieces()] == [live]


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


def test_request_can_be_removed_anywhere() -> None:
    queue = schedule()
    requests = [request(1), request(20), *(request(1) for _ in range(4))]
    for one in requests:
        queue.submit(one)
    queue.next_pieces()
    for one in requests:
        queue.remove(one)
        assert one.row is None
    assert queue.is_idle
