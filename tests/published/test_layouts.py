"""Checkpoints with the files, names and configurations that were published are loaded, every tensor of them.

Layers are narrow and few, so that nothing is downloaded; the names, the two ways to lay out the files, and what the
configurations say beside sizes are as published.
"""

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import (
    VoxtralConfig,
    VoxtralForConditionalGeneration,
    VoxtralRealtimeConfig,
    VoxtralRealtimeForConditionalGeneration,
)

from shared.config.settings import Settings
from shared.session_options import SessionOptions
from tests.engine_sessions import heard
from tests.gpu.cards import WEIGHTS_BYTES
from tests.published import mini_3b, realtime
from tests.published.files import Shapes, weights_bytes
from tests.speech import noise
from worker.engines.base import Finished, Output
from worker.engines.loading.checkpoints import Placement, load, missing_files
from worker.engines.registry import REALTIME, load_engine
from worker.engines.voxtral_realtime.loading import _feature_extractor

CPU = Placement("cpu", torch.bfloat16, "sdpa")
MINI_3B = "mistralai/Voxtral-Mini-3B-2507"


@pytest.fixture(scope="module")
def realtime_4b(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return realtime.write_checkpoint(tmp_path_factory.mktemp("4b"), realtime.small_config())


@pytest.fixture(scope="module")
def voxtral_3b(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return mini_3b.write_checkpoint(tmp_path_factory.mktemp("3b"), mini_3b.small_config())


def test_published_sizes_are_those_of_the_files() -> None:
    assert len(realtime.shapes()) == 711
    assert weights_bytes(realtime.shapes()) == WEIGHTS_BYTES == 8_859_358_720
    assert weights_bytes(mini_3b.shapes()) == 9_352_542_208


@pytest.mark.parametrize(
    ("model_class", "config_class", "layout"),
    [
        (VoxtralRealtimeForConditionalGeneration, VoxtralRealtimeConfig, realtime),
        (VoxtralForConditionalGeneration, VoxtralConfig, mini_3b),
    ],
)
def test_published_names_are_all_that_the_model_has(model_class: Any, config_class: Any, layout: Any) -> None:
    with torch.device("meta"):
        model = model_class(config_class(**layout.CONFIG))
    parameters = {id(weight): weight.numel() for weight in model.parameters()}
    assert 2 * sum(parameters.values()) == weights_bytes(layout.shapes())


def test_realtime_checkpoint_is_loaded_with_every_tensor(realtime_4b: Path) -> None:
    assert not (realtime_4b / "preprocessor_config.json").exists()
    assert missing_files(realtime_4b) == []
    model = load(VoxtralRealtimeForConditionalGeneration, realtime_4b, CPU)
    same(model, load_file(realtime_4b / "model.safetensors"), realtime.shapes(realtime.small_config()))
    config = model.config
    assert model.lm_head.weight is model.get_input_embeddings().weight
    assert (config.audio_config.sliding_window, config.text_config.sliding_window) == (750, 8192)
    for part in (config.audio_config, config.text_config):
        assert part.rope_parameters["rope_theta"] == 1_000_000.0
    assert _feature_extractor(realtime_4b).global_log_mel_max == 1.5


def test_realtime_checkpoint_serves_sessions(realtime_4b: Path) -> None:
    assert isinstance(served(REALTIME, realtime_4b)[-1], Finished)


def test_checkpoint_without_room_on_the_disk_is_all_zero(realtime_4b: Path, tmp_path: Path) -> None:
    sparse = realtime.write_checkpoint(tmp_path, realtime.small_config(), sparse=True) / "model.safetensors"
    dense = realtime_4b / "model.safetensors"
    assert sparse.stat().st_size == dense.stat().st_size
    assert sparse.stat().st_blocks * 512 < dense.stat().st_size / 4
    zeros, values = load_file(sparse), load_file(dense)
    assert {name: tensor.shape for name, tensor in zeros.items()} == {name: one.shape for name, one in values.items()}
    assert not any(tensor.any() for tensor in zeros.values())


def test_3b_checkpoint_is_loaded_with_every_tensor(voxtral_3b: Path) -> None:
    assert missing_files(voxtral_3b) == []
    model = load(VoxtralForConditionalGeneration, voxtral_3b, CPU)
    stored = {name: tensor for shard in mini_3b.SHARDS for name, tensor in load_file(voxtral_3b / shard).items()}
    same(model, stored, mini_3b.shapes(mini_3b.small_config()))
    assert model.lm_head.weight is not model.get_input_embeddings().weight
    assert model.config.text_config.rope_parameters["rope_theta"] == 100_000_000.0
    assert model.config.text_config.rope_parameters["rope_type"] == "default"


def test_3b_checkpoint_serves_sessions(voxtral_3b: Path) -> None:
    assert isinstance(served(MINI_3B, voxtral_3b)[-1], Finished)


def same(model: Any, stored: dict[str, torch.Tensor], shapes: Shapes) -> None:
    """Everything that was stored is in the model, and the model has nothing else.

    The model's own names differ from the published ones; their last parts do not, so tensors are told by their values.
    """
    assert {name: tuple(tensor.shape) for name, tensor in stored.items()} == dict(shapes)
    unique = {id(weight): weight for weight in model.parameters()}

    def values(tensors: Any) -> list[tuple[tuple[int, ...], float, float]]:
        return sorted(
            (tuple(one.shape), float(one.double().sum()), float(one.flatten()[:7].double().sum())) for one in tensors
        )

    assert values(unique.values()) == values(stored.values())


def served(name: str, path: Path) -> list[Output]:
    """All that a session says about some noise."""
    model = {"name": name, "path": path, "device": "cpu", "threads": 1, "slots": 16, "text_window": 64}
    threads = torch.get_num_threads()
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Using the model-agnostic default", UserWarning)
            engine = load_engine(Settings(model=model))  # type: ignore[arg-type]
            engine.warm_up()
            return heard(engine, noise(1.0), SessionOptions())
    finally:
        torch.set_num_threads(threads)
