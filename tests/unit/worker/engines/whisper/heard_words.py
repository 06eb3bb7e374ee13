"""Words as the decoder hears them, made by hand."""

from shared.events import SAMPLE_RATE_HZ
from worker.engines.whisper.words import HeardWord


def word(spelled: str, start_s: float, end_s: float, probability: float = 0.9) -> HeardWord:
    """A word of a spelling such as " end.", whose tokens are the code points of its characters."""
    text = spelled.rstrip(".,?!;:")
    mark = spelled[len(text) :]
    start, end = (round(at_s * SAMPLE_RATE_HZ) for at_s in (start_s, end_s))
    return HeardWord(text, mark, tokens(text), tokens(mark), start, end, probability)


def words(text: str, start_s: float = 0.0, word_s: float = 0.5, probability: float = 0.9) -> tuple[HeardWord, ...]:
    """The words of a text, one after the other, each `word_s` long."""
    return tuple(
        word(f" {one}", start_s + index * word_s, start_s + (index + 1) * word_s, probability)
        for index, one in enumerate(text.split())
    )


def tokens(text: str) -> tuple[int, ...]:
    return tuple(ord(character) for character in text)
