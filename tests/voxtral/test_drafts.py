"""Answers that begin with a draft: the same tokens in fewer steps."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.session_options import SessionOptions
from tests.engine_sessions import drained, fed
from tests.speech import silence
from tests.tiny.vocabulary import AUDIO, EOS
from tests.tiny.voxtral import write_checkpoint
from tests.voxtral.driving import answers_of, loaded, speech, submitted, without_drafts
from tests.voxtral.reference import Reference, murmur
from worker.engines.voxtral.engine import VoxtralEngine
from worker.engines.voxtral.generator import confirmed
from worker.engines.voxtral.requests import Request, Sampling

LIMIT = 40


@pytest.fixture
def steps(engine: VoxtralEngine, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many rows each decode step takes on."""
    return counted_steps(engine, monkeypatch)


def counted_steps(engine: VoxtralEngine, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    passes, counted = engine._generator._passes, list[int]()
    plain: Callable[..., object] = passes.decode

    def decode(block: object, running: Sequence[object]) -> object:
        counted.append(len(running))
        return plain(block, running)

    monkeypatch.setattr(passes, "decode", decode)
    return counted


def request(
    engine: VoxtralEngine, pcm: np.ndarray, draft: Sequence[int] = (), sampling: Sampling | None = None
) -> Request:
    prompt = engine._model.prompts.transcription(len(pcm), "en")
    return Request(pcm, prompt, LIMIT, sampling, lambda _: None, tuple(draft))


def spoiled(tokens: list[int], at: int, by: int) -> list[int]:
    return [*tokens[:at], by, *tokens[at + 1 :]]


def test_answer_is_that_of_generate_whatever_the_draft(engine: VoxtralEngine, reference: Reference) -> None:
    pcm = murmur(71, 4)
    right = reference.tokens(pcm, reference.transcription_prompt(pcm, "en"), LIMIT)
    random = np.random.default_rng(71)
    drafts = [
        right,
        right[: len(right) // 2],
        spoiled(right, len(right) // 2, AUDIO),
        spoiled(right, len(right) // 3, EOS),
        [*right, *right],
        random.integers(0, 1000, 30).tolist(),
        [AUDIO] * 500,
        [EOS],
        *(spoiled(right, int(random.integers(len(right))), int(random.integers(3, 1000))) for _ in range(4)),
    ]
    assert answers_of(engine, *(request(engine, pcm, draft) for draft in drafts)) == [right] * len(drafts)


def test_agreed_part_of_a_draft_takes_no_step(engine: VoxtralEngine, steps: list[int]) -> None:
    pcm = murmur(73, 4)
    [right] = answers_of(engine, request(engine, pcm))
    all_steps = len(steps)
    assert all_steps >= len(right) - 1
    for agreed in (0, 1, len(right) // 2, len(right) - 1):
        steps.clear()
        answers_of(engine, request(engine, pcm, spoiled(right, agreed, right[agreed] + 1)))
        assert len(steps) == all_steps - agreed
    steps.clear()
    answers_of(engine, request(engine, pcm, right))
    assert steps == []


def test_draft_of_one_answer_changes_no_other(engine: VoxtralEngine) -> None:
    pcm, other = murmur(74, 4), murmur(75, 7)
    sampling = Sampling(1.5, 0.95, 3)
    [right], [plain], [drawn] = (
        answers_of(engine, one)
        for one in (request(engine, pcm), request(engine, other), request(engine, other, sampling=sampling))
    )
    together = answers_of(
        engine,
        request(engine, other, sampling=sampling),
        request(engine, pcm, spoiled(right, 5, AUDIO)),
        request(engine, other),
    )
    assert together == [drawn, right, plain]


def test_drawn_answer_takes_no_draft(engine: VoxtralEngine) -> None:
    with pytest.raises(AssertionError, match="likeliest"):
        request(engine, murmur(76, 1), [5], Sampling(1.0, 1.0, 0))


@given(draft=st.lists(st.integers(0, 2), max_size=12), rule=st.integers(0, 5))
def test_confirmed_tokens_are_those_of_one_at_a_time(draft: list[int], rule: int) -> None:
    def follows(said: Sequence[int]) -> int:
        return (sum(said) * rule + len(said) // 2) % 3

    one_by_one: list[int] = []
    for _ in range(len(draft) + 1):
        one_by_one.append(follows(one_by_one))
    found = confirmed(draft, [follows(draft[:count]) for count in range(len(draft) + 1)])
    assert found == one_by_one[: len(found)]
    assert len(found) == len(draft) + 1 or draft[: len(found)] != found


@pytest.fixture(scope="module")
def deaf(tmp_path_factory: pytest.TempPathFactory) -> VoxtralEngine:
    """What it says about a growing segment only grows. With a trained model that is nearly so."""
    return loaded(write_checkpoint(tmp_path_factory.mktemp("deaf"), deaf=True))


def test_live_segment_is_decoded_once_and_not_again(deaf: VoxtralEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        requests = submitted(deaf, patched)
        steps = counted_steps(deaf, patched)
        deaf.open("a", SessionOptions())
        fed(deaf, "a", np.concatenate([speech(0), silence(1), speech(1)[:32_000], silence(1)]), 4800)
        deaf.finish("a")
        drained(deaf)
        deaf.close("a")
    assert len(requests) > 10
    for before, after in pairwise(requests):
        assert after.draft in ((), tuple(before.tokens)), "the draft is what was said last of this segment"
    assert sum(not one.draft for one in requests) == 2, "only the first pass of a segment has none"
    assert len(steps) < sum(len(one.tokens) for one in requests) / 4
    assert answers_of(deaf, *without_drafts(requests)) == [one.tokens for one in requests]
