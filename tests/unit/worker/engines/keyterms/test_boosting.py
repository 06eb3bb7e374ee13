"""Tries on a device do what a trie does for one text."""

from itertools import product

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.session_options import KeyTerm
from tests.fake_device import DEVICE, Counting, fake_device
from tests.unit.worker.engines.keyterms.test_trie import TERMS, gains
from tests.unit.worker.engines.keyterms.vocabulary import COUNT, after, trie_of
from worker.engines.keyterms.boosting import BoostedRows, Boosts, Table
from worker.engines.keyterms.trie import AT_START, INSIDE

CPU = torch.device("cpu")


def scores(generator: np.random.Generator, rows: int) -> torch.Tensor:
    return torch.from_numpy(generator.standard_normal((rows, COUNT)).astype(np.float32) * 3)


@settings(max_examples=12, deadline=None)
@given(st.lists(st.one_of(st.none(), TERMS), min_size=1, max_size=4), st.integers(0, 999))
def test_rows_choose_and_walk_like_their_tries(terms: list[list[KeyTerm] | None], seed: int) -> None:
    generator = np.random.default_rng(seed)
    tries = [None if one is None else trie_of(*one) for one in terms]
    rows, states = BoostedRows(len(tries), CPU), [AT_START] * len(tries)
    for row, trie in enumerate(tries):
        rows.write(row, trie)
        rows.restart(row)
    if not any(tries):
        return
    for _ in range(12):
        given_scores = scores(generator, len(tries))
        before, likeliest = given_scores.clone(), given_scores.argmax(dim=-1)
        advances = torch.from_numpy(generator.random(len(tries)) < 0.8)
        tokens = likeliest.clone()
        rows.prefer(given_scores, tokens, advances)
        assert torch.equal(given_scores, before)
        for row, trie in enumerate(tries):
            if trie is None:
                assert tokens[row] == likeliest[row]
                continue
            boosted = given_scores[row].clone()
            for token, gain in gains(trie, states[row]).items():
                boosted[token] += gain
            assert tokens[row] == boosted.argmax()
            if advances[row]:
                states[row] = trie.step(states[row], int(tokens[row]))
        boosts = Boosts([(row, trie, states[row]) for row, trie in enumerate(tries) if trie], CPU)
        following = boosts.preferred(before, likeliest)
        assert all(following[row] == likeliest[row] for row, trie in enumerate(tries) if trie is None)


def test_rows_that_move_take_their_terms_and_their_path_along() -> None:
    trie = trie_of(KeyTerm("abcd", 4.0))
    rows = BoostedRows(3, CPU)
    rows.write(2, trie)
    path = trie.tokens[:3].tolist()
    flat, all_rows = torch.zeros(3, COUNT), torch.ones(3, dtype=torch.bool)
    tokens = torch.full((3,), path[0])
    flat[:, path[0]] = 9.0
    rows.prefer(flat, tokens, all_rows)
    rows.copy_row(2, 0)
    rows.clear(2)
    flat = torch.zeros(3, COUNT)
    tokens = flat.argmax(dim=-1)
    rows.prefer(flat, tokens, all_rows)
    state = trie.step(INSIDE, path[0])
    assert tokens.tolist() == [max(gains(trie, state), key=gains(trie, state).__getitem__), 0, 0]


def test_a_table_grows_for_longer_terms_and_keeps_the_others() -> None:
    short = trie_of(KeyTerm("ab", 4.0))
    long = trie_of(*(KeyTerm("".join(one)) for one in product("abcd", repeat=3)))
    rows = BoostedRows(2, CPU)
    rows.write(0, short)
    rows.write(1, long)
    tokens = torch.zeros(2, dtype=torch.long)
    rows.prefer(torch.zeros(2, COUNT), tokens, torch.ones(2, dtype=torch.bool))
    assert int(tokens[0]) in gains(short, INSIDE)
    assert int(tokens[1]) in gains(long, INSIDE)


def test_nothing_is_read_on_the_host() -> None:
    counting = Counting()
    with fake_device():
        table = Table.empty(4, 64, torch.device(DEVICE))
        kinds = torch.empty(COUNT, dtype=torch.int8, device=DEVICE)
        states, tokens = (torch.empty(4, dtype=torch.long, device=DEVICE) for _ in range(2))
        given_scores = torch.empty(4, COUNT, device=DEVICE)
        with counting:
            chosen = table.preferred(given_scores, tokens, states)
            table.following(states, chosen, kinds)
    assert counting.devices == {DEVICE}
    assert sum(counting.kernels.values()) < 40
    assert len(after()) == COUNT
