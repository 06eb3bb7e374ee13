"""The attention heads of a Whisper model that follow the audio: word times come from them."""

import json
from pathlib import Path
from typing import Any

from shared.errors import StartupError
from worker.engines.whisper.onnx_model.architecture import architecture
from worker.engines.whisper.onnx_model.variables import UnknownFormatError, Variables
from worker.engines.whisper.weights import WEIGHTS_NAME


def has_alignment_heads(directory: Path) -> bool:
    """Whether the model's `config.json` lists the heads; without them, CTranslate2 cannot align words.

    Raises a `StartupError` if it lists heads that the model lacks: CTranslate2 would end the process.
    """
    file = directory / "config.json"
    try:
        heads = json.loads(file.read_text()).get("alignment_heads")
    except (OSError, ValueError, AttributeError) as error:
        raise StartupError(f"The file {file} is damaged ({error}); copy it again.") from error
    if not heads:
        return False
    if not isinstance(heads, list) or not all(map(_is_head, heads)):
        raise StartupError(f"The alignment_heads in {file} are not pairs of a layer and a head; copy the file again.")
    try:
        size = architecture(Variables(directory / WEIGHTS_NAME), ())
    except (UnknownFormatError, KeyError):  # a later format, which CTranslate2 may know
        return True
    if missing := [head for head in heads if head[0] >= size.layers or head[1] >= size.heads]:
        raise StartupError(
            f"The alignment_heads in {file} name layer {missing[0][0]}, head {missing[0][1]}, but the model has "
            f"{size.layers} layers of {size.heads} heads, counted from 0; copy the config.json of the model."
        )
    return True


def _is_head(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(type(part) is int and part >= 0 for part in value)
