"""When a decoded text is not what was said: text that repeats itself, and words heard in noise. Pure functions.

Thresholds are those of OpenAI's Whisper unless a comment says otherwise.
"""

import zlib

COMPRESSION_RATIO_LIMIT = 2.4
LOG_PROBABILITY_LIMIT = -1.0
NO_SPEECH_LIMIT = 0.6
MIN_COMPRESSED_CHARS = 40
"""Short texts compress by chance."""
MIN_VOICED_WINDOWS = 4
"""Below 128 ms of voiced audio, text must be certain."""
BRIEF_LOG_PROBABILITY = -0.5
SHORT_VOICED_WINDOWS = 16
SHORT_WORD_PROBABILITY = 0.25
"""Below half a second of voiced audio, its words must not all be guesses."""
UNVOICED_WORD_PROBABILITY = 0.4
"""Nor must half of the text have no voice behind it, if its words are as unsure as this."""
SURE_VOICED_WINDOWS = 16
SURE_LOG_PROBABILITY_LIMIT = -1.8


def compression_ratio(text: str) -> float:
    """Bytes over compressed bytes: high when the text repeats itself."""
    encoded = text.encode()
    return len(encoded) / len(zlib.compress(encoded)) if len(text) >= MIN_COMPRESSED_CHARS else 0.0


def is_suspect(text: str, log_probability: float, *, hit_cap: bool) -> bool:
    """Whether a final deserves a second, more careful decode."""
    unlikely = log_probability < LOG_PROBABILITY_LIMIT
    return hit_cap or unlikely or compression_ratio(text) > COMPRESSION_RATIO_LIMIT


def outruns_voice(said_words: int, believed_words: int, word_probability: float, voiced_windows: int) -> bool:
    """Whether a decoder goes on about half a second of sound: measured, so it does about music and coughs.

    `believed_words`: how many of `said_words` have a voice behind them.
    """
    is_short = voiced_windows < SHORT_VOICED_WINDOWS
    return is_short and 2 * believed_words <= said_words and word_probability < UNVOICED_WORD_PROBABILITY


def is_noise(
    log_probability: float, no_speech_probability: float, word_probability: float, voiced_windows: int
) -> bool:
    """Whether the text is more likely made up than heard. `word_probability`: the mean over the words.

    The model calls an odd voice "no speech" at times; half a second of it that the VAD is sure of is kept.
    """
    if voiced_windows < MIN_VOICED_WINDOWS and log_probability < BRIEF_LOG_PROBABILITY:
        return True
    if voiced_windows < SHORT_VOICED_WINDOWS and word_probability < SHORT_WORD_PROBABILITY:
        return True
    limit = LOG_PROBABILITY_LIMIT if voiced_windows < SURE_VOICED_WINDOWS else SURE_LOG_PROBABILITY_LIMIT
    return no_speech_probability > NO_SPEECH_LIMIT and log_probability < limit
