"""Loads an engine from the settings; it is not warm yet. Every failure is a `StartupError` of one sentence."""

from pathlib import Path
from typing import Any, Final

import structlog
import torch
from transformers import VoxtralRealtimeFeatureExtractor, VoxtralRealtimeForConditionalGeneration

from shared.config.sections import ModelSettings
from shared.config.settings import Settings
from shared.errors import StartupError
from shared.session_options import Mode
from worker.engines.auto import MIN_REALTIME_SLOTS
from worker.engines.base import EngineInfo
from worker.engines.compiling import Compiler
from worker.engines.loading.checkpoints import Conversion, Placement, free_memory_bytes, load, locate, placement
from worker.engines.loading.out_of_memory import memory_needed
from worker.engines.loading.spectrogram import check_spectrogram
from worker.engines.voxtral_realtime.attention_choice import Wanted
from worker.engines.voxtral_realtime.calibration import FRAME_MS
from worker.engines.voxtral_realtime.engine import VoxtralRealtimeEngine
from worker.engines.voxtral_realtime.fp8 import FP8
from worker.engines.voxtral_realtime.mel import LogMel
from worker.engines.voxtral_realtime.model import BatchedModel
from worker.engines.voxtral_realtime.prompt import Prompt
from worker.engines.voxtral_realtime.sizes import room_for, row_bytes, row_bytes_fp8
from worker.engines.voxtral_realtime.vocabulary import load_vocabulary
from worker.engines.voxtral_realtime.weights import STORED_AS, convert, is_converted

LANGUAGES: Final = ("ar", "de", "en", "es", "fr", "hi", "it", "ja", "ko", "nl", "pt", "ru", "zh")
"""Those of the published checkpoint (its model card)."""

log = structlog.get_logger()


def load_realtime(settings: Settings, name: str, *, default_slots: int, threads: int) -> VoxtralRealtimeEngine:
    """The engine for the checkpoint `name`, or the one in `model.path`."""
    placed = placement(settings.model)  # before anything is downloaded
    directory = locate(settings.model, name)
    vocabulary, prompt = load_vocabulary(directory)
    extractor = _feature_extractor(directory)
    spectrogram = {
        "n_mels": extractor.feature_size,
        "hop_length": extractor.hop_length,
        "win_length": extractor.win_length,
        "n_fft": extractor.n_fft,
    }
    check_spectrogram(settings.spectrogram, spectrogram, name)
    _check_agreement(directory, prompt, extractor)
    if placed.device == "cpu":
        torch.set_num_threads(threads)
    weight_dtype = settings.model.weight_dtype
    _check_weight_dtype(weight_dtype, placed)
    conversion = None
    if weight_dtype in STORED_AS:
        conversion = Conversion(is_converted, lambda model, device: convert(model, weight_dtype, device))
    model = load(VoxtralRealtimeForConditionalGeneration, directory, placed, conversion)
    rows, kv_dtype = _rows(settings, model.config, placed, default_slots, prompt)
    with memory_needed(device=placed.device, slots=rows):
        batched = BatchedModel(
            model,
            LogMel(extractor),
            prompt,
            vocabulary.sayable(),
            rows=rows,
            text_window=settings.model.text_window,
            attn_implementation=placed.attn_implementation,
            cuda_graphs=settings.model.cuda_graphs,
            attention=_attention(settings.model),
            kv_dtype=kv_dtype,
            compiler=Compiler(settings.model.compile, model.device),
        )
    info = EngineInfo(
        engine="voxtral_realtime",
        model=name,
        device=placed.device,
        compute_type=f"{weight_dtype}_{placed.compute_type}" if conversion else placed.compute_type,
        modes=(Mode.TRANSCRIBE,),
        languages=LANGUAGES,
        slots=rows,
        frame_ms=FRAME_MS,
    )
    delay_ms = settings.model.delay_ms or prompt.default_delay_ms
    return VoxtralRealtimeEngine(
        batched,
        vocabulary,
        prompt,
        info,
        default_delay_ms=delay_ms,
        slots_are_set=settings.model.slots is not None,
    )


def _feature_extractor(directory: Path) -> VoxtralRealtimeFeatureExtractor:
    try:
        return VoxtralRealtimeFeatureExtractor.from_pretrained(directory, local_files_only=True)
    except (OSError, ValueError, TypeError) as error:
        reason = " ".join(str(error).split())[:200].rstrip(".")
        raise StartupError(f"The feature extractor's settings in {directory} cannot be read: {reason}.") from error


def _check_agreement(directory: Path, prompt: Prompt, extractor: VoxtralRealtimeFeatureExtractor) -> None:
    """The tokenizer and the feature extractor must define the same frame."""
    if (prompt.hop_samples, prompt.n_fft) != (extractor.hop_length, extractor.n_fft):
        raise StartupError(
            f"The files in {directory} disagree: tekken.json says hop_length {prompt.hop_samples} and window_size "
            f"{prompt.n_fft}, the feature extractor {extractor.hop_length} and {extractor.n_fft}; copy the model again."
        )


def _check_weight_dtype(weight_dtype: str, placed: Placement) -> None:
    if weight_dtype == "bf16" and placed.dtype != torch.bfloat16:
        raise StartupError(
            f"Setting model.weight_dtype is 'bf16', but the model computes in {placed.compute_type}; set "
            "model.torch_dtype to bfloat16, or model.weight_dtype to one of auto, fp8, int8."
        )


def _attention(model: ModelSettings) -> Wanted:
    """A configured PyTorch attention also selects `torch` here."""
    named = model.attn_implementation != "auto" and model.attention == "auto"
    return "torch" if named else model.attention


def _rows(
    settings: Settings, config: Any, placed: Placement, default_slots: int, prompt: Prompt
) -> tuple[int, torch.dtype]:
    """How many sessions fit, and the type in which their keys and values are stored."""
    model, free_bytes = settings.model, free_memory_bytes(placed.device)
    window, wanted = model.text_window, model.slots
    room = room_for(
        config,
        window,
        placed.dtype.itemsize,
        device=placed.device,
        free_bytes=free_bytes,
        silent_positions=prompt.first_position,
        records=model.cuda_graphs,
    )
    sizes = {
        dtype: row_bytes(config, window, dtype.itemsize) for dtype in dict.fromkeys((placed.dtype, torch.bfloat16))
    } | {FP8: row_bytes_fp8(config, window, placed.dtype.itemsize)}
    kept_as = {"auto": placed.dtype, "bf16": torch.bfloat16, "fp8": FP8}[model.kv_dtype]
    least = wanted or MIN_REALTIME_SLOTS
    if model.kv_dtype == "auto" and placed.device.startswith("cuda") and room.fitting(sizes[kept_as], least) < least:
        kept_as = FP8
    remedies = []
    if kept_as != FP8:
        remedies.append("model.kv_dtype to fp8")
    if model.weight_dtype not in STORED_AS:
        remedies.append("model.weight_dtype to int8")
    rows = room.rows(sizes[kept_as], wanted, default=default_slots, remedies=remedies)
    log.info(
        "slots_sized",
        kv_dtype=str(kept_as).removeprefix("torch."),
        slots=rows,
        slot_mb=round(sizes[kept_as] / 1e6, 1),
        free_mb=round(free_bytes / 1e6),
        device=placed.device,
    )
    return rows, kept_as
