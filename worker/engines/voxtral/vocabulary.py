"""Tekken: encodes text as tokens, and decodes tokens to text that grows and never contains half a character.

Reads `tekken.json` with mistral-common's tokenizer, which needs no audio library for it.
"""

import codecs
from pathlib import Path
from typing import Final

import numpy as np
from mistral_common.tokens.tokenizers.audio import AudioConfig
from mistral_common.tokens.tokenizers.base import SpecialTokens
from mistral_common.tokens.tokenizers.tekken import Tekkenizer
from numpy.typing import NDArray

from shared.errors import StartupError
from shared.events import SAMPLE_RATE_HZ
from worker.engines.keyterms.trie import Tries, after_tokens

WINDOW_S: Final = 30
"""The encoder processes this much audio at once; shorter audio is padded with silence."""


class Vocabulary:
    """The tokens of prompts."""

    def __init__(self, path: Path) -> None:
        """Raises `StartupError` if the file is damaged or belongs to another kind of model."""
        try:
            self._tekken = Tekkenizer.from_file(path)
            self.bos = self._tekken.bos_id
            self.eos = self._tekken.eos_id
            self.begin_instruction = self._tekken.get_special_token(SpecialTokens.begin_inst)
            self.end_instruction = self._tekken.get_special_token(SpecialTokens.end_inst)
            self.begin_audio = self._tekken.get_special_token(SpecialTokens.begin_audio)
            self.audio = self._tekken.get_special_token(SpecialTokens.audio)
            self.transcribe = self._tekken.get_special_token(SpecialTokens.transcribe)
        except (AssertionError, KeyError, OSError, TypeError, ValueError) as error:
            raise StartupError(f"The vocabulary {path} cannot be used: {' '.join(str(error).split())}.") from error
        self.tries = Tries(self.encode, self._after)
        """Makes the tries of key terms."""
        audio = self._tekken.audio
        if audio is None or audio.chunk_length_s != WINDOW_S or audio.sampling_rate != SAMPLE_RATE_HZ:
            raise StartupError(
                f"The vocabulary {path} is not for a Voxtral model with {WINDOW_S} s windows at {SAMPLE_RATE_HZ} Hz; "
                "change model.name or model.path."
            )
        self.audio_config: AudioConfig = audio

    def encode(self, text: str) -> list[int]:
        """Tokens of a text. The name of a special token, such as `[INST]`, is text like any other here."""
        return self._tekken.encode(text, bos=False, eos=False)

    def _after(self) -> NDArray[np.int8]:
        return after_tokens(self._tekken.n_words, self._tekken.num_special_tokens, self.encode)

    def piece(self, token: int) -> bytes:
        """The bytes of a token: none if it is a special one, perhaps a part of a character."""
        return b"" if self.is_special(token) else self._tekken.id_to_byte_piece(token)

    def is_special(self, token: int) -> bool:
        return token < self._tekken.num_special_tokens


class GrowingText:
    """The text of the tokens so far. It only grows; a character appears with its last byte."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._text = ""
        self.tokens = 0
        """How many tokens have been appended."""

    @property
    def text(self) -> str:
        """Without leading and trailing spaces."""
        return self._text.strip()

    def append(self, token: int) -> str:
        """Returns what the token adds to the text.

        A special token adds no text, but ends an incomplete character, as in mistral-common's `decode`.
        """
        self.tokens += 1
        added = self._decoder.decode(self._vocabulary.piece(token), final=self._vocabulary.is_special(token))
        self._text += added
        return added
