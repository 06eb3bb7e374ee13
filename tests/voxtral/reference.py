"""What transformers' `generate` and mistral-common's prompts make of a recording. The Voxtral engine must agree."""

import codecs
from io import BytesIO
from itertools import takewhile
from pathlib import Path
from wave import open as open_wave

import numpy as np
import torch
from mistral_common.protocol.instruct.chunk import AudioChunk, TextChunk
from mistral_common.protocol.instruct.messages import UserMessage
from mistral_common.protocol.instruct.request import ChatCompletionRequest
from mistral_common.protocol.transcription.request import TranscriptionRequest
from mistral_common.tokens.tokenizers.mistral import MistralTokenizer
from numpy.typing import NDArray
from transformers import VoxtralForConditionalGeneration, WhisperFeatureExtractor

from tests.tiny.vocabulary import EOS

SAMPLE_RATE_HZ = 16_000
WINDOW_SAMPLES = 30 * SAMPLE_RATE_HZ


class Reference:
    """One request at a time, greedy."""

    def __init__(self, directory: Path) -> None:
        self.model = VoxtralForConditionalGeneration.from_pretrained(directory, dtype=torch.float32)
        self.tokenizer = MistralTokenizer.from_file(directory / "tekken.json")
        self.extractor = WhisperFeatureExtractor.from_pretrained(directory)

    def transcription_prompt(self, pcm: NDArray[np.int16], language: str | None) -> list[int]:
        request = TranscriptionRequest(audio=wav(pcm), language=language)
        return self.tokenizer.encode_transcription(request).tokens

    def message_prompt(self, pcm: NDArray[np.int16], text: str | None) -> list[int]:
        content = [AudioChunk(input_audio=wav(pcm)), *([TextChunk(text=text)] if text else [])]
        request = ChatCompletionRequest(messages=[UserMessage(content=content)])
        return self.tokenizer.encode_chat_completion(request).tokens

    def features(self, pcm: NDArray[np.int16]) -> torch.Tensor:
        """`[windows, mels, frames]`, as `VoxtralProcessor` cuts them."""
        found = self.extractor(
            pcm.astype(np.float32) / 32_768,
            sampling_rate=SAMPLE_RATE_HZ,
            truncation=False,
            padding=True,
            pad_to_multiple_of=WINDOW_SAMPLES,
            return_tensors="pt",
        )["input_features"]
        return found.reshape(found.shape[1], -1, 3000).transpose(0, 1)

    def tokens(self, pcm: NDArray[np.int16], prompt: list[int], max_new_tokens: int) -> list[int]:
        """The answer, without the token that ends it."""
        ids = torch.tensor([prompt])
        found = self.model.generate(
            input_ids=ids,
            input_features=self.features(pcm),
            attention_mask=torch.ones_like(ids),
            max_new_tokens=max_new_tokens,
            do_sample=False,
        )
        answer = found[0, len(prompt) :].tolist()
        return answer[:-1] if answer[-1] == EOS else answer

    def text(self, tokens: list[int]) -> str:
        """Without a character that the answer breaks off in."""
        tekken = self.tokenizer.instruct_tokenizer.tokenizer
        last_run = list(takewhile(lambda token: not tekken.is_special(token), reversed(tokens)))[::-1]
        decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        decoder.decode(b"".join(tekken.id_to_byte_piece(token) for token in last_run))
        breaks_off = decoder.getstate()[0] != b""
        text = tekken.decode(tokens)
        return (text[:-1] if breaks_off else text).strip()


def wav(pcm: NDArray[np.int16]) -> bytes:
    memory = BytesIO()
    with open_wave(memory, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE_HZ)
        file.writeframes(pcm.tobytes())
    return memory.getvalue()


def murmur(seed: int, seconds: float) -> NDArray[np.int16]:
    """Noise that swells and fades, different for every seed. No voice."""
    random = np.random.default_rng(seed)
    time = np.arange(round(seconds * SAMPLE_RATE_HZ))
    swell = np.abs(np.sin(time / random.uniform(500, 5000)))
    return (
        (random.standard_normal(len(time)) * random.uniform(500, 5000) * swell).clip(-32_000, 32_000).astype(np.int16)
    )
