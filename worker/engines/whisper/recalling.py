"""The words of a session's previous owner, as if this worker had decoded them. Pure."""

from collections.abc import Callable, Sequence

from shared.word_places import spelled_words
from worker.engines.base import History, SettledWord
from worker.engines.whisper.words import HeardWord


def recalled_words(
    words: Sequence[SettledWord], start_samples: int, tokens: Callable[[str], tuple[int, ...]]
) -> list[HeardWord]:
    """Words for a decoder to begin with. The first starts at `start_samples`, others at the end of the word before."""
    recalled: list[HeardWord] = []
    for word in words:
        end = max(word.end_samples, start_samples)
        recalled.append(HeardWord(word.text, "", tokens(word.text), (), start_samples, end, 1.0))
        start_samples = end
    return recalled


def spelled(history: History) -> list[SettledWord]:
    """The committed words, each with the text before it in the committed text."""
    texts = spelled_words(" " + history.committed_text, (word.text for word in history.committed))
    return [SettledWord(text, word.end_samples) for text, word in zip(texts, history.committed, strict=True)]
