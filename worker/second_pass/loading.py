"""Loads the second model from the settings. Every failure is a `StartupError` that names the setting."""

import os
from typing import TYPE_CHECKING, Final

from shared.config.sections import ModelSettings
from shared.config.settings import Settings
from shared.errors import StartupError
from shared.whisper_models import ANY_WHISPER, WHISPER_MODELS, is_whisper
from worker.progress import STARTING, Phase

if TYPE_CHECKING:
    from worker.second_pass.model import SecondModel

MAX_THREADS: Final = 4
"""Threads of the second model if `model.threads` is 0: one for each core, at most so many."""


def load_second(settings: Settings) -> "SecondModel | None":
    """The model in `model.second`, warm; None if there is none. To be called before the engine plans its memory."""
    model = settings.model
    if model.second is None:
        _check_unused(settings)
        return None
    if not is_whisper(model.second):
        allowed = ", ".join((*WHISPER_MODELS, ANY_WHISPER))
        raise StartupError(f"Setting model.second is {model.second!r}; allowed: null, {allowed}.")
    from worker.engines.whisper.loading import load_decoder  # noqa: PLC0415 -- libraries that other engines do not need
    from worker.second_pass.model import SecondModel, at_lowest_priority  # noqa: PLC0415 -- likewise

    STARTING.begin(Phase.LOAD, model.second)
    threads = model.threads or min(os.cpu_count() or 1, MAX_THREADS)
    try:
        name, decoder = at_lowest_priority(lambda: load_decoder(_as_only(model), threads))
        second = SecondModel(name, decoder, threads)
        second.warm_up()
    except StartupError as error:
        raise type(error)(_renamed(str(error))) from error  # doctor distinguishes what is not downloaded
    return second


def _as_only(model: ModelSettings) -> ModelSettings:
    """The settings of the second model, under the names of the first."""
    changes = {"name": model.second, "path": model.second_path, "device": model.second_device or model.device}
    return model.model_copy(update=changes | {"compute_type": "auto", "torch_dtype": "auto"})


def _renamed(message: str) -> str:
    for name, meant in (("name", "second"), ("path", "second_path"), ("device", "second_device")):
        message = message.replace(f"model.{name} ", f"model.{meant} ").replace(f"model.{name},", f"model.{meant},")
    return message


def _check_unused(settings: Settings) -> None:
    if settings.model.second_path is not None:
        raise StartupError(
            f"Setting model.second_path is {str(settings.model.second_path)!r}, but model.second is not set; set it "
            f"to {ANY_WHISPER}, or to the name of the Whisper in that path."
        )
    if settings.session.revise:
        raise StartupError("Setting session.revise is true, but model.second is not set; set it to a Whisper.")
