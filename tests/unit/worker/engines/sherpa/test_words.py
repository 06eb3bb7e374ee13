"""Words and their times, from pieces that are appended."""

from shared.events import Word
from worker.engines.sherpa.spelling import Piece
from worker.engines.sherpa.words import PIECE_SAMPLES, Words

FAR = 1_000_000


def written(*pieces: tuple[str, int]) -> Words:
    words = Words()
    for text, at_samples in pieces:
        words.append(Piece(text, at_samples))
    return words


def test_word_ends_where_the_next_begins_or_after_its_last_piece() -> None:
    words = written((" for", 1000), ("ty", 2000), (" two", 3000), (" three", 30_000))
    assert words.text == "forty two three"
    assert words.closed(FAR) == (
        Word("forty", 1000, 3000),
        Word("two", 3000, 3000 + PIECE_SAMPLES),
        Word("three", 30_000, 30_000 + PIECE_SAMPLES),
    )


def test_last_word_ends_with_its_segment() -> None:
    assert written((" a", 1000)).closed(2000) == (Word("a", 1000, 2000),)
    assert written((" a", 1000)).closed(500) == (Word("a", 1000, 1000),)
    assert written().closed(FAR) == ()


def test_word_that_may_still_grow_is_not_whole() -> None:
    words = written((" for", 1000))
    assert words.whole() == ()
    words.append(Piece("ty", 2000))
    assert words.whole() == ()
    words.append(Piece(" two", 3000))
    assert words.whole() == (Word("forty", 1000, 3000),)


def test_chinese_and_japanese_characters_are_words() -> None:
    words = written(("中", 1000), ("文，", 2000), ("かな", 3000), ("ok", 4000), ("ay", 4500), ("字", 5000))
    assert words.text == "中文，かなokay字"
    assert [word.text for word in words.closed(FAR)] == ["中", "文，", "か", "な", "okay", "字"]


def test_piece_that_is_a_space_begins_a_word() -> None:
    words = written((" a", 1000), (" ", 2000), ("b", 3000))
    assert words.text == "a b"
    assert [word.text for word in words.closed(FAR)] == ["a", "b"]


def test_punctuation_begins_no_word() -> None:
    words = written((" Yes", 1000))
    assert not words.begins_word(Piece(",", 1100))
    assert not words.begins_word(Piece("es", 1100))
    assert words.begins_word(Piece(" no", 1100))
    assert words.begins_word(Piece("中", 1100))
    assert not written().begins_word(Piece(" no", 1100))


def test_half_width_kana_keep_their_marks_of_voicing() -> None:
    assert [word.text for word in written((" \uff76\uff9e\uff77", 1000)).closed(FAR)] == ["\uff76\uff9e", "\uff77"]
