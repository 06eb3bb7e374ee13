"""Finds the files of a model in a directory, and its kind of streaming model.

sherpa-onnx ends the whole process if a file is not what it expects, so files are checked here as far as possible.
Every failure is a `StartupError` of one sentence.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from shared.errors import StartupError
from worker.engines.sherpa.metadata import onnx_metadata

TOKENS: Final = "tokens.txt"
ALLOWED: Final = (
    "tokens.txt with encoder*.onnx, decoder*.onnx and joiner*.onnx (a transducer), encoder*.onnx and decoder*.onnx "
    "(Paraformer), or model*.onnx (CTC)"
)
JOINER: Final = "joiner"
"""The part that only transducers have."""
_SINGLE: Final = ("model", "ctc")
"""The name of the single file of a CTC model."""
_BLANKS: Final = frozenset({"<blk>", "<eps>", "<blank>"})
_NEMO_KEYS: Final = frozenset({"window_size", "chunk_shift"})
_ICEFALL_TRANSDUCERS: Final = frozenset({"conformer", "ebranchformer", "lstm", "zipformer", "zipformer2"})


class Kind(StrEnum):
    """The part after `from_` of a factory's name in sherpa-onnx."""

    TRANSDUCER = "transducer"
    PARAFORMER = "paraformer"
    ZIPFORMER2_CTC = "zipformer2_ctc"
    NEMO_CTC = "nemo_ctc"
    WENET_CTC = "wenet_ctc"


@dataclass(frozen=True, slots=True)
class ModelFiles:
    kind: Kind
    tokens: Path
    networks: Mapping[str, Path]
    """By part of the model: `encoder`, `decoder` and `joiner`, or `model`."""
    is_nemo: bool
    """Whether NVIDIA's NeMo made it."""

    @property
    def compute_type(self) -> str:
        """The precision of the part that does most of the work, by the name of its file."""
        name = next(iter(self.networks.values())).name
        return "int8" if "int8" in name else "float16" if "fp16" in name else "float32"


def find_model(path: Path | None, name: str) -> ModelFiles:
    """The files of the model in `path`. Raises `StartupError`."""
    if path is None:
        raise StartupError(
            f"Setting model.name is {name!r}, which needs model.path; set it to a directory that holds {ALLOWED}."
        )
    directory = path.expanduser()
    if not directory.is_dir():
        raise StartupError(f"Setting model.path is {str(path)!r}, which is not a directory; it must hold {ALLOWED}.")
    networks = _networks(directory)
    metadata_by_part = {part: _metadata(file) for part, file in networks.items()}
    _check_tokens(directory / TOKENS, metadata_by_part.values())
    main, metadata = next(iter(networks.values())), next(iter(metadata_by_part.values()))
    kind = _kind(networks, metadata)
    if kind is None and _kind({**networks, JOINER: main}, metadata) is Kind.TRANSDUCER:
        raise StartupError(f"Setting model.path is {str(directory)!r}, which lacks {JOINER}*.onnx; allowed: {ALLOWED}.")
    if kind is None:
        raise StartupError(
            f"{main} is not a streaming model that sherpa-onnx supports (its model_type is "
            f"{metadata.get('model_type', 'missing')!r}); allowed: streaming zipformer, conformer, LSTM and NeMo "
            "transducers, zipformer2, NeMo and WeNet CTC, and streaming Paraformer."
        )
    return ModelFiles(kind, directory / TOKENS, networks, is_nemo=metadata.keys() >= _NEMO_KEYS)


def _networks(directory: Path) -> dict[str, Path]:
    """The main file first. Raises a `StartupError` that names what is missing."""
    found = {part: _chosen(directory, part) for part in ("encoder", "decoder", JOINER)}
    single = next((file for part in _SINGLE if (file := _chosen(directory, part))), None)
    parts = {part: file for part, file in found.items() if file}
    if not parts and single:
        missing, networks = [], {"model": single}
    elif not parts:
        missing, networks = ["encoder*.onnx or model*.onnx"], {}
    else:
        missing, networks = [f"{part}*.onnx" for part in ("encoder", "decoder") if part not in parts], parts
    if not (directory / TOKENS).is_file():
        missing.append(TOKENS)
    if missing:
        raise StartupError(
            f"Setting model.path is {str(directory)!r}, which lacks {' and '.join(missing)}; allowed: {ALLOWED}."
        )
    return networks


def _chosen(directory: Path, part: str) -> Path | None:
    """The file of a part. If there are several precisions: int8, which is the fastest on a CPU, then float32."""
    files = sorted(file for file in directory.glob(f"{part}*.onnx") if file.is_file())
    best = [file for file in files if _preference(file) == min(map(_preference, files))]
    if len(best) > 1:
        raise StartupError(
            f"Setting model.path is {str(directory)!r}, which holds several files for {part}*.onnx "
            f"({', '.join(file.name for file in best)}); keep only one of them."
        )
    return best[0] if best else None


def _preference(file: Path) -> int:
    return 0 if "int8" in file.name else 2 if "fp16" in file.name else 1


def _metadata(file: Path) -> dict[str, str]:
    try:
        return onnx_metadata(file)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise StartupError(f"{file} cannot be read as an ONNX model: {reason}; copy the model again.") from error


def _kind(networks: Mapping[str, Path], metadata: Mapping[str, str]) -> Kind | None:
    """The kind by the metadata of the main file; None if the library does not support it or cannot stream it."""
    chunked = {"T", "decode_chunk_len"} <= metadata.keys()
    of_nemo = metadata.keys() >= _NEMO_KEYS
    model_type = metadata.get("model_type", "")
    if JOINER in networks:
        return Kind.TRANSDUCER if of_nemo or (chunked and model_type in _ICEFALL_TRANSDUCERS) else None
    if "encoder" in networks:
        return Kind.PARAFORMER if {"lfr_window_size", "neg_mean"} <= metadata.keys() else None
    if model_type == "wenet_ctc":
        return Kind.WENET_CTC
    if model_type == "zipformer2":
        return Kind.ZIPFORMER2_CTC if chunked else None
    return Kind.NEMO_CTC if of_nemo else None


def _check_tokens(file: Path, metadata: Iterable[Mapping[str, str]]) -> None:
    """Checks that each line has a token and its number, that one is the blank, and that the model has as many."""
    try:
        lines = [line for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        raise StartupError(f"{file} cannot be read: {getattr(error, 'strerror', None) or error}.") from error
    for line in lines:
        if not line.split()[-1].isdecimal():
            raise StartupError(f"{file} has the line {line[:60]!r}; allowed: a token and its number.")
    if _BLANKS.isdisjoint(line.split()[0] for line in lines):
        raise StartupError(f"{file} has no blank token; one of {', '.join(sorted(_BLANKS))} must be in it.")
    sizes = [int(facts["vocab_size"]) for facts in metadata if facts.get("vocab_size", "").isdecimal()]
    if sizes and len(lines) < max(sizes):
        raise StartupError(
            f"{file} holds {len(lines)} tokens, but the model has {max(sizes)}; "
            "copy the file that belongs to the model."
        )
