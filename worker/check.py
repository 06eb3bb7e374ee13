"""Checks whether the configured model can run here: `python -m worker.check`. `voxtral doctor` shows the result.

Downloads nothing.

Prints one JSON object per line: `check`, `ok` (null: not needed), `detail`, `advice`.
"""

import json
import os
import sys
import time

from shared.config.settings import load_settings
from shared.errors import StartupError
from shared.gpus import ORDER
from worker.engines.loading.huggingface import NotDownloadedError, downloads
from worker.engines.loading.out_of_memory import memory_needed
from worker.engines.registry import load_engine


def main() -> int:
    os.environ.setdefault(*ORDER)
    downloads.forbidden = True
    started_s = time.monotonic()
    try:
        settings = load_settings()
        with memory_needed(device=settings.model.device, slots=settings.model.slots):
            engine = load_engine(settings)
            loaded_s = time.monotonic()
            engine.warm_up()
    except NotDownloadedError as error:
        _report(ok=None, detail=str(error), advice="")
        return 0
    except StartupError as error:
        _report(ok=False, detail=str(error), advice="Change the setting that the message names, then try again.")
        return 1
    info = engine.info
    fit = f" ({info.slots_reason})" if info.slots_reason else ""
    detail = (
        f"{info.model} on {info.device} ({info.compute_type}), {info.slots} slots{fit}, loaded in "
        f"{loaded_s - started_s:.1f} s, warm in {time.monotonic() - loaded_s:.1f} s"
    )
    if info.passes:
        detail += f"; passes {info.passes}"
    if info.reason:
        detail += f"; {info.reason.rstrip('.')}"
    _report(ok=True, detail=detail, advice="")
    return 0


def _report(*, ok: bool | None, detail: str, advice: str) -> None:
    print(json.dumps({"check": "Model", "ok": ok, "detail": detail, "advice": advice}))


if __name__ == "__main__":
    sys.exit(main())
