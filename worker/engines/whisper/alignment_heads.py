"""The attention heads of a Whisper model that follow the audio: word times come from them.

A model's `config.json` lists them. Early converters to CTranslate2's format did not write them; such a model gets those
that OpenAI's `whisper/model.py` and later converters take by default: all heads of the second half of its layers.
"""

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any, Final

from shared.errors import StartupError
from worker.engines.whisper.onnx_model.architecture import Architecture, architecture
from worker.engines.whisper.onnx_model.variables import UnknownFormatError, Variables
from worker.engines.whisper.weights import WEIGHTS_NAME

CONFIG_NAME: Final = "config.json"


@contextmanager
def with_alignment_heads(directory: Path) -> Iterator[Path]:
    """A directory with the model's files, whose `config.json` lists its heads or the default ones.

    CTranslate2 takes them from there alone. Raises `StartupError` if they are not heads of the model: CTranslate2 would
    end the process.
    """
    file = directory / CONFIG_NAME
    try:
        config = json.loads(file.read_text())
        listed = config.get("alignment_heads")
    except (OSError, ValueError, AttributeError) as error:
        raise StartupError(f"The file {file} is damaged ({error}); copy it again.") from error
    if listed:
        _check(file, listed)
        yield directory
        return
    with _linked(directory, config | {"alignment_heads": _default(file)}) as name:
        yield Path(name)


def _check(file: Path, heads: Any) -> None:
    if not isinstance(heads, list) or not all(map(_is_head, heads)):
        raise StartupError(f"The alignment_heads in {file} are not pairs of a layer and a head; copy the file again.")
    try:
        size = _size(file)
    except (UnknownFormatError, KeyError):  # a later format, which CTranslate2 may know
        return
    if missing := [head for head in heads if head[0] >= size.layers or head[1] >= size.heads]:
        raise StartupError(
            f"The alignment_heads in {file} name layer {missing[0][0]}, head {missing[0][1]}, but the model has "
            f"{size.layers} layers of {size.heads} heads, counted from 0; copy the config.json of the model."
        )


def _default(file: Path) -> list[tuple[int, int]]:
    try:
        size = _size(file)
    except (UnknownFormatError, KeyError) as error:
        raise StartupError(
            f"The file {file} lists no alignment_heads, and they have no default ({error}); convert the model again."
        ) from error
    return list(product(range(size.layers // 2, size.layers), range(size.heads)))


def _linked(directory: Path, config: dict[str, Any]) -> tempfile.TemporaryDirectory[str]:
    """A directory with links to the files of another one, and this `config.json`."""
    try:
        made = tempfile.TemporaryDirectory(prefix="voxtral-whisper-")
        for one in directory.iterdir():
            if one.name != CONFIG_NAME:
                Path(made.name, one.name).symlink_to(one.resolve())
        Path(made.name, CONFIG_NAME).write_text(json.dumps(config))
    except OSError as error:
        reason = error.strerror or str(error)
        raise StartupError(f"No temporary directory for the model in {directory} could be made: {reason}.") from error
    return made


def _size(file: Path) -> Architecture:
    """Of the model with this `config.json`."""
    return architecture(Variables(file.with_name(WEIGHTS_NAME)), ())


def _is_head(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(type(part) is int and part >= 0 for part in value)
