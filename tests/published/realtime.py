"""mistralai/Voxtral-Mini-4B-Realtime-2602 as it was published: its files, configuration, names and shapes of tensors.

The names are those of transformers' conversion script, in one file of 8.9 GB; the output layer is the embedding. There
is a `processor_config.json` and no `preprocessor_config.json`.
"""

from copy import deepcopy
from pathlib import Path
from typing import Any, Final

from tests.published.files import Shapes, write_json, write_tekken, write_weights

CONFIG: Final[dict[str, Any]] = {
    "architectures": ["VoxtralRealtimeForConditionalGeneration"],
    "audio_config": {
        "activation_function": "gelu",
        "attention_dropout": 0.0,
        "head_dim": 64,
        "hidden_act": "silu",
        "hidden_size": 1280,
        "initializer_range": 0.02,
        "intermediate_size": 5120,
        "max_position_embeddings": 1500,
        "model_type": "voxtral_realtime_encoder",
        "num_attention_heads": 32,
        "num_hidden_layers": 32,
        "num_key_value_heads": 32,
        "num_mel_bins": 128,
        "rms_norm_eps": 1e-05,
        "rope_parameters": {"rope_theta": 1_000_000.0, "rope_type": "default"},
        "sliding_window": 750,
        "vocab_size": 131_072,
    },
    "audio_length_per_tok": 8,
    "default_num_delay_tokens": 6,
    "downsample_factor": 4,
    "dtype": "bfloat16",
    "hidden_size": 3072,
    "model_type": "voxtral_realtime",
    "projector_hidden_act": "gelu",
    "text_config": {
        "attention_dropout": 0.0,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "head_dim": 128,
        "hidden_act": "silu",
        "hidden_size": 3072,
        "initializer_range": 0.02,
        "intermediate_size": 9216,
        "max_position_embeddings": 131_072,
        "model_type": "voxtral_realtime_text",
        "num_attention_heads": 32,
        "num_hidden_layers": 26,
        "num_key_value_heads": 8,
        "pad_token_id": None,
        "rms_norm_eps": 1e-05,
        "rope_parameters": {"rope_theta": 1_000_000.0, "rope_type": "default"},
        "sliding_window": 8192,
        "tie_word_embeddings": True,
        "use_cache": True,
        "vocab_size": 131_072,
    },
    "tie_word_embeddings": True,
    "transformers_version": "5.2.0.dev0",
}
CONDITION_WIDTH: Final = 32
"""Of what a layer makes of the delay."""
AUDIO: Final = {
    "sampling_rate": 16_000,
    "frame_rate": 12.5,
    "audio_encoding_config": {"num_mel_bins": 128, "hop_length": 160, "window_size": 400},
    "transcription_format": "streaming",
    "transcription_delay_ms": 480,
    "streaming_look_ahead_ms": 2.5,
    "streaming_look_back_ms": 52.5,
    "streaming_n_left_pad_tokens": 32,
}
EXTRACTOR: Final = {
    "feature_extractor_type": "VoxtralRealtimeFeatureExtractor",
    "feature_size": 128,
    "global_log_mel_max": 1.5,
    "hop_length": 160,
    "n_fft": 400,
    "padding_side": "right",
    "padding_value": 0.0,
    "return_attention_mask": True,
    "sampling_rate": 16_000,
    "win_length": 400,
}


def small_config() -> dict[str, Any]:
    """The published one with narrow layers, two of each kind, and a small vocabulary. All else is as published."""
    config = deepcopy(CONFIG)
    audio, text = config["audio_config"], config["text_config"]
    audio |= {"hidden_size": 64, "head_dim": 32, "intermediate_size": 128, "num_hidden_layers": 2}
    audio |= {"num_attention_heads": 4, "num_key_value_heads": 4, "vocab_size": 2560}
    text |= {"hidden_size": 96, "head_dim": 32, "intermediate_size": 160, "num_hidden_layers": 2}
    text |= {"num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 2560}
    config["hidden_size"] = text["hidden_size"]
    return config


def write_checkpoint(directory: Path, config: dict[str, Any] = CONFIG, *, sparse: bool = False) -> Path:
    """All that the repository holds and a worker downloads; `sparse` as of `write_weights`. Returns the directory."""
    directory.mkdir(parents=True, exist_ok=True)
    write_json(directory / "config.json", config)
    tokens = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 11}
    write_json(directory / "generation_config.json", {"_from_model_config": True, **tokens})
    processor = {"feature_extractor": EXTRACTOR, "processor_class": "VoxtralRealtimeProcessor"}
    write_json(directory / "processor_config.json", processor)
    write_tekken(directory / "tekken.json", config["text_config"]["vocab_size"], "v13", AUDIO)
    write_weights(directory / "model.safetensors", shapes(config), sparse=sparse)
    return directory


def shapes(config: dict[str, Any] = CONFIG) -> Shapes:
    """Every tensor by its published name."""
    audio, text = config["audio_config"], config["text_config"]
    width, bins = audio["hidden_size"], audio["num_mel_bins"]
    found: dict[str, tuple[int, ...]] = {
        "audio_tower.embedder.conv1.weight": (width, bins, 3),
        "audio_tower.embedder.conv1.bias": (width,),
        "audio_tower.embedder.conv2.weight": (width, width, 3),
        "audio_tower.embedder.conv2.bias": (width,),
        "audio_tower.norm.weight": (width,),
    }
    for layer in range(audio["num_hidden_layers"]):
        prefix = f"audio_tower.layers.{layer}"
        found |= _projections(prefix, audio)
        found |= {f"{prefix}.{name}.bias": (audio["num_attention_heads"] * audio["head_dim"],) for name in _BIASED}
        found |= {f"{prefix}.{name}.bias": (width,) for name in ("self_attn.o_proj", "mlp.down_proj")}
        found |= {f"{prefix}.{name}.weight": (width,) for name in ("self_attn_layer_norm", "final_layer_norm")}
    wide = text["hidden_size"]
    found["multi_modal_projector.linear_1.weight"] = (wide, width * config["downsample_factor"])
    found["multi_modal_projector.linear_2.weight"] = (wide, wide)
    found["language_model.model.embed_tokens.weight"] = (text["vocab_size"], wide)
    for layer in range(text["num_hidden_layers"]):
        prefix = f"language_model.model.layers.{layer}"
        found |= _projections(prefix, text)
        found[f"{prefix}.ada_rms_norm.linear1.weight"] = (CONDITION_WIDTH, wide)
        found[f"{prefix}.ada_rms_norm.linear2.weight"] = (wide, CONDITION_WIDTH)
        found |= {f"{prefix}.{name}.weight": (wide,) for name in ("input_layernorm", "post_attention_layernorm")}
    found["language_model.model.norm.weight"] = (wide,)
    return found


_BIASED: Final = ("self_attn.q_proj", "self_attn.v_proj")


def _projections(prefix: str, part: dict[str, Any]) -> Shapes:
    """The matrices of one layer of the encoder or the language model."""
    width, inner, dim = part["hidden_size"], part["intermediate_size"], part["head_dim"]
    heads, key_heads = part["num_attention_heads"] * dim, part["num_key_value_heads"] * dim
    sizes = {
        "self_attn.q_proj": (heads, width),
        "self_attn.k_proj": (key_heads, width),
        "self_attn.v_proj": (key_heads, width),
        "self_attn.o_proj": (width, heads),
        "mlp.gate_proj": (inner, width),
        "mlp.up_proj": (inner, width),
        "mlp.down_proj": (width, inner),
    }
    return {f"{prefix}.{name}.weight": size for name, size in sizes.items()}
