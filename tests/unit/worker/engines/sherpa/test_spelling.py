"""How tokens of streaming models become pieces of text with positions."""

from collections.abc import Sequence

import pytest

from worker.engines.sherpa.spelling import Piece, Said, Spelling

START = 1000
LATER = 64_000


def said(tokens: Sequence[str], *times_s: float, text: str | None = None) -> Said:
    return Said(tokens, times_s, "".join(tokens).replace("▁", " ").strip() if text is None else text)


def texts(pieces: list[Piece]) -> list[str]:
    return [piece.text for piece in pieces]


@pytest.mark.parametrize("mark", ["▁", " "])
def test_spelling_gives_only_what_is_new(mark: str) -> None:
    spelling = Spelling(START, marks_words=True)
    tokens = [f"{mark}for", "ty", f"{mark}two"]
    assert spelling.hear(said(tokens[:1], 0.5), START, LATER) == [Piece(" for", START + 8000)]
    assert spelling.hear(said(tokens[:1], 0.5), START, LATER) == []
    assert spelling.hear(said(tokens, 0.5, 0.75, 1.0), START, LATER) == [
        Piece("ty", START + 12_000),
        Piece(" two", START + 16_000),
    ]


def test_character_of_several_bytes_comes_with_its_last_byte() -> None:
    spelling = Spelling(0, marks_words=True)
    tokens = ["▁caf", "<0xC3>", "<0xA9>"]
    assert texts(spelling.hear(said(tokens[:2], 0.1, 0.2, text="caf"), 0, LATER)) == [" caf"]
    assert spelling.hear(said(tokens, 0.1, 0.2, 0.3, text="café"), 0, LATER) == [Piece("é", 4800)]


def test_paraformer_marks_words_that_continue() -> None:
    spelling = Spelling(0, marks_words=False)
    pieces = spelling.hear(said(["hel@@", "lo", "world", "中", "文", "ok"], text="hello world 中文 ok"), 0, 7000)
    assert texts(pieces) == [" hel", "lo", " world", " 中", "文", " ok"]
    assert [piece.at_samples for piece in pieces] == [1000, 2000, 3000, 4000, 5000, 6000]


def test_tokens_that_spell_nothing_readable_give_the_text_of_the_library() -> None:
    spelling = Spelling(0, marks_words=True)
    assert texts(spelling.hear(said(["▁ab"], 0.1), 0, LATER)) == [" ab"]
    pieces = spelling.hear(said(["▁ab", "ƌŕş", "Ƌ"], 0.1, 0.5, 1.0, text="ab文é!"), 0, LATER)
    assert texts(pieces) == ["文", "é", "!"]
    assert [piece.at_samples for piece in pieces] == [8000, 8000, 16_000]
    assert texts(spelling.hear(said(["▁ab", "ƌŕş", "Ƌ", "ƌ"], 0.1, 0.5, 1.0, 1.1, text="ab文é!"), 0, LATER)) == []


def test_times_that_cannot_be_are_brought_to_the_audio_of_the_pass() -> None:
    spelling = Spelling(0, marks_words=True)
    pieces = spelling.hear(said(["▁a", "▁b", "▁c"], 0.0, 9.0, 1.5), 16_000, 32_000)
    assert [piece.at_samples for piece in pieces] == [16_000, 32_000, 32_000]


def test_times_that_do_not_match_the_tokens_are_not_used() -> None:
    spelling = Spelling(0, marks_words=True)
    pieces = spelling.hear(said(["▁a", "▁b", "▁c"], 0.5, 0.6), 8000, 16_000)
    assert [piece.at_samples for piece in pieces] == [10_000, 12_000, 14_000]
