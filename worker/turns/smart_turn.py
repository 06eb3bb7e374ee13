"""Smart Turn v3.2: the probability that a speaker has finished, from the sound of the last seconds.

On one thread; measured about 50 ms on one core of an AMD EPYC, 8 of them for the spectrogram.
"""

import numpy as np
from numpy.typing import NDArray

from worker.model_files import SMART_TURN
from worker.onnx_networks import load_network
from worker.turns.features import log_mel


class SmartTurn:
    """Raises `StartupError` if the model file is missing or damaged."""

    def __init__(self) -> None:
        self._network = load_network(SMART_TURN.read())

    def probability(self, pcm: NDArray[np.float32]) -> float:
        """That the speaker has finished at the end of `pcm`: one turn with the pause after it, 16 kHz within ±1."""
        (found,) = self._network.run(None, {"input_features": log_mel(pcm)[None]})
        return float(found[0, 0])
