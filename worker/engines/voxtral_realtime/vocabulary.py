"""The tokens of a checkpoint, from its `tekken.json`, and their places in a session's prompt."""

from pathlib import Path
from typing import Any, Final

import numpy as np
from mistral_common.tokens.tokenizers.mistral import MistralTokenizer
from numpy.typing import NDArray

from shared.errors import StartupError
from worker.engines.keyterms.trie import Tries, after_tokens
from worker.engines.voxtral_realtime.prompt import Prompt
from worker.engines.voxtral_realtime.speaking import Sayable

PAD: Final = "[STREAMING_PAD]"
WORD: Final = "[STREAMING_WORD]"


class Vocabulary:
    """The meaning of each token."""

    def __init__(self, tekkenizer: Any) -> None:
        self._tekkenizer = tekkenizer
        self._special_tokens: int = tekkenizer.num_special_tokens
        self._pieces: dict[int, bytes] = {}
        """The tokens that have been decoded before."""
        self.pad_token: int = tekkenizer.get_special_token(PAD)
        self.word_token: int = tekkenizer.get_special_token(WORD)
        self.tries = Tries(self.tokens, self._after)
        """Makes the tries of key terms."""

    def sayable(self) -> Sayable:
        """The tokens that can be in a transcript."""
        allowed = np.zeros(self._tekkenizer.n_words, np.bool_)
        allowed[self._tekkenizer.num_special_tokens :] = True
        allowed[[self.pad_token, self.word_token]] = True
        return Sayable(self.pad_token, self._tekkenizer.eos_id, allowed)

    def _after(self) -> NDArray[np.int8]:
        count: int = self._tekkenizer.n_words
        return after_tokens(count, self._special_tokens, self.tokens, [self.word_token])

    def text_bytes(self, token: int) -> bytes:
        """The token's part of the text in UTF-8, perhaps not whole characters; empty for special tokens."""
        if token < self._special_tokens:
            return b""
        piece = self._pieces.get(token)
        if piece is None:
            piece = self._pieces[token] = self._tekkenizer.id_to_byte_piece(token)
        return piece

    def tokens(self, text: str) -> list[int]:
        tokens: list[int] = self._tekkenizer.encode(text, bos=False, eos=False)
        return tokens


def load_vocabulary(directory: Path) -> tuple[Vocabulary, Prompt]:
    """Raises `StartupError` if the directory's `tekken.json` has no streaming audio settings."""
    path = directory / "tekken.json"
    try:
        instruct = MistralTokenizer.from_file(path).instruct_tokenizer
    except (AssertionError, ValueError, KeyError, TypeError, OSError) as error:
        raise StartupError(f"The tokenizer {path} cannot be read: {error}.") from error
    encoder = instruct.audio_encoder
    if encoder is None or not encoder.audio_config.is_streaming:
        raise StartupError(f"The tokenizer {path} is not one of Voxtral Realtime: it has no streaming audio settings.")
    vocabulary, audio = Vocabulary(instruct.tokenizer), encoder.audio_config
    prompt = Prompt(
        bos_token=instruct.tokenizer.bos_id,
        pad_token=vocabulary.pad_token,
        left_pad_tokens=audio.n_left_pad_tokens,
        default_delay_ms=round(audio.transcription_delay_ms or 0),
        hop_samples=audio.encoding_config.hop_length,
        n_fft=audio.encoding_config.window_size,
        mel_frames=audio.audio_length_per_tok,
    )
    return vocabulary, prompt
