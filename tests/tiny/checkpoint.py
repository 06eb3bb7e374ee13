"""The tiny Voxtral Realtime model: its shape, and how it is written as a complete checkpoint and read again."""

from pathlib import Path

from transformers import GenerationConfig, VoxtralRealtimeConfig, VoxtralRealtimeForConditionalGeneration

from tests.tiny.vocabulary import (
    BOS,
    DELAY_MS,
    EOS,
    LEFT_PAD_TOKENS,
    PAD,
    VOCABULARY_SIZE,
    write_processor,
)

DIRECTORY = Path(__file__).parent / "voxtral_realtime"

ENCODER_WINDOW_FRAMES = 75  # of 20 ms: 1.5 s
TEXT_WINDOW_POSITIONS = 128  # of 80 ms: 10.24 s


def tiny_config() -> VoxtralRealtimeConfig:
    """All that the published one has, with fewer and narrower layers and short windows, so that tests go past them.

    As in the published one, heads × head size is not the width, and the encoder's sizes are not those of the
    language model.
    """
    common = {
        "vocab_size": VOCABULARY_SIZE,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "initializer_range": 0.04,
    }
    audio = {
        "hidden_size": 120,
        "intermediate_size": 320,
        "head_dim": 32,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10_000.0},
        "num_mel_bins": 128,
        "sliding_window": ENCODER_WINDOW_FRAMES,
    }
    text = {
        "hidden_size": 128,
        "intermediate_size": 256,
        "head_dim": 40,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1000.0},
        "num_key_value_heads": 2,
        "sliding_window": TEXT_WINDOW_POSITIONS,
        "rms_norm_eps": 1e-5,
        "bos_token_id": BOS,
        "eos_token_id": EOS,
        "pad_token_id": PAD,
        "tie_word_embeddings": True,
    }
    return VoxtralRealtimeConfig(
        audio_config={**common, **audio},
        text_config={**common, **text},
        audio_length_per_tok=8,
        default_num_delay_tokens=DELAY_MS // 80,
        downsample_factor=4,
        bos_token_id=BOS,
        eos_token_id=EOS,
        pad_token_id=PAD,
    )


def write_checkpoint(
    directory: Path, model: VoxtralRealtimeForConditionalGeneration, *, left_pad_tokens: int = LEFT_PAD_TOKENS
) -> None:
    """Write weights, configurations and processor: a directory like that of the published checkpoint."""
    model.generation_config = GenerationConfig(bos_token_id=BOS, eos_token_id=EOS, pad_token_id=PAD)
    model.save_pretrained(directory)
    write_processor(directory, left_pad_tokens=left_pad_tokens)


def read_checkpoint(directory: Path = DIRECTORY) -> VoxtralRealtimeForConditionalGeneration:
    """The model on the CPU, in float32, for inference."""
    return VoxtralRealtimeForConditionalGeneration.from_pretrained(directory).eval()
