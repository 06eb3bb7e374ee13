"""A wrapper of sherpa-onnx' recognizer: streams, batched passes over them, and their text.

The only module that calls the library.
"""

from collections.abc import Sequence
from typing import Any, Final, TypeAlias

import numpy as np
import sherpa_onnx
from numpy.typing import NDArray

from shared.errors import StartupError
from shared.events import SAMPLE_RATE_HZ
from worker.engines.sherpa.files import ModelFiles
from worker.engines.sherpa.spelling import Said

HOP_SAMPLES: Final = 160
"""The library's front end makes a frame of each hop."""
_MAX_WINDOW_SAMPLES: Final = 60 * SAMPLE_RATE_HZ
"""More audio than any model waits for."""

Stream: TypeAlias = Any
"""`sherpa_onnx.OnlineStream`; the library has no types."""


class Recognizer:
    """One model for all sessions. It uses greedy search, so the text of a stream never changes."""

    def __init__(self, files: ModelFiles, threads: int) -> None:
        """Raises `StartupError`."""
        build = getattr(sherpa_onnx.OnlineRecognizer, f"from_{files.kind}")
        networks = {part: str(file) for part, file in files.networks.items()}
        try:
            self._recognizer = build(
                tokens=str(files.tokens),
                **networks,
                num_threads=threads,
                decoding_method="greedy_search",
                provider="cpu",
            )
            self.window_samples, self.shift_samples = self._measured()
        except (RuntimeError, ValueError, IndexError) as error:
            reason = " ".join(str(error).split())[:200].rstrip(".")
            raise StartupError(
                f"The model in {files.tokens.parent} cannot be loaded by sherpa-onnx: {reason}."
            ) from error

    window_samples: int
    """Audio that the first pass over a stream needs."""
    shift_samples: int
    """Audio that each further pass needs."""

    def open_stream(self) -> Stream:
        return self._recognizer.create_stream()

    def is_ready(self, stream: Stream) -> bool:
        """Whether a pass over the stream is possible."""
        return bool(self._recognizer.is_ready(stream))

    def decode(self, streams: Sequence[Stream]) -> None:
        """One pass over each stream, all in one batch."""
        self._recognizer.decode_streams(list(streams))

    def said(self, stream: Stream) -> Said:
        result: Any = self._recognizer.get_result_all(stream)
        return Said(result.tokens, result.timestamps, result.text)

    def warm_up(self, sessions: int) -> None:
        """Run a pass over one stream and one over the largest number of streams."""
        silence = np.zeros(self.window_samples, np.float32)
        for count in sorted({1, sessions}):
            streams = [self.open_stream() for _ in range(count)]
            for stream in streams:
                feed(stream, silence)
            self.decode(streams)

    def _measured(self) -> tuple[int, int]:
        """Measure the audio that the first pass and each further one need, since the library does not report it."""
        stream = self.open_stream()
        waits = []
        for _ in range(2):
            fed_samples = 0
            while not self.is_ready(stream):
                if fed_samples > _MAX_WINDOW_SAMPLES:
                    raise ValueError("it never starts to decode")
                feed(stream, np.zeros(HOP_SAMPLES, np.float32))
                fed_samples += HOP_SAMPLES
            self.decode([stream])
            waits.append(fed_samples)
        return waits[0], waits[1]


def feed(stream: Stream, pcm: NDArray[np.float32]) -> None:
    stream.accept_waveform(SAMPLE_RATE_HZ, pcm)


def end(stream: Stream) -> None:
    """No more audio follows."""
    stream.input_finished()
