"""When a decoded text is not what was said: loops, and words heard in noise. Pure functions.

Thresholds are those of OpenAI's Whisper unless a comment says otherwise.
"""

import zlib
from collections.abc import Sequence

COMPRESSION_RATIO_LIMIT = 2.4
LOG_PROBABILITY_LIMIT = -1.0
NO_SPEECH_LIMIT = 0.6
MIN_COMPRESSED_CHARS = 40
"""Short texts compress by chance."""
LOOP_REPEATS = 3
"""People say a word twice, seldom the same phrase three times in a row."""
WORD_LOOP_REPEATS = 5
"""`no no no no` is speech; the limit is higher for single tokens."""
MAX_LOOP_TOKENS = 16
MIN_ECHO_TOKENS = 3
MIN_VOICED_WINDOWS = 4
"""Below 128 ms of voiced audio, text must be certain."""
BRIEF_LOG_PROBABILITY = -0.5
SURE_VOICED_WINDOWS = 32
SURE_LOG_PROBABILITY_LIMIT = -1.8


def compression_ratio(text: str) -> float:
    """Bytes over compressed bytes: high when the text repeats itself."""
    encoded = text.encode()
    return len(encoded) / len(zlib.compress(encoded)) if len(text) >= MIN_COMPRESSED_CHARS else 0.0


def loop_start(tokens: Sequence[int]) -> int | None:
    """Index of the second turn of the phrase that `tokens` end in, over and over; None when they do not."""
    for size in range(1, min(MAX_LOOP_TOKENS, len(tokens) // LOOP_REPEATS) + 1):
        phrase = tokens[-size:]
        start = len(tokens) - size
        while start >= size and tokens[start - size : start] == phrase:
            start -= size
        repeats = (len(tokens) - start) // size
        if repeats >= (WORD_LOOP_REPEATS if size == 1 else LOOP_REPEATS):
            return start + size
    return None


def echo_start(tokens: Sequence[int]) -> int | None:
    """Index from which `tokens` only repeat, to their end, a phrase said before; None when they do not.

    A decoder that runs past the edge of the audio likes to begin again, so the first words count even alone. A
    speaker who truly repeats himself is believed as soon as he goes on.
    """
    for size in range(len(tokens) // 2, MIN_ECHO_TOKENS - 1, -1):
        tail = list(tokens[-size:])
        if any(list(tokens[start : start + size]) == tail for start in range(len(tokens) - 2 * size + 1)):
            return len(tokens) - size
    for size in range(min(MIN_ECHO_TOKENS - 1, len(tokens) // 2), 0, -1):
        if list(tokens[-size:]) == list(tokens[:size]):
            return len(tokens) - size
    return None


def is_suspect(text: str, log_probability: float, *, looped: bool, hit_cap: bool) -> bool:
    """Whether a final deserves a second, more careful decode."""
    unlikely = log_probability < LOG_PROBABILITY_LIMIT
    return looped or hit_cap or unlikely or compression_ratio(text) > COMPRESSION_RATIO_LIMIT


def is_noise(log_probability: float, no_speech_probability: float, voiced_windows: int) -> bool:
    """Whether the text is more likely made up than heard.

    The model calls an odd voice "no speech" at times; a second of it that the VAD is sure of is not dropped for that.
    """
    if voiced_windows < MIN_VOICED_WINDOWS and log_probability < BRIEF_LOG_PROBABILITY:
        return True
    limit = LOG_PROBABILITY_LIMIT if voiced_windows < SURE_VOICED_WINDOWS else SURE_LOG_PROBABILITY_LIMIT
    return no_speech_probability > NO_SPEECH_LIMIT and log_probability < limit
