"""A tiny Voxtral checkpoint with random weights: the classes, files and vocabulary of the 3B model, 0.5 MB of weights.

The encoder keeps its 30 s windows. Weights are drawn wide enough that greedy texts vary and soon differ with the audio.
"""

from pathlib import Path

import torch

from tests.tiny.vocabulary import AUDIO, BOS, EOS, VOCABULARY_SIZE, write_processor

WIDTH = 32
SPREAD = 6.0
"""Multiple of transformers' own spread of initial weights; at 1 every text is the same token over and over."""


def write_checkpoint(directory: Path, *, seed: int = 0, context_tokens: int = 4096) -> Path:
    """Write everything that `worker.engines.checkpoints` wants of a model; returns the directory."""
    from transformers import VoxtralConfig, VoxtralForConditionalGeneration

    config = VoxtralConfig(
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
    torch.manual_seed(seed)
    model = VoxtralForConditionalGeneration(config)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.dim() > 1 and "embed_positions" not in name:
                weight.mul_(SPREAD)
    model.save_pretrained(directory)
    write_processor(directory, streaming=False)
    return directory
