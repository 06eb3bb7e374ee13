from dataclasses import replace
from math import ceil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.events import SAMPLE_RATE_HZ
from tests.unit.worker.engines.whisper.heard_words import word, words
from worker.engines.whisper.hallucinations import (
    BEYOND_VOICE_S,
    CHARACTERS_PER_S,
    ECHO_S,
    WORDS_PER_S,
    voiced_part,
    with_end,
    without_echo,
)
from worker.engines.whisper.voice import Voice
from worker.engines.whisper.words import HeardWord

FAR = 3600 * SAMPLE_RATE_HZ


def texts(found: tuple[HeardWord, ...]) -> str:
    return "".join(one.text + one.mark for one in found).strip()


def believed(text: str, voiced_s: float, *, word_s: float = 0.2, spaced: bool = True, probability: float = 0.5) -> str:
    heard = words(text, word_s=word_s, probability=probability)
    return texts(voiced_part(heard, voiced_s=voiced_s, voice_end_samples=FAR, spaced=spaced))


def test_repeated_words_are_believed_if_there_is_voice_for_them() -> None:
    said = "Test. Test. Test. Test. Test. Test."
    assert believed(said, voiced_s=1.5) == said
    assert believed(said, voiced_s=0.3) == "Test. Test. Test."


def test_phrase_that_is_repeated_without_sound_is_written_once() -> None:
    said = [(" room", 0.0, 0.17), (" service,", 0.17, 0.33), (" room", 0.33, 0.33), (" service.", 0.33, 0.63)]
    heard = tuple(word(*one) for one in said)
    assert texts(voiced_part(heard, voiced_s=1.5, voice_end_samples=FAR, spaced=True)) == "room service,"
    sounding = (*heard[:2], word(" room", 0.33, 0.4), word(" service.", 0.4, 0.63))
    both = voiced_part(sounding, voiced_s=1.5, voice_end_samples=FAR, spaced=True)
    assert texts(both) == "room service, room service."


def test_phrase_without_sound_before_other_words_is_a_repetition_only_if_there_is_no_voice_for_it() -> None:
    """The aligner gives some words no sound."""
    said = [(" room", 0.0, 0.17), (" service,", 0.17, 0.33), (" room", 0.33, 0.33), (" service.", 0.33, 0.63)]
    heard = tuple(word(*one) for one in (*said, (" please.", 0.63, 1.0)))
    assert texts(voiced_part(heard, voiced_s=1.5, voice_end_samples=FAR, spaced=True)).endswith("please.")
    assert texts(voiced_part(heard, voiced_s=0.3, voice_end_samples=FAR, spaced=True)) == "room service,"


def test_phrase_whose_repetition_ends_after_the_voice_is_written_once() -> None:
    """Its beginning alone would be written otherwise, and the next window would go on from there."""
    heard = words("one two one two three", word_s=0.2)
    instant = (*heard[:2], replace(heard[2], end_samples=heard[2].start_samples), *heard[3:])
    assert texts(voiced_part(instant, voiced_s=2.0, voice_end_samples=heard[2].start_samples, spaced=True)) == "one two"


def test_last_word_ends_where_its_letters_can_end() -> None:
    """The aligner adds to it what the decoder has left out."""
    heard = (word(" than", 1.0, 1.2), word(" was.", 1.2, 6.0))
    [before, last] = with_end(heard, Voice())
    assert (before, last.text, last.start_samples, last.end_samples) == (heard[0], " was", 19_200, 25_760)
    assert with_end((word(" was.", 1.2, 2.4),), Voice()) == (word(" was.", 1.2, 2.4),)
    assert with_end((word(" Donaudampfschifffahrt", 0.0, 3.0),), Voice()) == (word(" Donaudampfschifffahrt", 0.0, 3.0),)
    number = (word(" 5552233.", 0.0, 4.4),)
    assert with_end(number, Voice()) == number, "each digit is a spoken word"
    assert with_end((), Voice()) == ()


def test_pause_that_the_aligner_adds_to_the_last_word_does_not_count() -> None:
    voice = Voice()
    for start_s in (0, 3):
        voice.hear(start_s * SAMPLE_RATE_HZ, np.ones(20), 0.5)
    heard = (word(" go.", 0.7, 3.6),)
    assert with_end(heard, voice) == heard
    [shortened] = with_end((word(" go.", 0.5, 3.6),), voice)
    assert shortened.end_samples < SAMPLE_RATE_HZ, "it begins in the voice before the pause"


