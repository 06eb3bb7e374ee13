"""Which words of a changing hypothesis to show: LocalAgreement-2 without the last words. Pure.

Words that two successive decodes agree on are kept until two others agree on something else. Words after them are
shown at once except the last ones, which the end of the audio may have cut. Words are compared without case and
punctuation, and keep the form in which they were first shown, so that text on a screen does not flicker.
"""

from collections.abc import Sequence

from shared.words import common_prefix, normalised

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
        """What is compared of the words of the last decode."""
        self._shown: list[str] = []

    @property
    def words(self) -> tuple[str, ...]:
        return tuple(self._shown)

    def hear(self, words: Sequence[str], *, new_audio_s: float, speech_ended: bool = False) -> tuple[str, ...]:
        """The words to show after a new decode.

        `new_audio_s`: audio since the previous decode; more words than it can hold are not shown yet.
        `speech_ended`: no word was cut, so all are shown.
        """
        heard = [normalised(word) for word in words]
        agreed = common_prefix(self._previous, heard)
        held_back = self._held_back_words if self._previous else FIRST_HELD_BACK_WORDS
        believable = max(len(self._previous), len(self._shown)) + SPARE_WORDS + round(WORDS_PER_S * new_audio_s)
        free = len(words) if speech_ended else min(len(words) - held_back, believable)
        confirmed = common_prefix([normalised(word) for word in self._shown], heard)
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
        self._previous = heard
        return self.words
