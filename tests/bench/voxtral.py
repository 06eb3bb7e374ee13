"""Voxtral Realtime's passes at the published model's shape, with random weights: `make bench-voxtral`.

Prints, for 1, 2, 4, … sessions up to what memory holds, how long a pass takes when every window is full, beside the
floor: the bytes that it must move, over the bandwidth measured in the same run. Transformers' own streaming of one
session is measured in the same run too. Without a CUDA device a smaller shape runs on the CPU, only for the trend.
"""

import argparse
import gc
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from types import GeneratorType
from typing import Any, Final

import numpy as np
import torch
from transformers import VoxtralRealtimeConfig, VoxtralRealtimeFeatureExtractor, VoxtralRealtimeForConditionalGeneration

from tests.bench.figures import Figure, keep, machine, percentile, show
from tests.gpu.cards import PROMPT
from worker.engines.compiling import Compiler, Setting
from worker.engines.loading.checkpoints import free_memory_bytes
from worker.engines.voxtral_realtime.attention_choice import Wanted
from worker.engines.voxtral_realtime.calibration import FRAME_MS
from worker.engines.voxtral_realtime.mel import LogMel
from worker.engines.voxtral_realtime.model import BatchedModel
from worker.engines.voxtral_realtime.sizes import room_for, row_bytes
from worker.engines.voxtral_realtime.speaking import Sayable

RESULT: Final = Path("build/bench-voxtral.json")
DELAY_TOKENS: Final = 6
WARM_PASSES: Final = 5
GENERATED_POSITIONS: Final = 60
CPU_SHAPE: Final = {
    "audio_config": {"model_type": "voxtral_realtime_encoder", "hidden_size": 320, "intermediate_size": 1280}
    | {"num_hidden_layers": 6, "num_attention_heads": 5},
    "text_config": {"model_type": "voxtral_realtime_text", "vocab_size": 32_768, "hidden_size": 512}
    | {"intermediate_size": 1536, "num_hidden_layers": 6, "num_attention_heads": 8, "num_key_value_heads": 2}
    | {"head_dim": 64, "sliding_window": 8192},
}
"""About a hundredth of the published model's weights."""


def build(device: torch.device, config: VoxtralRealtimeConfig | None = None) -> VoxtralRealtimeForConditionalGeneration:
    """The model with random weights. Without a `config`: the published shape on CUDA, `CPU_SHAPE` on a CPU."""
    config = config or VoxtralRealtimeConfig(**({} if device.type == "cuda" else CPU_SHAPE))
    previous = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16 if device.type == "cuda" else torch.float32)
    try:
        with device:
            model = VoxtralRealtimeForConditionalGeneration(config).eval().requires_grad_(requires_grad=False)
    finally:
        torch.set_default_dtype(previous)
    model.generation_config.eos_token_id = None
    return model


def batched_model(
    model: Any,
    rows: int,
    text_window: int,
    *,
    attn_implementation: str = "sdpa",
    cuda_graphs: bool = True,
    attention: Wanted = "auto",
    compiling: Setting = "auto",
) -> BatchedModel:
    """The model with rows for sessions, not yet warm. It may say every token."""
    return BatchedModel(
        model,
        LogMel(VoxtralRealtimeFeatureExtractor()),
        PROMPT,
        Sayable(PROMPT.pad_token, 2, np.ones(model.config.text_config.vocab_size, np.bool_)),
        rows=rows,
        text_window=text_window,
        attn_implementation=attn_implementation,
        cuda_graphs=cuda_graphs,
        attention=attention,
        compiler=Compiler(compiling, model.device),
    )


