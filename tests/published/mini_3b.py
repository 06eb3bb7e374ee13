"""mistralai/Voxtral-Mini-3B-2507 as it was published: two files of weights with an index, and a configuration of 2025.

That is older than what transformers writes today: `rope_theta` and `rope_scaling` stand in the text part itself, the
precision is `torch_dtype`, and the section `audio` of the vocabulary names no `transcription_format`.
"""

from copy import deepcopy
from pathlib import Path
from typing import Any, Final

from tests.published.files import Shapes, weights_bytes, write_json, write_tekken, write_weights

CONFIG: Final[dict[str, Any]] = {
    "architectures": ["VoxtralForConditionalGeneration"],
    "audio_config": {
        "activation_dropout": 0.0,
        "activation_function": "gelu",
        "attention_dropout": 0.0,
        "dropout": 0.0,
        "head_dim": 64,
        "hidden_size": 1280,
        "initializer_range": 0.02,
        "intermediate_size": 5120,
        "layerdrop": 0.0,
        "max_source_positions": 1500,
        "model_type": "voxtral_encoder",
        "num_attention_heads": 20,
        "num_hidden_layers": 32,
        "num_key_value_heads": 20,
        "num_mel_bins": 128,
        "scale_embedding": False,
        "vocab_size": 51_866,
    },
    "audio_token_id": 24,
    "hidden_size": 3072,
    "model_type": "voxtral",
    "projector_hidden_act": "gelu",
    "text_config": {
        "attention_bias": False,
        "attention_dropout": 0.0,
        "head_dim": 128,
        "hidden_act": "silu",
        "hidden_size": 3072,
        "initializer_range": 0.02,
        "intermediate_size": 8192,
        "max_position_embeddings": 131_072,
        "mlp_bias": False,
        "model_type": "llama",
        "num_attention_heads": 32,
        "num_hidden_layers": 30,
        "num_key_value_heads": 8,
        "pretraining_tp": 1,
        "rms_norm_eps": 1e-05,
        "rope_scaling": None,
        "rope_theta": 100_000_000.0,
        "sliding_window": None,
        "use_cache": True,
        "vocab_size": 131_072,
    },
    "torch_dtype": "bfloat16",
    "transformers_version": "4.54.0.dev0",
    "vocab_size": 131_072,
}
AUDIO: Final = {
    "sampling_rate": 16_000,
    "frame_rate": 12.5,
    "audio_encoding_config": {"num_mel_bins": 128, "hop_length": 160, "window_size": 400},
    "chunk_length_s": 30.0,
}
EXTRACTOR: Final = {
    "chunk_length": 30,
    "dither": 0.0,
    "feature_extractor_type": "WhisperFeatureExtractor",
    "feature_size": 128,
    "hop_length": 160,
    "n_fft": 400,
    "n_samples": 480_000,
    "nb_max_frames": 3000,
    "padding_side": "right",
    "padding_value": 0.0,
    "processor_class": "VoxtralProcessor",
    "return_attention_mask": False,
    "sampling_rate": 16_000,
}
SHARDS: Final = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")


def small_config() -> dict[str, Any]:
    """The published one with narrow layers, two of each kind, and a small vocabulary. All else is as published."""
    config = deepcopy(CONFIG)
    # The projector reads four positions of the encoder as one: its input is the encoder's inner width.
    config["audio_config"] |= {"hidden_size": 64, "head_dim": 32, "intermediate_size": 256, "num_hidden_layers": 2}
    config["audio_config"] |= {"num_attention_heads": 2, "num_key_value_heads": 2}
    config["text_config"] |= {"hidden_size": 96, "head_dim": 32, "intermediate_size": 160, "num_hidden_layers": 2}
    config["text_config"] |= {"num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 2560}
    return config | {"hidden_size": 96, "vocab_size": 2560}


def write_checkpoint(directory: Path, config: dict[str, Any] = CONFIG, *, sparse: bool = False) -> Path:
    """All that the repository holds and a worker downloads; `sparse` as of `write_weights`. Returns the directory."""
    directory.mkdir(parents=True, exist_ok=True)
    write_json(directory / "config.json", config)
    write_json(directory / "generation_config.json", {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 11})
    write_json(directory / "preprocessor_config.json", EXTRACTOR)
    write_tekken(directory / "tekken.json", config["vocab_size"], "v11", AUDIO)
    every = shapes(config)
    items = list(every.items())
    shards = dict(zip(SHARDS, (dict(items[: len(items) // 2]), dict(items[len(items) // 2 :])), strict=True))
    for name, part in shards.items():
        write_weights(directory / name, part, sparse=sparse)
    where = {tensor: name for name, part in shards.items() for tensor in part}
    index = {"metadata": {"total_size": weights_bytes(every)}, "weight_map": where}
    write_json(directory / "model.safetensors.index.json", index)
    return directory


def shapes(config: dict[str, Any] = CONFIG) -> Shapes:
    """Every tensor by its published name."""
    text, wide = config["text_config"], config["text_config"]["hidden_size"]
    found = dict(_encoder(config["audio_config"]))
    found["multi_modal_projector.linear_1.weight"] = (wide, config["audio_config"]["intermediate_size"])
    found["multi_modal_projector.linear_2.weight"] = (wide, wide)
    found["language_model.model.embed_tokens.weight"] = (text["vocab_size"], wide)
    heads, key_heads = (text["head_dim"] * text[name] for name in ("num_attention_heads", "num_key_value_heads"))
    inner = text["intermediate_size"]
    sizes = {
        "self_attn.q_proj": (heads, wide),
        "self_attn.k_proj": (key_heads, wide),
        "self_attn.v_proj": (key_heads, wide),
        "self_attn.o_proj": (wide, heads),
        "mlp.gate_proj": (inner, wide),
        "mlp.up_proj": (inner, wide),
        "mlp.down_proj": (wide, inner),
        "input_layernorm": (wide,),
        "post_attention_layernorm": (wide,),
    }
    for layer in range(text["num_hidden_layers"]):
        found |= {f"language_model.model.layers.{layer}.{name}.weight": size for name, size in sizes.items()}
    found["language_model.model.norm.weight"] = (wide,)
    found["language_model.lm_head.weight"] = (text["vocab_size"], wide)
    return found


def _encoder(audio: dict[str, Any]) -> Shapes:
    width, inner = audio["hidden_size"], audio["intermediate_size"]
    found: dict[str, tuple[int, ...]] = {
        "audio_tower.conv1.weight": (width, audio["num_mel_bins"], 3),
        "audio_tower.conv1.bias": (width,),
        "audio_tower.conv2.weight": (width, width, 3),
        "audio_tower.conv2.bias": (width,),
        "audio_tower.embed_positions.weight": (audio["max_source_positions"], width),
        "audio_tower.layer_norm.weight": (width,),
        "audio_tower.layer_norm.bias": (width,),
    }
    square = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.out_proj")
    biased = ("self_attn.q_proj", "self_attn.v_proj", "self_attn.out_proj", "fc2")
    norms = ("self_attn_layer_norm", "final_layer_norm")
    for layer in range(audio["num_hidden_layers"]):
        prefix = f"audio_tower.layers.{layer}"
        found |= {f"{prefix}.{name}.weight": (width, width) for name in square}
        found |= {f"{prefix}.{name}.weight": (width,) for name in norms}
        found |= {f"{prefix}.{name}.bias": (width,) for name in (*biased, *norms)}
        found[f"{prefix}.fc1.weight"], found[f"{prefix}.fc1.bias"] = (inner, width), (inner,)
        found[f"{prefix}.fc2.weight"] = (width, inner)
    return found
