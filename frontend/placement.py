"""Which workers could serve a request, and what to tell a client when none can."""

import time
from typing import Any, Final

from shared.bus.registry import Registry, WorkerReport
from shared.errors import InvalidFieldError, ModelUnavailableError, ModeUnsupportedError
from shared.events import Mode, SessionOptions

CACHE_S: Final = 0.5
MODELS_BY_MODE: Final = {
    Mode.TRANSCRIBE: "every model",
    Mode.UNDERSTAND: "mistralai/Voxtral-Mini-3B-2507 or mistralai/Voxtral-Small-24B-2507",
    Mode.GENERAL: "mistralai/Voxtral-Mini-3B-2507 or mistralai/Voxtral-Small-24B-2507",
}


class Placement:
    """Reads the workers' heartbeats, at most once in `CACHE_S`."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._workers: list[WorkerReport] = []
        self._read_at_s = -CACHE_S

    async def workers(self) -> list[WorkerReport]:
        if time.monotonic() - self._read_at_s >= CACHE_S or not self._workers:
            self._workers = [worker for worker in await self._registry.workers() if not worker.draining]
            self._read_at_s = time.monotonic()
        return self._workers

    async def capacity(self, options: SessionOptions) -> int:
        """Slots of all workers that can serve these options.

        Raises ModelUnavailableError (no worker), ModeUnsupportedError, InvalidFieldError (language).
        """
        workers = await self.workers()
        if not workers:
            raise ModelUnavailableError(
                "No worker is running; start one, or wait until its model is warm.", retry_after_s=2
            )
        able = [worker for worker in workers if options.mode in worker.modes]
        if not able:
            running = ", ".join(sorted({worker.model for worker in workers}))
            raise ModeUnsupportedError(
                f"mode {options.mode.value!r} is not served by the running model ({running}); "
                f"it needs {MODELS_BY_MODE[options.mode]}."
            )
        able = [worker for worker in able if _speaks(worker, options.language)]
        if not able:
            known = sorted({language for worker in workers for language in worker.languages})
            raise InvalidFieldError("language", options.language, ", ".join(known))
        return sum(worker.slots for worker in able)

    @staticmethod
    def model_info(workers: list[WorkerReport]) -> dict[str, Any]:
        """The running models, merged: what a client may ask for."""
        return {
            "model": ", ".join(sorted({worker.model for worker in workers})) or None,
            "engine": ", ".join(sorted({worker.engine for worker in workers})) or None,
            "device": ", ".join(sorted({worker.device for worker in workers})) or None,
            "modes": sorted({mode for worker in workers for mode in worker.modes}),
            "languages": sorted({language for worker in workers for language in worker.languages}),
        }


def _speaks(worker: WorkerReport, language: str | None) -> bool:
    return language is None or not worker.languages or language in worker.languages