def bandwidth(device: torch.device) -> float:
    """Bytes a second that a copy reads and writes; the best of several."""
    size = (2 if device.type == "cuda" else 0.25) * 2**30
    source = torch.zeros(int(size), dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    times_s = [timed(device, lambda: target.copy_(source)) for _ in range(8)]
    return 2 * size / min(times_s)


def timed(device: torch.device, run: Callable[[], object]) -> float:
    """Seconds that `run` takes, with the device's work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    started_s = time.perf_counter()
    run()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - started_s


def generate_ms(model: Any, device: torch.device) -> float:
    """Median milliseconds of a position when transformers streams one session alone."""
    marks_s: list[float] = []

    def features() -> GeneratorType:  # type: ignore[type-arg]
        first = 8 * (PROMPT.left_pad_tokens + DELAY_TOKENS + 1)
        yield torch.zeros(1, 128, first, device=device, dtype=model.dtype)
        for _ in range(GENERATED_POSITIONS):
            marks_s.append(time.perf_counter())
            yield torch.zeros(1, 128, 8, device=device, dtype=model.dtype)

    tokens = [PROMPT.token_at(position, DELAY_TOKENS) for position in range(PROMPT.left_pad_tokens + DELAY_TOKENS + 1)]
    prompt = torch.tensor([tokens], device=device)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.generate(
            input_ids=prompt,
            attention_mask=torch.ones_like(prompt),
            input_features=features(),
            num_delay_tokens=DELAY_TOKENS,
            do_sample=False,
        )
    return 1000 * percentile(np.diff(marks_s)[WARM_PASSES:].tolist(), 0.5)


def passes_ms(model: BatchedModel, sessions: int, position: int, count: int) -> list[float]:
    """Milliseconds of each pass over so many sessions that have come to `position`."""
    window = np.random.default_rng(0).standard_normal(PROMPT.window_samples).astype(np.float32) * 0.1
    for row in range(sessions):
        model.start(row, DELAY_TOKENS)
    model.place(slice(sessions), position)  # full rings
    times_ms = []
    for _ in range(WARM_PASSES + count):
        started_s = time.perf_counter()
        for row in range(sessions):
            model.stage(row, window)
        model.run(sessions)
        times_ms.append(1000 * (time.perf_counter() - started_s))
    return times_ms[WARM_PASSES:]


def measure(arguments: argparse.Namespace) -> list[Figure]:
    device = torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    on_gpu = device.type == "cuda"
    if on_gpu:
        print(f"{torch.cuda.get_device_name(device)}; the shape of Voxtral-Mini-4B-Realtime-2602, random weights, bf16")
    else:
        print("No CUDA device: a shape of a hundredth of the weights on the CPU in float32; targets do not apply.")
    model = build(device)
    weights_bytes = sum(weight.numel() * weight.element_size() for weight in model.parameters())
    bytes_per_s = bandwidth(device)
    alone_ms = generate_ms(model, device)
    print(f"weights {weights_bytes / 1e9:.2f} GB, bandwidth {bytes_per_s / 1e9:.0f} GB/s")
    print(f"transformers' generate, one session: {alone_ms:.1f} ms a position, {FRAME_MS / alone_ms:.1f} sessions")
    per_row = row_bytes(model.config, arguments.text_window, model.dtype.itemsize)
    gc.collect()
    room = room_for(
        model.config,
        arguments.text_window,
        model.dtype.itemsize,
        device=str(device),
        free_bytes=free_memory_bytes(str(device)),
        silent_positions=PROMPT.first_position,
        records=not arguments.no_graphs,
    )
    rows = room.rows(per_row, None, default=arguments.cpu_rows)
    batched = batched_model(
        model,
        rows,
        arguments.text_window,
        attn_implementation=arguments.attention if arguments.attention == "eager" else "sdpa",
        cuda_graphs=not arguments.no_graphs,
        attention=arguments.attention if arguments.attention in ("auto", "triton") else "torch",
        compiling=arguments.compile,
    )
    warm_s = timed(device, lambda: batched.warm_up([DELAY_TOKENS]))
    print(f"{batched.kernels_text}; {batched.compilation}")
    print(f"{rows} slots of {per_row / 1e6:.0f} MB; warm after {warm_s:.1f} s")
    figures = [Figure("transformers' generate, one session, per position", alone_ms, "ms")]
    print(f"{'sessions':>8} {'p50 ms':>8} {'p99 ms':>8} {'floor ms':>9} {'ratio':>6} {'memory GB':>10}")
    fitting = 0
    for sessions in counts(rows):
        times_ms = passes_ms(batched, sessions, arguments.text_window, arguments.passes)
        p50, p99 = percentile(times_ms, 0.5), percentile(times_ms, 0.99)
        floor_ms = 1000 * (weights_bytes + sessions * per_row) / bytes_per_s
        ratio = p50 / floor_ms
        used_gb = (torch.cuda.max_memory_reserved(device) if on_gpu else weights_bytes + rows * per_row) / 1e9
        print(f"{sessions:>8} {p50:>8.2f} {p99:>8.2f} {floor_ms:>9.2f} {ratio:>6.2f} {used_gb:>10.1f}", flush=True)
        fitting = sessions if p99 <= FRAME_MS else fitting
        figures.append(Figure(f"pass over {sessions} sessions, p50", p50, "ms"))
        figures.append(Figure(f"pass over {sessions} sessions, p99", p99, "ms"))
        target = 2.0 if on_gpu and sessions == 1 else None
        figures.append(Figure(f"pass over {sessions} sessions, p50 over its floor", ratio, "×", target))
    gain = fitting * alone_ms / FRAME_MS
    return [
        *figures,
        Figure("sessions that fit into 80 ms, p99", fitting, "sessions", 100 if on_gpu else None, wants_more=True),
        Figure("… over those of generate in turn", gain, "×", 20 if on_gpu else None, wants_more=True),
    ]


def counts(rows: int) -> list[int]:
    """1, 2, 4, … and 100, and all."""
    powers = [2**exponent for exponent in range(rows.bit_length()) if 2**exponent < rows]
    return sorted({*powers, *([100] if rows > 100 else []), rows})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--attention", choices=["auto", "triton", "sdpa", "eager"], default="auto")
    parser.add_argument("--text-window", type=int, default=2048)
    parser.add_argument("--passes", type=int, default=50)
    parser.add_argument("--cpu-rows", type=int, default=16)
    parser.add_argument("--compile", choices=["auto", "on", "off"], default="auto")
    parser.add_argument("--no-graphs", action="store_true", help="run passes on CUDA from Python")
    print(machine())
    with torch.inference_mode():
        figures = measure(parser.parse_args())
    print("\n".join(show(figure) for figure in figures))
    keep(figures, RESULT)
    print(f"written to {RESULT}")


if __name__ == "__main__":
    main()
