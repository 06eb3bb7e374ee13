"""Where a Voxtral checkpoint is stored, on which device it runs, and how it is loaded. Knows no engine.

Every failure is a `StartupError` of one sentence that names the setting to change. Needs torch and
transformers, so only engines that use them import it.
"""

import json
import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, Final, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from transformers import PreTrainedModel
from transformers.utils import logging as transformers_logging

from shared.config.sections import ModelSettings
from shared.errors import StartupError
from shared.gpus import driver_version, largest_gpu
from shared.torch_build import TorchBuild, generation_obstacle
from worker.engines.loading.huggingface import cached_snapshot, downloaded_snapshot

CONFIG_NAME: Final = "config.json"
VOCABULARY_NAME: Final = "tekken.json"
WEIGHTS_NAME: Final = "model.safetensors"
WEIGHTS_INDEX_NAME: Final = "model.safetensors.index.json"
"""The index of a checkpoint that is split into several files."""
MEMORY_INFO: Final = Path("/proc/meminfo")
BYTES_PER_GB: Final = 1e9
WORKING_SHARE: Final = 1.05
"""The weights and the additional memory to load them, in multiples of the weights."""
STORED_AS: Final = {"float32": "F32", "float16": "F16", "bfloat16": "BF16"}
"""The name of each precision in a safetensors header."""

Model = TypeVar("Model", bound=PreTrainedModel)


@dataclass(frozen=True, slots=True)
class Placement:
    """The device and precision in which a model runs."""

    device: str
    """`cpu`, `cuda:0`, `cuda:1`, …"""
    dtype: torch.dtype
    attn_implementation: str

    @property
    def compute_type(self) -> str:
        """The name of the precision: `bfloat16`."""
        return str(self.dtype).removeprefix("torch.")


@dataclass(frozen=True, slots=True)
class Conversion:
    """How a model is made smaller before it goes to its device."""

    applies: Callable[[str], bool]
    """Whether it converts the checkpoint's tensor of this name. Each number of it then takes one byte."""
    run: Callable[[Any, torch.device], None]


@dataclass(frozen=True, slots=True)
class _Weights:
    parameters: int
    converted: int
    """How many of the parameters are converted to one byte."""
    stored_as: set[str]


def locate(model: ModelSettings, repository: str) -> Path:
    """The directory of the checkpoint: `model.path`, or `repository` in the Hub's cache, downloaded if needed.

    It holds config.json, tekken.json and all the weights. Raises `StartupError`.
    """
    if model.path is not None:
        directory = model.path.expanduser()
        if not directory.is_dir():
            raise StartupError(f"Setting model.path is {str(model.path)!r}, which is not a directory.")
        if missing := missing_files(directory):
            raise StartupError(f"Setting model.path is {str(model.path)!r}, which lacks {', '.join(missing)}.")
        return directory
    cached = cached_snapshot(repository)
    if cached is not None and not missing_files(cached):
        return cached
    directory = downloaded_snapshot(repository)
    if missing := missing_files(directory):
        raise StartupError(
            f"Setting model.name is {repository!r}, but {', '.join(missing)} is neither in the Hub's cache nor "
            "available for download; check the name and the connection, or set model.path to a local copy."
        )
    return directory


def missing_files(directory: Path) -> list[str]:
    """Names of the files that a checkpoint needs and `directory` lacks."""
    wanted = [CONFIG_NAME, VOCABULARY_NAME, *(path.name for path in weight_files(directory))]
    return [name for name in wanted if not (directory / name).is_file()]


def weight_files(directory: Path) -> list[Path]:
    """The files from which transformers will read the weights, whether they exist or not."""
    index = directory / WEIGHTS_INDEX_NAME
    if (directory / WEIGHTS_NAME).is_file() or not index.is_file():
        return [directory / WEIGHTS_NAME]
    names = _read_json(index).get("weight_map", {})
    return [directory / name for name in sorted(set(names.values()))]


def placement(model: ModelSettings) -> Placement:
    """The device and precision that the settings request. Raises `StartupError` if this machine lacks them."""
    device = _device(model.device)
    on_cpu = device == "cpu"
    if on_cpu and model.torch_dtype == "float16":
        raise StartupError(
            "Setting model.torch_dtype is 'float16', which is slow and overflows on a CPU; "
            "allowed on a CPU: auto, float32, bfloat16."
        )
    name = model.torch_dtype
    if name == "auto":
        name = "float32" if on_cpu else "bfloat16"
    attention = "sdpa" if model.attn_implementation == "auto" else model.attn_implementation
    return Placement(device, getattr(torch, name), attention)


def free_memory_bytes(device: str) -> int:
    """Free memory of the device; for a CPU, what is available without swapping."""
    if device.startswith("cuda"):
        return int(torch.cuda.mem_get_info(torch.device(device))[0])
    if MEMORY_INFO.is_file():
        for line in MEMORY_INFO.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")  # not Linux: all installed memory


