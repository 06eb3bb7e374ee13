"""The log-mel spectrogram of a recording, window by window, equal to transformers' `WhisperFeatureExtractor`.

Values are clipped 8 (80 dB) below the loudest point of the whole recording, so all of its windows are measured before
the first one is finished. The edges of a window are computed together with the audio around it.
"""

from typing import Final

import numpy as np
import torch
from mistral_common.tokens.tokenizers.audio import AudioConfig
from numpy.typing import NDArray

from shared.audio.pcm import from_s16
from worker.engines.loading.filter_bank import filter_bank
from worker.engines.voxtral.prompts import WINDOW_SAMPLES, windows_of

SMALLEST_POWER: Final = 1e-10
RANGE: Final = 8.0


class Spectrograms:
    """The front end: filters and window on the model's device."""

    def __init__(self, config: AudioConfig, device: str) -> None:
        mel = config.encoding_config
        self.shape = {
            "n_mels": mel.num_mel_bins,
            "hop_length": mel.hop_length,
            "win_length": mel.window_size,
            "n_fft": mel.window_size,
        }
        self.n_fft, self.hop = mel.window_size, mel.hop_length
        self.device = device
        self.window = torch.hann_window(mel.window_size, device=device)
        self.filters = filter_bank(
            sample_rate_hz=config.sampling_rate, n_fft=mel.window_size, n_mels=mel.num_mel_bins
        ).to(device)


class Recording:
    """The spectrogram of one recording while it is computed."""

    def __init__(self, front_end: Spectrograms, pcm: NDArray[np.int16]) -> None:
        self._front_end = front_end
        self._pcm = pcm
        self.windows = windows_of(len(pcm))
        self._logs: list[torch.Tensor | None] = []
        self._loudest: torch.Tensor | None = None

    @property
    def measured_windows(self) -> int:
        return len(self._logs)

    def measure(self, limit_windows: int) -> None:
        """Measure the next windows. Their logarithms are kept, 1.5 MB each, until `take`."""
        front_end = self._front_end
        for index in range(len(self._logs), min(len(self._logs) + limit_windows, self.windows)):
            samples = torch.from_numpy(self._surrounded(index)).to(front_end.device)
            spectrum = torch.stft(
                samples, front_end.n_fft, front_end.hop, window=front_end.window, center=False, return_complex=True
            )
            power = front_end.filters @ (spectrum.abs() ** 2)  # [mels, frames]
            log = power.clamp(min=SMALLEST_POWER).log10()
            loudest = log.max()
            self._loudest = loudest if self._loudest is None else torch.maximum(self._loudest, loudest)
            self._logs.append(log)

    def take(self, first_window: int, windows: int) -> torch.Tensor:
        """`[windows, mels, frames]` for the encoder, each window once; all must have been measured."""
        assert self.measured_windows == self.windows, "the loudest point is not known yet"
        assert self._loudest is not None
        logs = [log for log in self._logs[first_window : first_window + windows] if log is not None]
        self._logs[first_window : first_window + windows] = [None] * windows
        return (torch.maximum(torch.stack(logs), self._loudest - RANGE) + 4.0) / 4.0

    def _surrounded(self, index: int) -> NDArray[np.float32]:
        """The samples of a window and half a frame on each side, mirrored at the ends of the recording."""
        margin = self._front_end.n_fft // 2
        behind = margin - self._front_end.hop  # the last frame starts one hop before the next window
        start, stop = index * WINDOW_SAMPLES - margin, (index + 1) * WINDOW_SAMPLES + behind
        found = from_s16(self._pcm[max(start, 0) : stop])
        before = max(-start, 0)
        samples = np.zeros(stop - start, np.float32)
        samples[before : before + len(found)] = found
        if index == 0:
            samples[:margin] = samples[2 * margin : margin : -1]
        if index == self.windows - 1:
            samples[-behind:] = samples[-behind - 2 : -2 * behind - 2 : -1]
        return samples
