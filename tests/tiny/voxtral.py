"""A tiny Voxtral checkpoint with random weights: the classes, files and vocabulary of the 3B model, 2 MB of weights.

The encoder keeps its 30 s windows. Weights are drawn wide enough that greedy texts vary and soon differ with the audio.
"""

import re
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from tests.tiny.vocabulary import AUDIO, BOS, EOS, VOCABULARY_SIZE, write_processor

if TYPE_CHECKING:
    from transformers import VoxtralConfig

WIDTH = 64
END_BIAS = 2.0
"""Texts end by themselves, after 20 tokens or so."""
SPREADS = {
    "language_model.*(q|k)_proj": 30.0,
    "language_model.*(o|v)_proj": 10.0,
    "language_model.*mlp": 5.0,
    "multi_modal_projector": 10.0,
    "audio_tower.*(layers|conv).*weight": 3.0,
}
"""Multiples of transformers' own spread of initial weights, by name. At 1 a text is the same token over and over."""


def write_checkpoint(directory: Path, *, seed: int = 0, context_tokens: int = 4096, deaf: bool = False) -> Path:
    """Write everything that `worker.engines.loading.checkpoints` wants of a model; returns the directory.

    `deaf`: it says the same about any audio, so that the text of a growing segment only grows.
    """
    from transformers import VoxtralForConditionalGeneration

    torch.manual_seed(seed)
    model = VoxtralForConditionalGeneration(tiny_config(context_tokens))
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.dim() > 1:
                weight.mul_(next((spread for pattern, spread in SPREADS.items() if re.search(pattern, name)), 1.0))
        model.lm_head.weight[EOS] *= END_BIAS
        if deaf:
            model.model.multi_modal_projector.linear_2.weight.zero_()
    model.save_pretrained(directory)
    write_processor(directory, streaming=False)
    return directory


def tiny_config(context_tokens: int) -> "VoxtralConfig":
    from transformers import VoxtralConfig

    return VoxtralConfig(
        audio_config={
            "hidden_size": WIDTH,
            "intermediate_size": 4 * WIDTH,  # the projector takes four positions of the encoder at once
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "num_mel_bins": 128,
            "max_source_positions": 1500,
        },
        text_config={
            "model_type": "llama",
            "vocab_size": VOCABULARY_SIZE,
            "hidden_size": WIDTH,
            "intermediate_size": 2 * WIDTH,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "head_dim": 16,
            "max_position_embeddings": context_tokens,
            "bos_token_id": BOS,
            "eos_token_id": EOS,
        },
        audio_token_id=AUDIO,
    )
