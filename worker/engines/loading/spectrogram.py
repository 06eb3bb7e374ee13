"""Checks that a model's front end is the one that the settings expect."""

from collections.abc import Mapping

from shared.config.sections import SpectrogramSettings
from shared.errors import StartupError


def check_spectrogram(expected: SpectrogramSettings, actual: Mapping[str, int], model: str) -> None:
    """Raises a `StartupError` that names the first setting that differs, with both values."""
    for key, wanted in expected.model_dump(exclude_none=True).items():
        if wanted != actual[key]:
            raise StartupError(
                f"Setting spectrogram.{key} is {wanted}, but the model {model} uses {actual[key]}; "
                "remove the setting, or choose the model that it belongs to."
            )
