"""Whether the additional libraries that some models need are installed."""

import logging
from importlib import import_module
from typing import Final

from shared.errors import StartupError

VOXTRAL_LIBRARIES: Final = ("torch", "transformers", "mistral_common", "safetensors")


def require_voxtral_libraries(model: str) -> None:
    """Import them, so that later imports do not fail.

    Raises a `StartupError` that names the first one that is missing or cannot be loaded.
    """
    for library in VOXTRAL_LIBRARIES:
        _require(library, model, "pip install -r requirements/voxtral.txt")

    logging.getLogger("mistral_common").setLevel(logging.WARNING)  # it logs the size of every vocabulary


def require_sherpa_library(model: str) -> None:
    """The same for sherpa-onnx."""
    _require("sherpa_onnx", model, ".venv/bin/pip install --editable '.[sherpa]'")


def _require(library: str, model: str, remedy: str) -> None:
    try:
        import_module(library)
    except ModuleNotFoundError as error:
        package = (error.name or library).partition(".")[0].replace("_", "-")
        raise StartupError(
            f"Setting model.name is {model!r}, which needs the package {package}, but it is not installed; "
            f"install it with `{remedy}` or choose another model."
        ) from error
    except (ImportError, OSError) as error:
        raise StartupError(
            f"Setting model.name is {model!r}, which needs {library}, but it cannot be loaded "
            f"({_first_line(error)}); repair it with `{remedy}`."
        ) from error


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0].rstrip(".")
