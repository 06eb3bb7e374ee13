"""The model that tells speakers apart, and the voices of known speakers. Belongs to the speaker thread."""

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shared import voices
from shared.audio.pcm import from_s16
from shared.events import SAMPLE_RATE_HZ
from shared.session_options import KnownSpeaker
from worker.engines.speech.vad import SileroVad
from worker.speakers.clusters import Thresholds
from worker.speakers.encoders import load_encoder
from worker.speakers.labelling import covered_samples
from worker.speakers.tracker import KNOWN_WEIGHT, Tracker
from worker.speakers.windows import SpeechWindows

SHORTEST_VOICE_SAMPLES: Final = round(0.8 * voices.MIN_VOICE_S * SAMPLE_RATE_HZ)
"""The ends of words count as silence."""

Floats = NDArray[np.float32]


class SpeakerModel:
    """Raises StartupError for a file that cannot be used. `similarity`: None uses the model's thresholds."""

    def __init__(self, path: Path | None, similarity: float | None) -> None:
        self.encoder = load_encoder(path)
        if similarity is not None:
            self.encoder.thresholds = self.encoder.narrow = Thresholds.around(similarity)
        self._vad = SileroVad()

    def tracker(self, limit: int, start_samples: int, prefix: str = "") -> Tracker:
        """For a session that begins, or continues, at a position. Labels of new speakers begin with `prefix`."""
        return Tracker.of(self.encoder, self._vad, limit=limit, start_samples=start_samples, prefix=prefix)

    def name(self, tracker: Tracker, speaker: KnownSpeaker, recording: bytes | None) -> str | None:
        """Add a known speaker, by its embedding or a recording. Returns what is wrong with it, for the client."""
        fault = None
        mean: Floats | None = None
        if speaker.embedding is not None:
            mean = self._vector(speaker.embedding)
            fault = "was enrolled with another model; enrol it again."
        elif recording is not None:
            mean = self._mean(recording)
            fault = f"has less than {voices.MIN_VOICE_S:g} s of speech in its audio."
        if mean is None:
            return f"The known speaker {speaker.name!r} {fault or 'has no audio and is not enrolled.'}"
        tracker.speakers.name(speaker.name, mean, KNOWN_WEIGHT)
        return None

    def embedding(self, pcm: bytes) -> str | None:
        """The voice in a recording, as `shared.voices` writes it; None if it has too little speech."""
        mean = self._mean(pcm)
        return None if mean is None else voices.encoded(self.encoder.name, mean.astype("<f2").tobytes())

    def _vector(self, embedding: str) -> Floats | None:
        model, halves = voices.decoded(embedding)
        if model != self.encoder.name or len(halves) != 2 * self.encoder.size:
            return None
        vector = np.frombuffer(halves, "<f2").astype(np.float32)
        return vector if np.linalg.norm(vector) <= 1.01 else None  # NaN is not either

    def _mean(self, pcm: bytes) -> Floats | None:
        """The mean of the unit vectors of a recording's windows."""
        samples = from_s16(np.frombuffer(pcm, "<i2"))
        speech = SpeechWindows(self._vad, 0)
        windows = [*speech.feed(np.pad(samples, (0, SAMPLE_RATE_HZ))), *speech.end_stretch()]
        if covered_samples((window.start_samples, window.end_samples) for window in windows) < SHORTEST_VOICE_SAMPLES:
            return None
        mean: Floats = np.mean(self.encoder.embed([window.pcm for window in windows]), axis=0)
        return mean
