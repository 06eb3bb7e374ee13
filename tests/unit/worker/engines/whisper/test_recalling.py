from shared.events import Word
from tests.unit.worker.engines.whisper.heard_words import tokens
from worker.engines.base import History, SettledWord
from worker.engines.whisper.recalling import recalled_words, spelled
from worker.engines.whisper.transcript import joined


def history(text: str, *words: str) -> History:
    committed = tuple(Word(word, index * 100, index * 100 + 100) for index, word in enumerate(words))
    return History(0, (), committed, text)


def texts(history: History) -> list[str]:
    return [word.text for word in spelled(history)]


def test_recalled_words_follow_each_other_and_are_sure() -> None:
    words = recalled_words([SettledWord(" old", 300), SettledWord(" house.", 900)], 100, tokens)
    assert [(word.text, word.mark, word.start_samples, word.end_samples) for word in words] == [
        (" old", "", 100, 300),
        (" house.", "", 300, 900),
    ]
    assert [word.tokens for word in words] == [tokens(" old"), tokens(" house.")]
    assert {word.probability for word in words} == {1.0}


def test_word_that_began_before_the_audio_takes_no_time() -> None:
    [word] = recalled_words([SettledWord(" old", 300)], 500, tokens)
    assert (word.start_samples, word.end_samples) == (500, 500)


def test_committed_words_are_spelled_as_in_their_text() -> None:
    one = history("He left, and stayed", "He", "left,", "and", "stayed")
    assert texts(one) == [" He", " left,", " and", " stayed"]
    assert joined(recalled_words(spelled(one), 0, tokens)) == "He left, and stayed"


def test_scripts_without_spaces_stay_without() -> None:
    assert texts(history("電車で行く", "電", "車", "で", "行", "く")) == [" 電", "車", "で", "行", "く"]


def test_same_word_twice_is_found_twice() -> None:
    assert texts(history("no no, nobody", "no", "no,", "nobody")) == [" no", " no,", " nobody"]
    assert texts(history("Silber und", "Sil", "ber", "und")) == [" Sil", "ber", " und"]


def test_nothing_committed_is_nothing_recalled() -> None:
    assert spelled(History(0, ())) == []
    assert recalled_words([], 100, tokens) == []
