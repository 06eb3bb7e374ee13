"""Detects a model that writes nothing while somebody speaks.

The model can get stuck: it outputs pads over speech, for minutes, until its context is renewed (vLLM issue 47614). Its
margin for a pad is as large then as in silence, so the tokens do not reveal it. The voice activity detector does. It
runs only on audio that is louder than the background, since it takes 2 ms for a second of audio.
"""

from collections import deque
from typing import Final

from worker.engines.speech.audio_buffer import AudioBuffer
from worker.engines.speech.vad import WINDOW_SAMPLES, SileroVad, VadState
from worker.engines.voxtral_realtime.loudness import Loudness

MIN_RUN_SAMPLES: Final = 3 * 16_000
"""Healthy pauses in speech are mostly shorter."""
MIN_SPEECH_SAMPLES: Final = 24_000
"""1.5 s of speech in them: a cough or a single word that the model ignores is shorter."""
KEPT_SAMPLES: Final = 30 * 16_000
"""Limit of the audio that is kept in order to process it again."""
MARGIN_SAMPLES: Final = 8_000
"""Processing starts half a second before the speech."""
JUDGED_WINDOWS: Final = 31
"""About a second at a time."""
MIN_LOUD_HOPS: Final = 20
"""0.2 s: if less of a second is louder than the background, the detector does not run."""
SPEECH_PROBABILITY: Final = 0.5


class BlankRun:
    """The pads since the last word. Positions are samples of the session."""

    def __init__(self, vad: SileroVad | None, start_samples: int) -> None:
        """Without a detector nothing is ever detected."""
        self._vad = vad
        self._heard_twice_samples = start_samples
        self.begin(start_samples)

    def begin(self, start_samples: int) -> None:
        """A new run, after a word or at the start of a stretch. Audio that is processed twice does not count again."""
        self._start_samples = self.until_samples = self._judged_samples = max(start_samples, self._heard_twice_samples)
        self._speech: deque[int] = deque()  # start positions of windows with speech
        self._state: VadState | None = None  # few runs are ever checked

    def pad(self, until_samples: int, audio: AudioBuffer, loudness: Loudness) -> None:
        """Add a pad: the model wrote nothing about the audio up to this position."""
        if until_samples <= self._start_samples:
            return
        self.until_samples = until_samples
        windows = (until_samples - self._judged_samples) // WINDOW_SAMPLES
        if self._vad is not None and windows >= JUDGED_WINDOWS:
            self._judge(self._vad, windows, audio, loudness)
        while self._speech and self._speech[0] < until_samples - KEPT_SAMPLES:
            self._speech.popleft()

    def hear_again(self) -> int:
        """The position to start again from. Audio up to now does not cause another restart."""
        from_samples = self.needed_samples
        self._heard_twice_samples = self.until_samples
        return from_samples

    @property
    def is_stuck(self) -> bool:
        """Whether the run is long, and contains speech."""
        return self.length_samples > MIN_RUN_SAMPLES and len(self._speech) * WINDOW_SAMPLES >= MIN_SPEECH_SAMPLES

    @property
    def has_speech(self) -> bool:
        return bool(self._speech)

    @property
    def length_samples(self) -> int:
        return self.until_samples - self._start_samples

    @property
    def needed_samples(self) -> int:
        """Audio from this position on may have to be processed again."""
        if self._vad is None:
            return self.until_samples
        if not self._speech:
            return self._judged_samples
        return max(self._start_samples, self._speech[0] - MARGIN_SAMPLES, self.until_samples - KEPT_SAMPLES)

    def _judge(self, vad: SileroVad, windows: int, audio: AudioBuffer, loudness: Loudness) -> None:
        first, last = self._judged_samples, self._judged_samples + windows * WINDOW_SAMPLES
        self._judged_samples = last
        if loudness.loud_hops(first, last) < MIN_LOUD_HOPS:
            return
        if self._state is None:
            self._state = VadState()
        probabilities = vad.probabilities(self._state, audio.between(first, last))
        self._speech += [
            first + index * WINDOW_SAMPLES
            for index, probability in enumerate(probabilities)
            if probability >= SPEECH_PROBABILITY
        ]
