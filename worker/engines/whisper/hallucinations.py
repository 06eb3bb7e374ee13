"""Which words of an answer to believe: those that the audio has room for, and which times. Pure.

A decoder that has reached the edge of the audio may write words that were not said, or start again. Such words have no
voice in the audio.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from math import ceil

from shared.events import SAMPLE_RATE_HZ
from shared.words import normalised
from worker.engines.whisper.guards import LONGEST_REPEATED_WORDS
from worker.engines.whisper.voice import Voice
from worker.engines.whisper.words import HeardWord, normalised_texts

WORDS_PER_S = 5.5
"""Fast speech."""
SURE_WORDS_PER_S = 8.0
"""The fastest speech, if the decoder is sure of each word that is too many for `WORDS_PER_S`."""
SURE_PROBABILITY = 0.8
CHARACTERS_PER_S = 14.0
"""The same for scripts without spaces, in which each character counts as a word here."""
SPARE_WORD_S = 0.1
"""With more voice than this, one more word is believed."""
BEYOND_VOICE_S = 0.15
"""A word may start this long after the last voice: word times are not exact."""
INSTANT_SAMPLES = SAMPLE_RATE_HZ // 50
INSTANT_WORDS = 3
"""This many words in a row with no duration are a loop of the decoder: there is no sound for them."""
CHARACTERS_PER_WORD_S = 40.0
SPARE_CHARACTERS = 12
"""A word with more characters than this, and with more than its time can hold, is a loop, too."""
DRAWN_OUT = re.compile(r"([^\W\d_])\1{9}")
"""A letter this many times in a row, such as "Zzzzzzzzzzzz", is no word."""
STUTTER_WORDS = 3
STUTTER_PROBABILITY = 0.1
"""This many equal parts joined by hyphens, such as "T-t-t", are laughter if the decoder has guessed the first one.
Measured: its probability is at most 0.02 in synthesised laughter. Those after it are likely, as in every loop."""
MAX_ECHO_WORDS = 5
ECHO_S = 0.3
LONGEST_WORD_S = 1.0
LONGEST_LETTER_S = 0.1
LONGEST_DIGIT_S = 0.8
"""No word is longer than these together, for all of its letters and digits: a telephone number is one word. Chosen: a
slow word of ten letters takes about a second, a slow digit half of one."""
USUAL_WORD_S = 0.2
USUAL_LETTER_S = 0.07
USUAL_DIGIT_S = 0.4
"""The same for the usual length of a word: about 14 letters or 2.5 digits a second."""


def voiced_part(
    words: Sequence[HeardWord], *, voiced_s: float, voice_end_samples: int, spaced: bool
) -> tuple[HeardWord, ...]:
    """The leading words that `voiced_s` of voice can hold and that start before its end.

    `spaced`: whether the language writes spaces between words.
    """
    spare = int(voiced_s > SPARE_WORD_S)
    limit = ceil((WORDS_PER_S if spaced else CHARACTERS_PER_S) * voiced_s) + spare
    sure_limit = ceil(SURE_WORDS_PER_S * voiced_s) + spare if spaced else limit
    last_start = voice_end_samples + BEYOND_VOICE_S * SAMPLE_RATE_HZ
    count = 0
    while count < min(sure_limit, len(words)) and words[count].start_samples <= last_start:
        if count >= limit and not _is_sure(words[count]):
            break
        count += 1
    too_many = len(words) > min(limit, count)
    if too_many or spaced:
        count = min(count, _silent_repetition(words, anywhere=too_many))
    return tuple(words[: min(count, _loop_start(words))])


def _is_sure(word: HeardWord) -> bool:
    return word.probability >= SURE_PROBABILITY and not _is_instant(word)


def _silent_repetition(words: Sequence[HeardWord], *, anywhere: bool) -> int:
    """The index of the first repetition of several words of which one has no sound; the number of words if none is.

    Decoders write a short phrase twice or more often, mostly if it is quiet. Unless `anywhere`, only the last words can
    be one: what follows a repetition has been heard.
    """
    texts = normalised_texts(words)
    for start in range(2, len(words)):
        for length in range(2, min(LONGEST_REPEATED_WORDS, start) + 1):
            end = start + length
            said_again = texts[start:end] == texts[start - length : start] and (anywhere or end == len(words))
            if said_again and any(_is_instant(word) for word in words[start:end]):
                return start
    return len(words)


def _is_instant(word: HeardWord) -> bool:
    return word.end_samples - word.start_samples < INSTANT_SAMPLES


def _loop_start(words: Sequence[HeardWord]) -> int:
    """The index of the first word without sound, or of laughter; the number of words if there is none."""
    instant = 0
    for index, word in enumerate(words):
        length_samples = word.end_samples - word.start_samples
        if len(word.text) > SPARE_CHARACTERS + CHARACTERS_PER_WORD_S * length_samples / SAMPLE_RATE_HZ:
            return index
        if DRAWN_OUT.search(word.text.casefold()) or _is_stutter(words[index : index + STUTTER_WORDS]):
            return index
        instant = instant + 1 if _is_instant(word) else 0
        if instant == INSTANT_WORDS:
            return index + 1 - INSTANT_WORDS
    return len(words)


def _is_stutter(words: Sequence[HeardWord]) -> bool:
    """Whether a guessed word is repeated with hyphens, as the decoder writes laughter."""
    if len(words) < STUTTER_WORDS or words[0].probability >= STUTTER_PROBABILITY:
        return False
    first = normalised(words[0].text).strip("-")
    return all(one.text.startswith("-") and normalised(one.text).strip("-") == first for one in words[1:])


def with_end(words: Sequence[HeardWord], voice: Voice) -> tuple[HeardWord, ...]:
    """The words; the last one has the usual length of such a word if it would be too long for any.

    If the decoder stops too early, the aligner adds to the last word all of the speech after it. It also adds the pause
    before a word, which is not counted.
    """
    if not words:
        return ()
    last = words[-1]
    start_samples = voice.start_after(last.start_samples)
    digits = sum(character.isdigit() for character in last.text)
    letters = len(last.text.strip()) - digits
    longest_s = LONGEST_WORD_S + LONGEST_LETTER_S * letters + LONGEST_DIGIT_S * digits
    if last.end_samples - start_samples <= longest_s * SAMPLE_RATE_HZ:
        return tuple(words)
    usual_s = USUAL_WORD_S + USUAL_LETTER_S * letters + USUAL_DIGIT_S * digits
    return (*words[:-1], replace(last, end_samples=start_samples + round(usual_s * SAMPLE_RATE_HZ)))


def without_echo(words: Sequence[HeardWord], settled: Sequence[HeardWord]) -> tuple[HeardWord, ...]:
    """The words, without those at the beginning that repeat the end of the settled ones at the same position."""
    for count in range(min(MAX_ECHO_WORDS, len(words), len(settled)), 0, -1):
        same = normalised_texts(words[:count]) == normalised_texts(settled[-count:])
        if same and words[0].start_samples < settled[-1].end_samples + ECHO_S * SAMPLE_RATE_HZ:
            return tuple(words[count:])
    return tuple(words)
