"""A small Tekken vocabulary and the processor files around it, for tiny checkpoints of both Voxtral families.

The entries are the first of the vocabulary that mistral-common ships, so every text still has tokens (256 of them are
the bytes) and a common word is one token while a rarer one is two. The tokens of audio and of streaming have
the ranks of the published checkpoints. Knows nothing about models.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any

import mistral_common

VOCABULARY_SIZE = 2560  # special tokens among them
SPECIAL_TOKENS = 64
BOS, EOS, PAD, AUDIO = 1, 2, 11, 24
STREAMING_PAD, STREAMING_WORD = 32, 33  # nothing new; a word starts with the next token
LEFT_PAD_TOKENS = 32
DELAY_MS = 480

_SOURCE = Path(mistral_common.__file__).parent / "data" / "tekken_240911.json"
SPECIAL_NAMES = {
    0: "<unk>",
    BOS: "<s>",
    EOS: "</s>",
    3: "[INST]",
    4: "[/INST]",
    5: "[AVAILABLE_TOOLS]",
    6: "[/AVAILABLE_TOOLS]",
    7: "[TOOL_RESULTS]",
    8: "[/TOOL_RESULTS]",
    9: "[TOOL_CALLS]",
    10: "[IMG]",
    PAD: "<pad>",
    12: "[IMG_BREAK]",
    13: "[IMG_END]",
    14: "[PREFIX]",
    15: "[MIDDLE]",
    16: "[SUFFIX]",
    17: "[SYSTEM_PROMPT]",
    18: "[/SYSTEM_PROMPT]",
    19: "[TOOL_CONTENT]",
    AUDIO: "[AUDIO]",
    25: "[BEGIN_AUDIO]",
    STREAMING_PAD: "[STREAMING_PAD]",
    STREAMING_WORD: "[STREAMING_WORD]",
    34: "[TRANSCRIBE]",
    35: "[NEXT_AUDIO_TEXT]",
    36: "[REPEAT_AUDIO_TEXT]",
    37: "[ARGS]",
    38: "[CALL_ID]",
}


def write_tokenizer(
    directory: Path, *, streaming: bool = True, left_pad_tokens: int = LEFT_PAD_TOKENS, delay_ms: int = DELAY_MS
) -> Path:
    """Write `tekken.json`: for Voxtral Realtime, or for Voxtral (30 s windows, instructions) if not `streaming`.

    `left_pad_tokens` positions of silence go before a session's audio; `delay_ms`, a multiple of 80, is what a session
    has that names no delay. Both are of no account if not `streaming`. Returns the file.
    """
    if streaming:
        mode: dict[str, Any] = {
            "transcription_format": "streaming",
            "transcription_delay_ms": delay_ms,
            "streaming_look_ahead_ms": 2.5,
            "streaming_look_back_ms": 52.5,
            "streaming_n_left_pad_tokens": left_pad_tokens,
        }
    else:
        mode = {"transcription_format": "instruct", "chunk_length_s": 30.0}
    pattern, entries = _shipped()
    tokenizer = {
        "config": {
            "pattern": pattern,
            "num_vocab_tokens": len(entries),
            "default_vocab_size": VOCABULARY_SIZE,
            "default_num_special_tokens": SPECIAL_TOKENS,
            "version": "v13",
        },
        "audio": {
            "sampling_rate": 16_000,
            "frame_rate": 12.5,
            "audio_encoding_config": {"num_mel_bins": 128, "hop_length": 160, "window_size": 400},
            **mode,
        },
        "special_tokens": [
            {"rank": rank, "token_str": SPECIAL_NAMES.get(rank, f"<SPECIAL_{rank}>"), "is_control": True}
            for rank in range(SPECIAL_TOKENS)
        ],
        "vocab": entries,
    }
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "tekken.json"
    path.write_text(json.dumps(tokenizer, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8")
    return path


def write_processor(
    directory: Path, *, streaming: bool = True, left_pad_tokens: int = LEFT_PAD_TOKENS, delay_ms: int = DELAY_MS
) -> None:
    """Write all that `AutoProcessor.from_pretrained` needs but the model's `config.json`. See `write_tokenizer`."""
    from transformers import (
        VoxtralProcessor,
        VoxtralRealtimeFeatureExtractor,
        VoxtralRealtimeProcessor,
        WhisperFeatureExtractor,
    )
    from transformers.tokenization_mistral_common import MistralCommonBackend

    tokenizer = MistralCommonBackend(
        write_tokenizer(directory, streaming=streaming, left_pad_tokens=left_pad_tokens, delay_ms=delay_ms)
    )
    if streaming:
        processor = VoxtralRealtimeProcessor(VoxtralRealtimeFeatureExtractor(), tokenizer)
    else:
        processor = VoxtralProcessor(WhisperFeatureExtractor(feature_size=128), tokenizer)
    processor.save_pretrained(directory)
    processor.feature_extractor.save_pretrained(directory)


@cache
def _shipped() -> tuple[str, list[dict[str, Any]]]:
    """The pattern that splits a text, and the first entries of the vocabulary."""
    shipped = json.loads(_SOURCE.read_text(encoding="utf-8"))
    return shipped["config"]["pattern"], shipped["vocab"][: VOCABULARY_SIZE - SPECIAL_TOKENS]
