"""What to commit of partials that may be revised: the words that two successive ones agree on, except the last. Pure.

For engines that do not commit by themselves. If a later partial revises a committed word, the word stays
and the rest is aligned with it.
"""

from shared.continuation import TextWord, common_words, continuation, words_of


class AgreedText:
    """One segment. `committed` only grows, and each returned text begins with it."""

    def __init__(self) -> None:
        self._previous: list[TextWord] = []
        self.committed = ""

    def hear(self, text: str) -> str:
        """The text to show for a new partial."""
        words = words_of(text)
        agreed = min(common_words(self._previous, words), len(words) - 1)
        self._previous = words
        if agreed > 0:
            self.committed += continuation(self.committed, text[: words[agreed - 1].end])
        return self.close(text)

    def close(self, text: str) -> str:
        """The text of the final."""
        return self.committed + continuation(self.committed, text)
