import json
import shutil
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import load_file, save_file
from transformers import VoxtralForConditionalGeneration, VoxtralRealtimeForConditionalGeneration

from shared.config.sections import ModelSettings
from shared.errors import StartupError
from tests.tiny.voxtral import write_checkpoint
from worker.engines.loading import checkpoints
from worker.engines.loading.checkpoints import Placement, free_memory_bytes, load, locate, placement

CPU = Placement("cpu", torch.float32, "sdpa")
PROJECTOR = "multi_modal_projector.linear_1.weight"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("checkpoint"))


@pytest.fixture
def checkpoint(written: Path, tmp_path: Path) -> Path:
    """A copy that a test may break."""
    return shutil.copytree(written, tmp_path / "copy")


def test_path_is_located(checkpoint: Path) -> None:
    assert locate(ModelSettings(path=checkpoint), "owner/model") == checkpoint


def test_path_that_is_no_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match=r"model\.path is '.*nowhere', which is not a directory"):
        locate(ModelSettings(path=tmp_path / "nowhere"), "owner/model")


def test_missing_files_are_named(checkpoint: Path) -> None:
    (checkpoint / "tekken.json").unlink()
    (checkpoint / "model.safetensors").unlink()
    with pytest.raises(StartupError, match=r"which lacks tekken\.json, model\.safetensors\."):
        locate(ModelSettings(path=checkpoint), "owner/model")


def test_missing_shard_is_named(checkpoint: Path) -> None:
    shards = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
    (checkpoint / "model.safetensors").rename(checkpoint / shards[0])
    index = {"weight_map": {"a": shards[0], "b": shards[1], "c": shards[1]}}
    (checkpoint / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(StartupError, match=rf"which lacks {shards[1]}\."):
        locate(ModelSettings(path=checkpoint), "owner/model")


def test_cached_snapshot_is_taken_without_asking(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    repository = tmp_path / "models--owner--model"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("1234")
    (repository / "snapshots").mkdir()
    snapshot = checkpoint.rename(repository / "snapshots" / "1234")
    assert locate(ModelSettings(), "owner/model") == snapshot
    (snapshot / "model.safetensors").unlink()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(StartupError, match="not complete in the cache"):
        locate(ModelSettings(), "owner/model")


def test_cpu_takes_float32_unless_told_otherwise() -> None:
    assert placement(ModelSettings(device="cpu")) == CPU
    assert placement(ModelSettings(device="cpu", torch_dtype="bfloat16")).compute_type == "bfloat16"
    assert placement(ModelSettings(device="cpu", attn_implementation="eager")).attn_implementation == "eager"


def test_float16_on_a_cpu_is_refused() -> None:
    with pytest.raises(StartupError, match=r"model\.torch_dtype is 'float16'.*allowed on a CPU"):
        placement(ModelSettings(device="cpu", torch_dtype="float16"))


@pytest.mark.parametrize("device", ["cuda", "cuda:1"])
def test_absent_cuda_is_told(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert placement(ModelSettings(device="auto")).device == "cpu"
    with pytest.raises(StartupError, match=rf"model\.device is '{device}', but torch .* sees no CUDA device"):
        placement(ModelSettings(device=device))


def test_cuda_devices_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _index: (9, 0))
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: ["sm_90"])
    assert placement(ModelSettings()) == Placement("cuda:0", torch.bfloat16, "sdpa")
    assert placement(ModelSettings(device="cuda:1", torch_dtype="float16")).device == "cuda:1"
    with pytest.raises(StartupError, match=r"model\.device is 'cuda:7', but this machine has only cuda:0, cuda:1\."):
        placement(ModelSettings(device="cuda:7"))


def test_buffers_of_loading_are_freed_before_memory_is_counted(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = []
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _device: (10**12, 10**12))
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: done.append("freed"))
    monkeypatch.setattr(VoxtralForConditionalGeneration, "to", lambda *_: done.append("moved"))
    load(VoxtralForConditionalGeneration, checkpoint, Placement("cuda:0", torch.float32, "sdpa"))
    assert done == ["moved", "freed"]


def test_model_is_loaded_ready_to_infer(checkpoint: Path, capfd: pytest.CaptureFixture[str]) -> None:
    model = load(VoxtralForConditionalGeneration, checkpoint, CPU)
    assert not model.training
    assert not any(parameter.requires_grad for parameter in model.parameters())
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert model.config._attn_implementation == "sdpa"
    assert capfd.readouterr() == ("", "")


def test_model_is_loaded_in_the_wanted_precision(checkpoint: Path) -> None:
    model = load(VoxtralForConditionalGeneration, checkpoint, Placement("cpu", torch.bfloat16, "eager"))
    assert model.lm_head.weight.dtype == torch.bfloat16


def test_another_architecture_is_refused(checkpoint: Path) -> None:
    with pytest.raises(StartupError, match=r"is of type 'voxtral', but the engine .* runs 'voxtral_realtime'"):
        load(VoxtralRealtimeForConditionalGeneration, checkpoint, CPU)


def test_config_that_is_no_json_is_refused(checkpoint: Path) -> None:
    (checkpoint / "config.json").write_text("{")
    with pytest.raises(StartupError, match=r"config\.json is damaged"):
        load(VoxtralForConditionalGeneration, checkpoint, CPU)


def test_file_that_ends_early_is_named(checkpoint: Path) -> None:
    weights = checkpoint / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    with pytest.raises(StartupError, match=r"model\.safetensors is damaged"):
        load(VoxtralForConditionalGeneration, checkpoint, CPU)


def test_absent_weight_is_named(checkpoint: Path) -> None:
    weights = load_file(checkpoint / "model.safetensors")
    del weights[PROJECTOR]
    save_file(weights, checkpoint / "model.safetensors", {"format": "pt"})
    with pytest.raises(StartupError, match=r"lacks 1 weights, \S*linear_1\.weight first"):
        load(VoxtralForConditionalGeneration, checkpoint, CPU)


def test_weight_of_another_shape_is_refused(checkpoint: Path) -> None:
    weights = load_file(checkpoint / "model.safetensors")
    weights[PROJECTOR] = weights[PROJECTOR][:-1].clone()
    save_file(weights, checkpoint / "model.safetensors", {"format": "pt"})
    with pytest.raises(StartupError, match="cannot be loaded"):
        load(VoxtralForConditionalGeneration, checkpoint, CPU)


def test_too_little_memory_is_told_in_gb(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def free(device: str) -> int:
        return 100_000

    monkeypatch.setattr(checkpoints, "free_memory_bytes", free)
    with pytest.raises(StartupError, match=r"needs \d\.\d GB of memory in float32, but this machine has 0\.0 GB free"):
        load(VoxtralForConditionalGeneration, checkpoint, CPU)


@pytest.mark.parametrize(
    ("dtype", "free_bytes", "place"),
    [
        (torch.float32, {"cuda:0": 0, "cpu": 0}, "cuda:0"),
        (torch.bfloat16, {"cuda:0": 10**12, "cpu": 0}, "this machine"),
    ],
    ids=["as stored", "converted"],
)
def test_gpu_needs_room_and_a_conversion_the_machine_too(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype, free_bytes: dict[str, int], place: str
) -> None:
    monkeypatch.setattr(checkpoints, "free_memory_bytes", free_bytes.__getitem__)
    with pytest.raises(StartupError, match=f"but {place} has 0.0 GB free"):
        load(VoxtralForConditionalGeneration, checkpoint, Placement("cuda:0", dtype, "sdpa"))


def test_free_memory_of_this_machine_is_known() -> None:
    assert 10_000_000 < free_memory_bytes("cpu") < 100_000_000_000_000
