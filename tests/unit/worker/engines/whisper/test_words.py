from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.engines.whisper.transcript import joined
from worker.engines.whisper.words import (
    HeardWord,
    Piece,
    mean_confidence,
    spelling,
    timed_words,
    word_groups,
)


def pieces(*texts: str) -> list[Piece]:
    """Pieces of one token each."""
    return [Piece(text, (index,)) for index, text in enumerate(texts)]


def timed(
    texts: Sequence[str], alignments: list[tuple[int, int]], *, first_token: int = 0, length_samples: int = 9000
) -> tuple[HeardWord, ...]:
    probabilities = [1.0] * (first_token + len(texts))
    spelled = spelling(pieces(*texts))
    return timed_words(spelled, alignments, probabilities, first_token=first_token, length_samples=length_samples)


def test_word_groups_join_marks_to_their_words() -> None:
    assert word_groups([" He", ",", " no", "."]) == [range(2), range(2, 4)]
    assert word_groups([" said", ' "', "yes", "."]) == [range(1), range(1, 4)]
    assert word_groups([]) == []


def test_marks_before_the_first_word_belong_to_the_word_before_the_answer() -> None:
    spelled = spelling(pieces(",", '"', " and", " then", "."))
    assert [piece.text for piece in spelled.lead] == [",", '"']
    assert [[piece.text for piece in word] for word in spelled.words] == [[" and"], [" then", "."]]


def test_opening_marks_belong_to_the_first_word() -> None:
    spelled = spelling(pieces(' "', "Yes", '."'))
    assert spelled.lead == ()
    assert [[piece.text for piece in word] for word in spelled.words] == [[' "', "Yes", '."']]


def test_answer_of_marks_alone_has_no_words() -> None:
    spelled = spelling(pieces("."))
    assert ([piece.text for piece in spelled.lead], spelled.words) == (["."], ())
    assert spelling([]).words == ()


def test_characters_of_scripts_without_spaces_are_words() -> None:
    words = timed(["電", "車", "で", "。"], [(0, 1), (1, 5), (2, 9), (4, 20)])
    assert [(word.text, word.mark) for word in words] == [("電", ""), ("車", ""), ("で", "。")]
    assert joined(words) == "電車で。"


def test_vowel_signs_belong_to_the_letter_before_them() -> None:
    alignments = [(0, 1), (1, 5), (2, 9), (3, 12), (4, 20)]
    words = timed(["ก", "\u0e35", "น", "!"], alignments)
    assert [(word.text, word.mark, word.tokens) for word in words] == [("กี", "", (0, 1)), ("น", "!", (2,))]
    assert [word.text for word in timed(["\u0e35", "น"], alignments)] == ["\u0e35", "น"]


def test_end_of_a_word_is_glued_to_the_forced_one() -> None:
    [end, following] = timed(["ber", " und"], [(1, 3), (2, 6), (3, 9)], first_token=1)
    begin = HeardWord(" Sil", "", (7,), (), 0, 960, 1.0)
    assert joined([begin, end, following]) == "Silber und"


def test_timed_words_end_where_the_next_begins() -> None:
    words = timed([" old", " house", "."], [(0, 5), (0, 6), (1, 10), (2, 15), (3, 20)])
    assert words == (
        HeardWord(" old", "", (0,), (), 1600, 3200, 1.0, 1.0),
        HeardWord(" house", ".", (1,), (2,), 3200, 6400, 1.0, 1.0),
    )


def test_timed_words_stay_in_order_and_in_the_audio() -> None:
    words = timed([" a", " b"], [(0, 9), (1, 4), (2, 99)], length_samples=3200)
    assert [(word.start_samples, word.end_samples) for word in words] == [(2880, 2880), (2880, 3200)]


def test_timed_words_are_found_after_forced_ones_and_marks() -> None:
    alignments = [(0, 0), (1, 3), (2, 5), (3, 10), (4, 12)]
    words = timed([",", " next"], alignments, first_token=2)
    assert [(word.text, word.start_samples, word.end_samples) for word in words] == [(" next", 3200, 3840)]


def test_probability_is_that_of_the_least_likely_letters() -> None:
    spelled = spelling([Piece(",", (9,)), Piece(" gold", (1, 2)), Piece("!", (3,)), Piece(" ring", (4,))])
    alignments = [(index, index) for index in range(7)]
    probabilities = [0.01, 0.02, 0.8, 0.6, 0.03, 0.7]
    words = timed_words(spelled, alignments, probabilities, first_token=1, length_samples=9000)
    assert [word.probability for word in words] == [0.6, 0.7]


def test_confidence_is_the_product_over_the_letters() -> None:
    spelled = spelling([Piece(" gold", (1, 2)), Piece("!", (3,)), Piece(" ring", (4,))])
    alignments = [(index, index) for index in range(5)]
    words = timed_words(spelled, alignments, [0.8, 0.5, 0.03, 0.7], first_token=0, length_samples=9000)
    assert [word.confidence for word in words] == [0.4, 0.7]
    assert mean_confidence(words) == pytest.approx(0.55)
    assert mean_confidence([replace(word, confidence=None) for word in words]) is None


@given(st.lists(st.sampled_from([" a", "b", " «", "»", ",", " -", "語", "'s", " 12"]), max_size=12))
def test_no_piece_is_lost_or_moved(texts: list[str]) -> None:
    spelled = spelling(pieces(*texts))
    found = [*spelled.lead, *(piece for word in spelled.words for piece in word)]
    assert [piece.text for piece in found] == texts
    words = timed_words(spelled, [], [1.0] * len(texts), first_token=0, length_samples=16_000)
    lead = "".join(piece.text for piece in spelled.lead)
    assert (lead + "".join(word.text + word.mark for word in words)) == "".join(texts)
    assert [token for word in words for token in (*word.tokens, *word.mark_tokens)] == list(
        range(len(spelled.lead), len(texts))
    )


@pytest.mark.parametrize("mark", [".", "?!", '."'])
def test_joined_writes_marks_after_their_words(mark: str) -> None:
    assert joined([HeardWord(" one", mark, (), (), 0, 1, 1.0), HeardWord(" two", "", (), (), 1, 2, 1.0)]) == (
        f"one{mark} two"
    )
