"""Which words of a changing hypothesis to show: LocalAgreement-2 without the last words. Pure.

Words that two successive decodes agree on are kept until two others agree on something else. Words after them are
shown at once except the last ones, which the end of the audio may have cut. Words are compared without case and
punctuation, and keep the form in which they were first shown, so that text on a screen does not flicker.
"""

from collections.abc import Sequence

SPARE_WORDS = 1
WORDS_PER_S = 4.0
"""Fast speech. Measured: words that the model invents at the end of the audio come many at once."""
FIRST_HELD_BACK_WORDS = 2
"""Half a second of speech is often misrecognised as a greeting."""
EDGE_MARKS = ".,;:!?…。，！？"


class StableText:
    """The shown words of one open segment."""

    def __init__(self, held_back_words: int) -> None:
        self._held_back_words = held_back_words
        self._previous: list[str] = []
        self._shown: list[str] = []

    @property
    def words(self) -> tuple[str, ...]:
        return tuple(self._shown)

    def hear(self, words: Sequence[str], *, new_audio_s: float, speech_ended: bool = False) -> tuple[str, ...]:
        """The words to show after a new decode.

        `new_audio_s`: audio since the previous decode; more words than it can hold are not shown yet.
        `speech_ended`: no word was cut, so all are shown.
        """
        agreed = common_prefix(self._previous, words)
        held_back = self._held_back_words if self._previous else FIRST_HELD_BACK_WORDS
        believable = max(len(self._previous), len(self._shown)) + SPARE_WORDS + round(WORDS_PER_S * new_audio_s)
        free = len(words) if speech_ended else min(len(words) - held_back, believable)
        confirmed = common_prefix(self._shown, words)
        if confirmed == len(self._shown) or speech_ended:
            visible = max(free, agreed, confirmed)
        elif agreed > confirmed:
            visible = agreed
        else:
            visible = None
        if visible is not None:
            # The last shown word may have been at the end of the audio, and so have a wrong full stop.
            kept = min(confirmed, max(len(self._shown) - 1, 0))
            self._shown = self._shown[:kept] + list(words[kept:visible])
            if visible == len(words) and not speech_ended and self._shown:
                self._shown[-1] = self._shown[-1].rstrip(EDGE_MARKS) or self._shown[-1]
        self._previous = list(words)
        return self.words


def common_prefix(left: Sequence[str], right: Sequence[str]) -> int:
    """How many leading words are equal apart from case and punctuation."""
    count = 0
    for one, other in zip(left, right, strict=False):
        if normalised(one) != normalised(other):
            break
        count += 1
    return count


def normalised(word: str) -> str:
    """The letters and digits of a word, without case; the word itself if it has none."""
    return "".join(character for character in word.casefold() if character.isalnum()) or word.strip()
