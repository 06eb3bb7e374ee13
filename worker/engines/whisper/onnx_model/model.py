"""Whisper on ONNX Runtime, for one window at a time on a CPU, with weights in 8 bits.

CTranslate2 steps through the tokens that an answer is known to begin with; here they are read together, so live text
takes half the time. Recordings and GPUs use CTranslate2.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import structlog

from worker.engines.whisper.onnx_model.architecture import architecture
from worker.engines.whisper.onnx_model.audio_graph import audio_graph
from worker.engines.whisper.onnx_model.graph import Floats
from worker.engines.whisper.onnx_model.sessions import is_exact, session
from worker.engines.whisper.onnx_model.text_graph import text_graph
from worker.engines.whisper.onnx_model.timestamps import TimestampRules
from worker.engines.whisper.onnx_model.variables import UnknownFormatError, Variables
from worker.engines.whisper.weights import WEIGHTS_NAME

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class SpecialTokens:
    start: int
    """Begins every answer; the tokens before it are a prompt."""
    end: int
    """Ends an answer; all tokens before it are text."""
    timestamps: int
    """The first timestamp."""

    @property
    def no_timestamps(self) -> int:
        """Asks for an answer without timestamps."""
        return self.timestamps - 1

    @property
    def no_speech(self) -> int:
        """Its probability at the start is that of silence or noise."""
        return self.timestamps - 2


class Step(NamedTuple):
    """The outputs of `text_graph`."""

    logits: Floats
    past: Floats
    """With the tokens that were read."""
    scores: Floats


class OnnxWhisper:
    """The model; threads can share it."""

    @classmethod
    def load(cls, directory: Path, special: SpecialTokens) -> Self | None:
        """None if live windows need CTranslate2's decoder, too: the log says why."""
        if not is_exact():
            log.info("onnx_model_unused", reason="This processor does not multiply 8-bit integers exactly.")
            return None
        try:
            return cls(directory, special)
        except (UnknownFormatError, KeyError) as error:
            reason = f"{WEIGHTS_NAME} has another format ({error})."
        except Exception as error:  # noqa: BLE001 -- of protobuf, ONNX Runtime or a full disk: CTranslate2 still works
            reason = " ".join(str(error).split())
        log.warning("onnx_model_unused", reason=reason)
        return None

    def __init__(self, directory: Path, special: SpecialTokens) -> None:
        """Raises `UnknownFormatError`, or `KeyError` for a missing variable."""
        config = json.loads((directory / "config.json").read_text())
        variables = Variables(directory / WEIGHTS_NAME)
        self.size = architecture(variables, config["alignment_heads"])
        self._audio = session(audio_graph(variables, self.size))
        self._text = session(text_graph(variables, self.size))
        self._variables = Variables(directory / WEIGHTS_NAME)  # again: the first one has the whole file in memory
        self._position_encodings = self._variables.floats("decoder/position_encodings/encodings")
        self.special = special
        suppressed = config.get("suppress_ids") or ()
        self.rules = TimestampRules(end=special.end, timestamps=special.timestamps, suppressed=suppressed)

    @property
    def empty_past(self) -> Floats:
        """The `past` of the first tokens."""
        return np.zeros((self.size.layers, 2, 1, self.size.heads, 0, self.size.head_width), np.float32)

    def encode(self, spectrogram: Floats) -> tuple[Floats, dict[str, Floats]]:
        """The encoder's output for a window `[mels, frames]`, and `Architecture.memory`."""
        encoded, *memory = self._audio.run(["encoded", *self.size.memory], {"spectrogram": spectrogram[None]})
        return encoded, dict(zip(self.size.memory, memory, strict=True))

    def decode(
        self,
        memory: dict[str, Floats],
        texts: Sequence[Sequence[int]],
        *,
        past: Floats,
        rows: Sequence[int],
    ) -> Step:
        """Texts of one length, after those in `past`; the logits are those after their `rows`."""
        tokens = np.array(texts)
        old, new = past.shape[4], tokens.shape[1]
        embedded = self._variables.floats("decoder/embeddings/weight", tokens)
        embedded += self._position_encodings[old : old + new]
        mask = np.triu(np.full((new, old + new), -np.inf, np.float32), old + 1)
        inputs = {**memory, "embedded": embedded, "past": past, "mask": mask, "rows": np.array(rows, np.int64)}
        return Step(*self._text.run(None, inputs))
