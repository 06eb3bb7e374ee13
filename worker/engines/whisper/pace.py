"""Warms a Whisper model up, measures whether it keeps up with real time on this machine, and sets its pace."""

import time
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
import structlog

from shared.errors import StartupError
from shared.events import SAMPLE_RATE_HZ
from worker.engines.base import EngineInfo
from worker.engines.whisper.batches import Limits
from worker.engines.whisper.jobs import Job
from worker.engines.whisper.settings import WhisperSettings

CPU_JOBS: Final = 4
WINDOW_S: Final = 8
LONGEST_S: Final = 30
PASS_TOKENS: Final = 24
"""About as many as 8 s of speech have; noise would produce none or too many."""
SLOW_PASS_S: Final = 1.0

log = structlog.get_logger()


def warm_up(
    run: Callable[[Sequence[Job]], object],
    info: EngineInfo,
    limits: Limits,
    clock: Callable[[], float] = time.perf_counter,
) -> None:
    """Decode noise through every path: a batch on each thread, or a GPU's largest batches of short windows and of the
    longest, a live window, word times.

    On a CPU one more live pass is timed, and a warning is logged if text will be late. Raises `StartupError` if the
    device fails.
    """
    on_gpu = info.device != "cpu"
    jobs = [Job(_noise(WINDOW_S if on_gpu else 2), language="en")] * (limits.members if on_gpu else CPU_JOBS)
    live = [Job(_noise(WINDOW_S), language="en", cap_tokens=PASS_TOKENS, is_live=True)]
    try:
        run(jobs)
        if on_gpu:
            run([Job(_noise(LONGEST_S), language="en", cap_tokens=PASS_TOKENS)] * limits.most(LONGEST_S))
        else:
            run(live)
    except RuntimeError as error:  # CTranslate2's, for whatever CUDA says, or ONNX Runtime's
        reason = " ".join(str(error).split()).rstrip(".")
        raise StartupError(
            f"The model {info.model} cannot run on {info.device} ({reason}); free some of its memory, or change "
            "model.name, model.compute_type or model.device."
        ) from error
    if not on_gpu:
        started_s = clock()
        run(live)
        _judge(clock() - started_s, info)


def interval_ms(pass_ms: float, speaking: int, at_once: int, settings: WhisperSettings) -> float:
    """How much new audio a partial needs, after a pass of this duration.

    `speaking` sessions need a pass each, and `at_once` of them are decoded at the same time.
    """
    rounds = max(1, -(-speaking // at_once))
    return max(settings.partial_interval_ms, settings.load_share * rounds * pass_ms)


def _judge(pass_s: float, info: EngineInfo) -> None:
    if pass_s <= SLOW_PASS_S:
        log.info("pass_measured", model=info.model, audio_s=WINDOW_S, pass_s=round(pass_s, 2))
        return
    log.warning(
        "model_slow",
        model=info.model,
        audio_s=WINDOW_S,
        pass_s=round(pass_s, 2),
        message=f"New text of a session appears every {pass_s:.1f} s at best, later if several sessions are active.",
        advice="Set model.name to a smaller Whisper, or run this one on a GPU.",
    )


def _noise(length_s: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(length_s * SAMPLE_RATE_HZ).astype(np.float32) * 0.1
