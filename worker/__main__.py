"""Starts a worker: load the model, warm it up, and only then take sessions. `python -m worker`."""

import sys
import time

import structlog

from shared.config import Settings
from shared.entry import run_process
from worker.app import run, worker_app
from worker.engines.registry import load_engine
from worker.runtime import WorkerRuntime

SWITCH_INTERVAL_S = 0.001
"""The I/O loop must not wait 5 ms (the default) for the engine thread to give up the interpreter lock."""

log = structlog.get_logger()


def main(settings: Settings) -> int:
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    started_s = time.monotonic()
    engine = load_engine(settings)
    engine.warm_up()
    info = engine.info
    log.info(
        "model_warm",
        model=info.model,
        device=info.device,
        slots=info.slots,
        took_s=round(time.monotonic() - started_s, 1),
    )
    runtime = WorkerRuntime(settings, engine)
    runtime.start()
    try:
        return run(worker_app(settings, runtime), runtime, info, settings.logs.level)
    finally:
        runtime.stop()
        runtime.join()


if __name__ == "__main__":
    sys.exit(run_process(main, "worker"))
