"""The model's prompts as tokens: identical to the result of mistral-common's `encode_transcription` and
`encode_chat_completion` for the same audio and text, without writing audio to a file. Pure.
"""

from dataclasses import dataclass
from typing import Final

from shared.events import SAMPLE_RATE_HZ
from worker.engines.voxtral.vocabulary import WINDOW_S, Vocabulary

WINDOW_SAMPLES: Final = WINDOW_S * SAMPLE_RATE_HZ


@dataclass(frozen=True, slots=True)
class Prompt:
    """`head`, then `tokens_per_window` times `audio` for each window, then `tail`."""

    head: tuple[int, ...]
    audio: int
    windows: int
    tokens_per_window: int
    tail: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.head) + self.windows * self.tokens_per_window + len(self.tail)

    def position_of(self, first_window: int) -> int:
        """Start of the piece that begins with this window: `head` belongs to the first piece."""
        return len(self.head) + first_window * self.tokens_per_window if first_window else 0

    def audio_in_piece(self, first_window: int) -> int:
        """How many tokens of the piece that begins with this window come before its audio."""
        return 0 if first_window else len(self.head)

    def piece(self, first_window: int, windows: int) -> list[int]:
        """The part that holds these windows. The pieces of successive windows make the whole prompt."""
        tokens = [self.audio] * (windows * self.tokens_per_window)
        if first_window == 0:
            tokens = [*self.head, *tokens]
        if first_window + windows == self.windows:
            tokens += self.tail
        return tokens


class Prompts:
    """Prompts for audio of any length except zero."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self.tokens_per_window = vocabulary.audio_config.num_audio_tokens(WINDOW_SAMPLES)

    def transcription(self, samples: int, language: str | None) -> Prompt:
        """A request to transcribe. `language` is an ISO 639-1 code; None lets the model detect it."""
        spoken = self._vocabulary.encode(f"lang:{language}") if language else []
        return self._prompt(samples, [self._vocabulary.end_instruction, *spoken, self._vocabulary.transcribe])

    def message(self, samples: int, text: str | None) -> Prompt:
        """A user's message: the audio, and a question about it unless the audio itself contains the question."""
        asked = self._vocabulary.encode(text) if text else []
        return self._prompt(samples, [*asked, self._vocabulary.end_instruction])

    def _prompt(self, samples: int, tail: list[int]) -> Prompt:
        words = self._vocabulary
        head = (words.bos, words.begin_instruction, words.begin_audio)
        return Prompt(head, words.audio, windows_of(samples), self.tokens_per_window, tuple(tail))


def windows_of(samples: int) -> int:
    """How many windows of the encoder the audio fills, the last one perhaps partly."""
    assert samples > 0, "no audio, no prompt"
    return -(-samples // WINDOW_SAMPLES)
