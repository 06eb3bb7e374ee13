"""Checks whether the configured models can run here: `python -m worker.check`. `voxtral doctor` shows the result.

Downloads nothing.

Prints one JSON object per line: `check`, `ok` (null: not needed), `detail`, `advice`.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from shared.config.settings import Settings, load_settings
from shared.errors import StartupError
from shared.gpus import ORDER
from worker.engines.loading.huggingface import NotDownloadedError, downloads
from worker.engines.loading.out_of_memory import memory_needed
from worker.engines.registry import load_engine
from worker.second_pass.loading import load_second

if TYPE_CHECKING:
    from worker.second_pass.model import SecondModel

ADVICE: Final = "Change the setting that the message names, then try again."


def main() -> int:
    os.environ.setdefault(*ORDER)
    downloads.forbidden = True
    try:
        settings = load_settings()
    except StartupError as error:
        _report("Model", ok=False, detail=str(error), advice=ADVICE)
        return 1
    kept: list[SecondModel] = []
    """The second model stays in memory while the engine plans its own."""
    return max(_check("Second model", lambda: _second(settings, kept)), _check("Model", lambda: _engine(settings)))


def _check(name: str, load: Callable[[], str | None]) -> int:
    """Report what `load` found, if anything, or why it failed. Returns the exit status."""
    try:
        detail = load()
    except NotDownloadedError as error:
        _report(name, ok=None, detail=str(error), advice="")
        return 0
    except StartupError as error:
        _report(name, ok=False, detail=str(error), advice=ADVICE)
        return 1
    if detail:
        _report(name, ok=True, detail=detail, advice="")
    return 0


def _second(settings: Settings, kept: "list[SecondModel]") -> str | None:
    started_s = time.monotonic()
    second = load_second(settings)
    if second is None:
        return None
    kept.append(second)
    return f"{second.name}, loaded in {time.monotonic() - started_s:.1f} s"


def _engine(settings: Settings) -> str:
    started_s = time.monotonic()
    with memory_needed(device=settings.model.device, slots=settings.model.slots):
        engine = load_engine(settings)
        loaded_s = time.monotonic()
        engine.warm_up()
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
    return detail


def _report(name: str, *, ok: bool | None, detail: str, advice: str) -> None:
    print(json.dumps({"check": name, "ok": ok, "detail": detail, "advice": advice}))


if __name__ == "__main__":
    sys.exit(main())
