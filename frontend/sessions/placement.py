"""The models that can serve a request, and the error for a client if none can."""

import asyncio
import time
from collections.abc import Iterable
from typing import Any, Final

from frontend.protocols.options import check_language, check_speakers
from frontend.sessions.running_models import RunningModel, named, running_models
from shared.bus.registry import Registry, WorkerReport
from shared.errors import InvalidFieldError, ModelUnavailableError, ModeUnsupportedError
from shared.protocol import OWN
from shared.session_options import Mode, SessionOptions
from shared.version import VERSION
from shared.whisper_models import accuracy_rank

CACHE_S: Final = 0.5
UPGRADE_RETRY_S: Final = 10.0
"""The retry hint for clients while a service is upgraded: workers load their models."""
AUTO: Final = "auto"
"""The name with which a client leaves the choice to the service, as a request without a name does."""
MODELS_BY_MODE: Final = {
    Mode.TRANSCRIBE: "every model",
    Mode.UNDERSTAND: "mistralai/Voxtral-Mini-3B-2507 or mistralai/Voxtral-Small-24B-2507",
    Mode.GENERAL: "mistralai/Voxtral-Mini-3B-2507 or mistralai/Voxtral-Small-24B-2507",
    Mode.TRANSLATE: "mistralai/Voxtral-Mini-3B-2507, mistralai/Voxtral-Small-24B-2507 or whisper-base",
}
PREFERRED_ENGINES: Final = {
    Mode.TRANSCRIBE: ("voxtral_realtime", "voxtral", "whisper", "sherpa"),
    Mode.UNDERSTAND: ("voxtral",),
    Mode.GENERAL: ("voxtral",),
    Mode.TRANSLATE: ("voxtral", "whisper"),
}
"""The best first; engines that are not listed follow."""


class Placement:
    """Reads the workers' heartbeats, at most once in `CACHE_S`."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._workers: list[WorkerReport] = []
        self._unfit: list[WorkerReport] = []
        """Workers with a protocol that this frontend does not support."""
        self._read_at_s = -CACHE_S
        self._reading = asyncio.Lock()

    async def workers(self) -> list[WorkerReport]:
        """The workers that are not draining. Concurrent calls share one read."""
        asked_at_s = time.monotonic()
        if asked_at_s - self._read_at_s < CACHE_S and self._workers:
            return self._workers
        async with self._reading:
            if self._read_at_s < asked_at_s:
                found = [worker for worker in await self._registry.workers() if not worker.draining]
                self._workers = [worker for worker in found if OWN.fits(worker.protocol)]
                self._unfit = [worker for worker in found if not OWN.fits(worker.protocol)]
                self._read_at_s = time.monotonic()
        return self._workers

    async def models(self) -> list[RunningModel]:
        """Raises ModelUnavailableError if all running workers use another protocol."""
        models = running_models(await self.workers())
        if not models and self._unfit:
            raise ModelUnavailableError(misfit(self._unfit), retry_after_s=UPGRADE_RETRY_S)
        return models

    async def candidates(self, options: SessionOptions) -> list[RunningModel]:
        """The running models that can serve these options; see `candidates` below."""
        return candidates(await self.models(), options)

    @staticmethod
    def model_info(workers: list[WorkerReport]) -> dict[str, Any]:
        """The running models, merged and one by one, as clients may request them."""
        return {
            "model": ", ".join(sorted({worker.model for worker in workers})) or None,
            "engine": ", ".join(sorted({worker.engine for worker in workers})) or None,
            "device": ", ".join(sorted({worker.device for worker in workers})) or None,
            "modes": sorted({mode for worker in workers for mode in worker.modes}),
            "languages": sorted({language for worker in workers for language in worker.languages}),
            "second_models": sorted({worker.second_model for worker in workers if worker.second_model}),
            "models": [model.to_wire() for model in running_models(workers)],
        }


def candidates(models: list[RunningModel], options: SessionOptions) -> list[RunningModel]:
    """The models that can serve these options, the best first; never empty.

    Raises ModelUnavailableError (none runs), InvalidFieldError (model, language, languages, channels),
    ModeUnsupportedError.
    """
    check_language(options)
    check_speakers(options)
    if not models:
        raise none_runs()
    meant = _meant(models, options.model)
    able = [model for model in meant if options.mode in model.modes]
    if not able:
        raise _mode_unsupported(models, meant, options.mode)
    known = ", ".join(sorted({language for model in able for language in model.languages}))
    speaking = [model for model in able if model.speaks(options.language)]
    if not speaking:
        raise InvalidFieldError("language", options.language, known)
    speaking = [model for model in speaking if model.speaks_one_of(options.languages)]
    if not speaking:
        raise InvalidFieldError("languages", list(options.languages or ()), known)
    if options.channels is not None:
        check_tracks(speaking, options.channels)
        speaking = [model for model in speaking if model.most_tracks >= options.channels]
    return sorted(speaking, key=lambda model: _rank(model, options))


def check_tracks(models: Iterable[RunningModel], channels: int) -> None:
    """Raises InvalidFieldError or ModelUnavailableError if no worker of these models separates so many channels."""
    most = max((model.most_tracks for model in models), default=0)
    if not most:
        raise ModelUnavailableError(
            f"No running worker can separate channels: all have a version before {VERSION}.",
            retry_after_s=UPGRADE_RETRY_S,
        )
    if most < channels:
        allowed = f"1 to {most} with separate channels (one slot for each channel; the largest worker has {most})"
        raise InvalidFieldError("channels", channels, allowed)


def misfit(workers: Iterable[WorkerReport]) -> str:
    """Why none of these workers can be used here, in one sentence."""
    versions = ", ".join(sorted({worker.version for worker in workers}))
    return f"The running workers have version {versions}, which is incompatible with version {VERSION} of this process."


def none_runs() -> ModelUnavailableError:
    return ModelUnavailableError("No worker is running; start one, or wait until its model is warm.", retry_after_s=2)


def _meant(models: list[RunningModel], name: str | None) -> list[RunningModel]:
    """The models that a client means. Raises InvalidFieldError if there are none."""
    if name is None or name.casefold() == AUTO:
        return models
    meant = named(name, models)
    if not meant:
        raise InvalidFieldError("model", name, f"{AUTO}, {_names(models)}")
    return meant


def _mode_unsupported(models: list[RunningModel], meant: list[RunningModel], mode: Mode) -> ModeUnsupportedError:
    able = [model for model in models if mode in model.modes]
    if able:
        return ModeUnsupportedError(
            f"mode '{mode}' is not supported by {_names(meant)}; of the running models, {_names(able)} can serve it."
        )
    return ModeUnsupportedError(
        f"mode '{mode}' is not supported by the running model ({_names(models)}); it needs {MODELS_BY_MODE[mode]}."
    )


def _rank(model: RunningModel, options: SessionOptions) -> tuple[int, bool, int]:
    """Smallest first: the engine, then models that detect the language, then the more accurate Whisper."""
    engines = PREFERRED_ENGINES[options.mode]
    engine = engines.index(model.engine) if model.engine in engines else len(engines)
    guesses = options.language is None and len(model.languages) == 1
    return engine, guesses, accuracy_rank(model.name)


def _names(models: Iterable[RunningModel]) -> str:
    return ", ".join(model.name for model in models)
