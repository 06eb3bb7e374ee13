"""Starts a worker: loads the model, warms it up, and only then accepts sessions. `python -m worker`."""

import os
import sys
import time

import structlog

from shared.config.settings import Settings
from shared.dispatch import Dispatcher
from shared.entry import run_process
from shared.gpus import ORDER
from worker import stop_signals
from worker.celery_worker import serve_sessions
from worker.engines.loading.out_of_memory import memory_needed
from worker.engines.registry import load_engine
from worker.progress import STARTING, Phase
from worker.runtime import WorkerRuntime
from worker.second_pass.loading import load_second
from worker.start_report import StartReporter

SWITCH_INTERVAL_S = 0.001
"""The I/O loop must not wait 5 ms (the default) for the engine thread to release the interpreter lock."""

log = structlog.get_logger()


def main(settings: Settings) -> int:
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    os.environ.setdefault(*ORDER)
    started_s = time.monotonic()
    with (
        StartReporter(settings, STARTING),
        memory_needed(device=settings.model.device, slots=settings.model.slots),
    ):
        second = load_second(settings)
        engine = load_engine(settings)
        STARTING.begin(Phase.WARM, engine.info.model)
        engine.warm_up()
    info = engine.info
    log.info(
        "model_warm",
        model=info.model,
        device=info.device,
        compute_type=info.compute_type,
        slots=info.slots,
        slots_reason=info.slots_reason,
        took_s=round(time.monotonic() - started_s, 1),
    )
    dispatcher = Dispatcher(settings)
    runtime = WorkerRuntime(settings, engine, dispatcher.dispatch, second=second)
    runtime.start()
    stop_signals.follow(runtime)
    try:
        return serve_sessions(dispatcher.app, runtime, info, settings.logs.level)
    finally:
        runtime.stop(at_once=True)
        runtime.join()


if __name__ == "__main__":
    sys.exit(run_process(main, "worker"))