def load(
    model_class: type[Model], directory: Path, placement: Placement, conversion: Conversion | None = None
) -> Model:
    """The model with its weights on its device, in evaluation mode and without gradients.

    Raises `StartupError` if the checkpoint has another architecture, is damaged, or does not fit into memory.
    """
    _check_architecture(model_class, directory)
    _check_memory(directory, placement, conversion)
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            loaded: Any = model_class.from_pretrained(
                directory,
                dtype=placement.dtype,
                attn_implementation=placement.attn_implementation,
                local_files_only=True,
                use_safetensors=True,
                output_loading_info=True,
            )
            model, report = loaded
            if conversion is not None:
                conversion.run(model, torch.device(placement.device))
            model.to(placement.device)
    except torch.OutOfMemoryError as error:
        raise StartupError(f"The model in {directory} does not fit into the memory of {placement.device}.") from error
    except Exception as error:  # whatever the library raises becomes one sentence
        reason = " ".join(str(error).split())[:200].rstrip(".")
        raise StartupError(f"The model in {directory} cannot be loaded: {reason}.") from error
    if missing := sorted(report["missing_keys"]):
        raise StartupError(f"The model in {directory} lacks {len(missing)} weights, {missing[0]} first; copy it again.")
    checkpoint: Model = model.eval()
    checkpoint.requires_grad_(requires_grad=False)
    if placement.device.startswith("cuda"):
        torch.cuda.empty_cache()  # buffers of the conversion: what is free next decides how many sessions fit
    return checkpoint


def _device(wanted: str) -> str:
    """`cpu` or `cuda:N`."""
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if wanted == "cpu" or (wanted == "auto" and count == 0):
        return "cpu"
    if count == 0:
        raise StartupError(
            f"Setting model.device is {wanted!r}, but torch {torch.__version__} sees no CUDA device: it "
            f"{_cuda_obstacle()}, or set model.device to auto or cpu."
        )
    index = largest_gpu() if wanted == "auto" else int(wanted.partition(":")[2] or 0)
    if index >= count:
        names = ", ".join(f"cuda:{one}" for one in range(count))
        raise StartupError(f"Setting model.device is {wanted!r}, but this machine has only {names}.")
    if obstacle := generation_obstacle(torch.cuda.get_device_capability(index), torch.cuda.get_arch_list()):
        raise StartupError(
            f"Setting model.device is {wanted!r}, but {torch.cuda.get_device_name(index)} (cuda:{index}) {obstacle}, "
            "or set model.device to another GPU or to cpu."
        )
    return f"cuda:{index}"


def _cuda_obstacle() -> str:
    obstacle = TorchBuild(torch.__version__, torch.version.cuda).obstacle(driver_version())
    if obstacle is not None:
        return obstacle
    try:
        torch.cuda.init()
    except (RuntimeError, AssertionError) as error:
        reason = str(error).partition("\n")[0].rstrip(".")
        return f"says {reason!r}; check the driver and CUDA_VISIBLE_DEVICES"
    return "finds a driver and no GPU; check CUDA_VISIBLE_DEVICES"


def _check_architecture(model_class: type[PreTrainedModel], directory: Path) -> None:
    assert model_class.config_class, "a model class has a configuration"
    wanted = model_class.config_class.model_type
    found = _read_json(directory / CONFIG_NAME).get("model_type")
    if found != wanted:
        raise StartupError(
            f"The model in {directory} is of type {found!r}, but the engine that model.name selects runs {wanted!r}; "
            "change model.name or model.path."
        )


def _check_memory(directory: Path, placement: Placement, conversion: Conversion | None) -> None:
    weights = _measured(directory, conversion)
    whole_bytes = weights.parameters * placement.dtype.itemsize
    needs_bytes = {placement.device: whole_bytes - weights.converted * (placement.dtype.itemsize - 1)}
    if weights.stored_as != {STORED_AS[placement.compute_type]}:
        # Weights that are stored in this precision stay memory-mapped and take no memory besides the GPU's.
        needs_bytes["cpu"] = whole_bytes
    for device, model_bytes in needs_bytes.items():
        needed_bytes, free_bytes = round(model_bytes * WORKING_SHARE), free_memory_bytes(device)
        if needed_bytes > free_bytes:
            place = "this machine" if device == "cpu" else device
            precision = f"{placement.compute_type} and 8 bits" if conversion else placement.compute_type
            raise StartupError(
                f"The model in {directory} needs {needed_bytes / BYTES_PER_GB:.1f} GB of memory in "
                f"{precision}, but {place} has {free_bytes / BYTES_PER_GB:.1f} GB free; free some, or "
                "change model.name, model.device or model.torch_dtype, or, for Voxtral Realtime, model.weight_dtype."
            )


def _measured(directory: Path, conversion: Conversion | None) -> _Weights:
    """The sizes in the headers of the files. A truncated file is detected here."""
    parameters, converted, stored_as = 0, 0, set()
    for path in weight_files(directory):
        try:
            with safe_open(path, framework="pt") as weights:
                for name in weights.keys():  # noqa: SIM118 -- not a dict
                    tensor = weights.get_slice(name)
                    count = prod(tensor.get_shape())
                    parameters += count
                    converted += count if conversion is not None and conversion.applies(name) else 0
                    stored_as.add(str(tensor.get_dtype()))
        except (SafetensorError, OSError) as error:
            raise StartupError(f"The file {path} is damaged ({str(error).rstrip('.')}); copy it again.") from error
    return _Weights(parameters, converted, stored_as)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise StartupError(f"The file {path} is damaged ({str(error).rstrip('.')}); copy it again.") from error
    if not isinstance(content, dict):
        raise StartupError(f"The file {path} is damaged (it holds no JSON object); copy it again.")
    return content
