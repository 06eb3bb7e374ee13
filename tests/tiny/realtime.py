"""A Voxtral Realtime checkpoint with random weights: classes, files and vocabulary of the 4B model, 1 MB of weights.

Its windows are short, so that seconds of audio go past them. Weights are drawn wide and the vocabulary's two ends are
not tied, so that tokens vary and soon differ with the audio and with what was said before.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tests.tiny.vocabulary import (
    BOS,
    EOS,
    PAD,
    SPECIAL_TOKENS,
    STREAMING_PAD,
    STREAMING_WORD,
    VOCABULARY_SIZE,
    write_processor,
)

ENCODER_WINDOW = 20  # frames of 20 ms
TEXT_WINDOW = 24  # positions of 80 ms
LEFT_PAD_TOKENS = 4
FRAME_SAMPLES = 1280


def write_checkpoint(directory: Path, *, seed: int = 0, max_positions: int = 4096) -> Path:
    """Write all that `worker.engines.loading.checkpoints` wants of a model. `max_positions` binds only naive code."""
    model = random_model(seed, max_positions)
    model.save_pretrained(directory)
    write_processor(directory, left_pad_tokens=LEFT_PAD_TOKENS)
    return directory


def random_model(seed: int, max_positions: int = 4096) -> Any:
    from transformers import VoxtralRealtimeConfig, VoxtralRealtimeForConditionalGeneration

    config = VoxtralRealtimeConfig(
        audio_config={
            "model_type": "voxtral_realtime_encoder",
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "head_dim": 16,
            "sliding_window": ENCODER_WINDOW,
            "vocab_size": VOCABULARY_SIZE,
            "max_position_embeddings": max_positions,
        },
        text_config={
            "model_type": "voxtral_realtime_text",
            "vocab_size": VOCABULARY_SIZE,
            "hidden_size": 64,
            "intermediate_size": 128,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "head_dim": 16,
            "sliding_window": TEXT_WINDOW,
            "max_position_embeddings": max_positions,
            "bos_token_id": BOS,
            "eos_token_id": EOS,
            "pad_token_id": PAD,
            "tie_word_embeddings": False,
        },
        tie_word_embeddings=False,
    )
    model = VoxtralRealtimeForConditionalGeneration(config).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim() > 1:
                weight.copy_(torch.randn(weight.shape, generator=generator) * 1.2 / weight[0].numel() ** 0.5)
        model.get_input_embeddings().weight.mul_(8)
    model.generation_config.eos_token_id = None  # an end-of-sequence token ends no stream
    return model


def generated(model: Any, pcm: NDArray[np.float32], delay_ms: int, *, streamed: bool = False) -> list[int]:
    """What transformers' `generate` says to one recording; `streamed` hands it features piece by piece."""
    from transformers import VoxtralRealtimeFeatureExtractor

    extractor = VoxtralRealtimeFeatureExtractor()
    delay_tokens = delay_ms // 80
    right_samples = -len(pcm) % FRAME_SAMPLES + (delay_tokens + 11) * FRAME_SAMPLES
    padded = np.pad(pcm, (LEFT_PAD_TOKENS * FRAME_SAMPLES, right_samples))
    prompt = torch.tensor([[BOS] + [STREAMING_PAD] * (LEFT_PAD_TOKENS + delay_tokens)])
    features = extractor(padded, sampling_rate=16_000, return_tensors="pt").input_features
    positions = features.shape[-1] // 8
    given = (part for part in _pieces(extractor, padded, prompt.shape[1], positions)) if streamed else features
    said = model.generate(
        input_ids=prompt,
        attention_mask=torch.ones_like(prompt),
        input_features=given,
        num_delay_tokens=delay_tokens,
        logits_processor=[_only_sayable],
        max_length=None if streamed else positions,
        do_sample=False,
    )
    return said[0, prompt.shape[1] :].tolist()


def _only_sayable(_tokens: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
    """Pads, word markers and text; an end of sequence is a pad."""
    scores = scores.clone()
    scores[:, STREAMING_PAD] = torch.maximum(scores[:, STREAMING_PAD], scores[:, EOS])
    special = torch.arange(SPECIAL_TOKENS)
    scores[:, special[(special != STREAMING_PAD) & (special != STREAMING_WORD)]] = float("-inf")
    return scores


def _pieces(extractor: Any, padded: NDArray[np.float32], first: int, positions: int) -> Any:
    """Features of the prompt's positions, then of one position at a time, as transformers' documentation streams."""
    edge = extractor.n_fft // 2
    yield extractor(
        padded[: (8 * first - 1) * 160 + edge], sampling_rate=16_000, center=True, return_tensors="pt"
    ).input_features[..., : 8 * first]
    for position in range(first, positions - 1):
        start = position * FRAME_SAMPLES - edge
        piece = padded[start : start + 1520 + 160]
        yield extractor(piece, sampling_rate=16_000, center=False, return_tensors="pt").input_features[..., :8]
