"""What tokens gain by key terms, in which states."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.session_options import KeyTerm
from tests.unit.worker.engines.keyterms.vocabulary import COUNT, PAD, WORD, after, encoded, trie_of, walked
from worker.engines.keyterms import trie as trie_module
from worker.engines.keyterms.trie import ANYWHERE, AT_START, FIRST_NODE, INSIDE, Trie, Tries, gained

TERMS = st.lists(
    st.builds(KeyTerm, st.text("abcd ", min_size=1, max_size=6).filter(str.strip), st.floats(0.1, 4)),
    min_size=1,
    max_size=5,
)
TOKENS = st.lists(st.integers(0, COUNT - 1), max_size=30)


def gains(trie: Trie, state: int) -> dict[int, float]:
    """What each token gains in a state: if it continues one term and starts another, the higher gain."""
    found: dict[int, float] = {}
    for source, token, gain in zip(trie.sources.tolist(), trie.tokens.tolist(), trie.gains.tolist(), strict=True):
        if source in (state, ANYWHERE):
            found[token] = max(found.get(token, 0.0), gain)
    return found


@given(TERMS, TOKENS)
def test_every_gain_is_bounded(terms: list[KeyTerm], tokens: list[int]) -> None:
    trie = trie_of(*terms)
    bound = 2 * max(one.boost for one in terms)
    state = walked(trie, tokens, AT_START)
    assert all(0 <= gain <= bound + 1e-6 for gain in gains(trie, state).values())


@given(TERMS, TOKENS, st.integers(4, COUNT - 1))
def test_abandoned_path_leaves_no_net_gain(terms: list[KeyTerm], tokens: list[int], token: int) -> None:
    """After a token that continues nothing, all tokens gain what they would gain without the path before it."""
    trie = trie_of(*terms)
    state = walked(trie, tokens, AT_START)
    if token in gains(trie, state):
        return
    left = trie.step(state, token)
    assert left in (INSIDE, AT_START)
    assert gains(trie, left) == gains(trie, trie.step(INSIDE, token))


@given(TERMS, TOKENS)
def test_only_continued_paths_are_open(terms: list[KeyTerm], tokens: list[int]) -> None:
    trie = trie_of(*terms)
    state = AT_START
    for token in tokens:
        offered = gains(trie, state)
        before, state = state, trie.step(state, token)
        assert (state >= FIRST_NODE) == (token in offered or (token < 4 and before >= FIRST_NODE))


@pytest.mark.parametrize("terms", [None, (), (KeyTerm("ab", 0.0),), (KeyTerm("??"),)])
def test_no_terms_make_no_trie(terms: tuple[KeyTerm, ...] | None) -> None:
    assert Tries(encoded, after).of(terms) is None


def test_path_survives_pads_and_markers_between_its_tokens() -> None:
    trie = trie_of(KeyTerm("ab c", 2.0))
    state = walked(trie, encoded(" ab"), INSIDE)
    spoken = walked(trie, [PAD, PAD, WORD, PAD], state)
    assert spoken == state
    assert gains(trie, spoken)[encoded(" c")[0]] == pytest.approx(gained(2.0, 3))


def test_terms_start_only_where_words_start() -> None:
    trie = trie_of(KeyTerm("ab"))
    spaced, plain = encoded(" a")[0], encoded("a")[0]
    assert {spaced, plain} <= gains(trie, AT_START).keys()
    inside = walked(trie, encoded(" dd"), AT_START)
    assert spaced in gains(trie, inside)
    assert plain not in gains(trie, inside)
    for opening in (encoded("("), encoded("-"), [WORD], [PAD, WORD, PAD]):
        assert plain in gains(trie, walked(trie, opening, inside))


def test_other_cases_gain_less_than_what_is_written() -> None:
    trie = trie_of(KeyTerm("ab", 2.0))
    assert gains(trie, INSIDE) == {encoded(" a")[0]: 2.0, encoded(" A")[0]: 1.0}


def test_each_further_token_adds_half_and_a_complete_term_keeps_its_gain() -> None:
    trie = trie_of(KeyTerm("ab", 2.0), KeyTerm("abcd", 2.0))
    after_a = walked(trie, encoded(" a"), INSIDE)
    assert gains(trie, after_a)[encoded("b")[0]] == 3.0, "2 of the first token, and 1"
    complete = walked(trie, encoded("b"), after_a)
    assert gains(trie, complete)[encoded("c")[0]] == 0.5, "only what is beyond the complete term"


def test_what_the_client_has_written_comes_before_other_cases_if_there_is_no_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(trie_module, "MAX_ARCS", 8)
    trie = trie_of(KeyTerm("ab"), KeyTerm("cd"))
    assert len(trie.tokens) == 8
    assert gains(trie, AT_START).keys() == {encoded(one)[0] for one in (" a", "a", " c", "c")}
