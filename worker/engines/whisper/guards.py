"""Detects decoded text that was not said: text that repeats itself, and words found in noise. Pure functions.

Thresholds are those of OpenAI's Whisper unless a comment says otherwise.
"""

import re
import zlib
from collections.abc import Sequence

from shared.seams import UNSPACED
from shared.words import LETTER
from worker.engines.speech.boundaries import MIN_VOICED_WINDOWS

COMPRESSION_RATIO_LIMIT = 2.4
LOG_PROBABILITY_LIMIT = -1.0
NO_SPEECH_LIMIT = 0.6
LIKELY_WORD_PROBABILITY = 0.45
LIKELY_NO_SPEECH_LIMIT = 0.8
"""Instead of `NO_SPEECH_LIMIT`, for words that are this probable. Measured: for single words over the telephone the
model reports 0.65 to 0.7, with word probabilities of 0.5 to 0.98; words that it makes up in noise have at most 0.1."""
MIN_COMPRESSED_CHARS = 40
"""Short texts compress by chance."""
BRIEF_LOG_PROBABILITY = -0.5
"""With less than `MIN_VOICED_WINDOWS`, the text must be certain."""
SHORT_VOICED_WINDOWS = 16
SHORT_WORD_PROBABILITY = 0.25
"""With less than half a second of voiced audio, at least some words must not be guesses."""
UNVOICED_WORD_PROBABILITY = 0.4
"""Nor may half of the text lack voice, if its words are as unsure as this."""
SURE_VOICED_WINDOWS = 16
SURE_LOG_PROBABILITY_LIMIT = -1.8
LONG_VOICED_WINDOWS = 40
LONG_NO_SPEECH_LIMIT = 0.65
"""In recordings, with 1.3 s of voice or more, for text below `LOG_PROBABILITY_LIMIT`. Measured with Whisper base: 0.66
to 0.78 for such text in synthesised laughter; at most 0.52 for speech, also in noise and over the telephone (12 of 134
answers were below that limit)."""
LONGEST_REPEATED_WORDS = 6
REPEATED_CHARACTERS = 6
"""Words such as いろいろ are no repetition."""
_UNSPACED = re.compile(f"[{UNSPACED}]")
_WORD = re.compile(rf"{_UNSPACED.pattern}|{LETTER}+(?:['’]{LETTER}+)*")
"""In scripts without spaces, a character."""


def compression_ratio(text: str) -> float:
    """Bytes over compressed bytes: high when the text repeats itself."""
    encoded = text.encode()
    return len(encoded) / len(zlib.compress(encoded)) if len(text) >= MIN_COMPRESSED_CHARS else 0.0


def is_suspect(text: str, log_probability: float, *, hit_cap: bool) -> bool:
    """Whether a final needs a second, more careful decode."""
    unlikely = log_probability < LOG_PROBABILITY_LIMIT
    return hit_cap or unlikely or compression_ratio(text) > COMPRESSION_RATIO_LIMIT


def repeats(before: str, text: str) -> bool:
    """Whether a text that follows another one says a word three times in a row, or several words twice.

    Two words that are alike count, too, if nothing else is said.
    """
    earlier, words = _words(before), _words(before + text)
    if len(words) == 2 and not earlier:
        return words[0] == words[1]
    return any(
        _repetition_ends(words, length) > len(earlier)
        for length in range(1, min(LONGEST_REPEATED_WORDS, len(words)) + 1)
    )


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())


def _repetition_ends(words: Sequence[str], length: int) -> int:
    """How many words there are up to the end of the last repetition of so many words; 0 if there is none."""
    run, found = 0, 0
    for index in range(length, len(words)):
        run = run + 1 if words[index] == words[index - length] else 0
        needed = 2 if length == 1 else length
        if _is_unspaced(words[index]):
            needed = max(needed, REPEATED_CHARACTERS - length)
        if run >= needed:
            found = index + 1
    return found


def _is_unspaced(word: str) -> bool:
    return bool(_UNSPACED.match(word))


def outruns_voice(said_words: int, believed_words: int, word_probability: float, voiced_windows: int) -> bool:
    """Whether there are more words than about half a second of sound can hold: measured, music and coughs cause this.

    `believed_words`: how many of `said_words` have voice in the audio.
    """
    is_short = voiced_windows < SHORT_VOICED_WINDOWS
    return is_short and 2 * believed_words <= said_words and word_probability < UNVOICED_WORD_PROBABILITY


def is_noise(
    log_probability: float, no_speech_probability: float, word_probability: float, voiced_windows: int
) -> bool:
    """Whether the text is more likely made up than heard. `word_probability`: the mean over the words.

    The model sometimes reports "no speech" for an unusual voice; half a second that the VAD is sure of is kept.
    """
    if voiced_windows < MIN_VOICED_WINDOWS and log_probability < BRIEF_LOG_PROBABILITY:
        return True
    if voiced_windows < SHORT_VOICED_WINDOWS and word_probability < SHORT_WORD_PROBABILITY:
        return True
    limit = LOG_PROBABILITY_LIMIT if voiced_windows < SURE_VOICED_WINDOWS else SURE_LOG_PROBABILITY_LIMIT
    silent = LIKELY_NO_SPEECH_LIMIT if word_probability >= LIKELY_WORD_PROBABILITY else NO_SPEECH_LIMIT
    return no_speech_probability > silent and log_probability < limit


def is_wordless(log_probability: float, no_speech_probability: float, voiced_windows: int) -> bool:
    """Whether long voice in a recording has no words, as laughter has none."""
    long = voiced_windows >= LONG_VOICED_WINDOWS
    return long and no_speech_probability > LONG_NO_SPEECH_LIMIT and log_probability < LOG_PROBABILITY_LIMIT
