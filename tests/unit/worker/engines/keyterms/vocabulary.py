"""A vocabulary of letters for tests of tries: each letter is a token, with and without a space before it."""

import numpy as np
from numpy.typing import NDArray

from shared.session_options import KeyTerm
from worker.engines.keyterms.trie import After, Trie, Tries, after_tokens

PAD, WORD, SPECIAL = 0, 1, 4
LETTERS = "abcdAB(-"
SPACED = SPECIAL + len(LETTERS)
COUNT = SPACED + len(LETTERS)


def encoded(text: str) -> list[int]:
    """A space belongs to the letter after it."""
    tokens, is_spaced = [], False
    for letter in text:
        if letter == " ":
            is_spaced = True
        elif letter in LETTERS:
            tokens.append((SPACED if is_spaced else SPECIAL) + LETTERS.index(letter))
            is_spaced = False
    return tokens


def after() -> NDArray[np.int8]:
    return after_tokens(COUNT, SPECIAL, encoded, [WORD])


def trie_of(*terms: KeyTerm) -> Trie:
    trie = Tries(encoded, after).of(terms)
    assert trie is not None
    return trie


def walked(trie: Trie, tokens: list[int], state: int) -> int:
    for token in tokens:
        state = trie.step(state, token)
    return state


__all__ = ["COUNT", "PAD", "SPACED", "SPECIAL", "WORD", "After", "after", "encoded", "trie_of", "walked"]