def test_more_words_are_believed_if_the_decoder_is_sure_of_them() -> None:
    """The last words of fast speech: the voice of a person who mumbles is shorter than the words."""
    said = "lot more of him as soon as they find out about us"
    assert believed(said, voiced_s=1.5, probability=0.9) == said
    assert believed(said, voiced_s=1.5, probability=0.7) == said.removesuffix(" about us")
    assert believed(said, voiced_s=1.5, probability=0.9, word_s=0.01) == ""
    assert believed("one two three four five", voiced_s=0.3, probability=0.9) == "one two three four"


def test_no_voice_holds_no_words() -> None:
    assert believed("Thank you.", voiced_s=0.0) == ""
    assert believed("Yes. Yes.", voiced_s=0.08) == "Yes."


def test_scripts_without_spaces_have_more_words() -> None:
    said = "電 車 で 行 く の だ よ"
    assert believed(said, voiced_s=0.5, spaced=False) == said
    assert len(believed(said, voiced_s=0.5).split()) < len(said.split())
    assert CHARACTERS_PER_S > WORDS_PER_S


@given(st.integers(0, 60), st.floats(0, 8))
def test_believed_words_are_the_first_ones_and_within_the_rate(count: int, voiced_s: float) -> None:
    heard = words(" ".join(["word"] * count), word_s=0.3, probability=0.5)
    found = voiced_part(heard, voiced_s=voiced_s, voice_end_samples=FAR, spaced=True)
    assert found == heard[: len(found)]
    assert len(found) == min(count, ceil(WORDS_PER_S * voiced_s) + (voiced_s > 0.1))


@pytest.mark.parametrize(
    ("probabilities", "left"), [([0.01, 0.2, 0.9], "He said."), ([0.3, 0.8, 0.9], "He said. T-t-t")]
)
def test_guessed_sounds_joined_by_hyphens_are_dropped(probabilities: list[float], left: str) -> None:
    start_s = 0.6
    heard = list(words("He said.", word_s=0.3, probability=0.9))
    for text, probability in zip((" T", "-t", "-t"), probabilities, strict=True):
        heard.append(word(text, start_s, start_s + 0.2, probability=probability))
        start_s += 0.2
    assert texts(voiced_part(heard, voiced_s=2.0, voice_end_samples=FAR, spaced=True)) == left


def test_a_drawn_out_letter_is_no_word() -> None:
    assert believed("Oh, Zzzzzzzzzzzz", voiced_s=2.0, word_s=1.0) == "Oh,"
    assert believed("Hmmmmm, 10000000000000", voiced_s=2.0, word_s=1.0) == "Hmmmmm, 10000000000000"


def test_words_after_the_voice_are_dropped() -> None:
    heard = words("one two three", word_s=1.0)
    edge_s = 1.0 - BEYOND_VOICE_S
    for voice_end_s, count in ((3.0, 3), (edge_s + 0.01, 2), (edge_s - 0.01, 1)):
        end = round(voice_end_s * SAMPLE_RATE_HZ)
        assert len(voiced_part(heard, voiced_s=5.0, voice_end_samples=end, spaced=True)) == count


@pytest.mark.parametrize(
    ("settled", "answer", "left"),
    [
        ("that is a good story", "good story, he said", "he said"),
        ("that is a good story", "Story! he said", "he said"),
        ("one two three four five six", "one two three four five six seven", "one two three four five six seven"),
        ("not now", "no it is not", "no it is not"),
        ("", "hello", "hello"),
        ("bye bye", "", ""),
    ],
)
def test_echo_of_the_settled_words_is_dropped(settled: str, answer: str, left: str) -> None:
    before = words(settled, word_s=0.5)
    start_s = before[-1].end_samples / SAMPLE_RATE_HZ if before else 0.0
    assert texts(without_echo(words(answer, start_s), before)) == left


def test_same_word_said_later_is_no_echo() -> None:
    before = words("no", word_s=0.5)
    assert without_echo([word(" no", 0.5 + ECHO_S - 0.1, 1.2)], before) == ()
    later = [word(" no", 0.5 + ECHO_S + 0.1, 1.2)]
    assert without_echo(later, before) == tuple(later)
