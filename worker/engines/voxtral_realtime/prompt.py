"""How a session's tokens and audio are aligned. Pure arithmetic on the checkpoint's values.

Position p of the model receives one frame of audio and one token, and outputs the next token. A session's positions:

    p       0 … left − 1   left … left + delay   left + delay + 1 …
    audio   silence        frames 0 … delay      frames delay + 1 …
    token   BOS, then pads pads                  the output of p − 1

so that the output at position left + delay + g follows audio up to frame delay + g, and is about frame g: a word whose
sound ends in frame g is announced there by the word marker, and its text follows.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

FRESH: Final = -1
"""Instead of a token: read the output of the previous position."""
LONGEST_WORD_TOKENS: Final = 10
"""Positions after the delay in which the last word's text still arrives: mistral-common's
`OFFLINE_STREAMING_BUFFER_TOKENS`."""


@dataclass(frozen=True)
class Prompt:
    bos_token: int
    pad_token: int
    left_pad_tokens: int
    """Positions of silence before the audio; at least one."""
    default_delay_ms: int
    hop_samples: int
    n_fft: int
    mel_frames: int
    """Mel frames of one position."""

    @cached_property
    def frame_samples(self) -> int:
        """Audio of one position."""
        return self.mel_frames * self.hop_samples

    @cached_property
    def lead_samples(self) -> int:
        """Audio before its frame that a position also receives: half a window of the spectrogram."""
        return self.n_fft // 2

    @cached_property
    def window_samples(self) -> int:
        """Audio from which a position's mel frames are computed."""
        return (self.mel_frames - 1) * self.hop_samples + self.n_fft

    @cached_property
    def first_position(self) -> int:
        """The first position that receives any of the audio: its window reaches into frame 0."""
        return self.left_pad_tokens - 1

    def delay_tokens(self, delay_ms: int) -> int:
        return delay_ms * 16 // self.frame_samples

    def token_at(self, position: int, delay_tokens: int) -> int:
        """The input token of the position, or `FRESH`."""
        if position == 0:
            return self.bos_token
        return self.pad_token if position <= self.left_pad_tokens + delay_tokens else FRESH

    def window_start_samples(self, position: int) -> int:
        """Start of a position's window, relative to the start of the audio. Negative: in the silence before."""
        return (position - self.left_pad_tokens) * self.frame_samples - self.lead_samples

    def frame_said_at(self, position: int, delay_tokens: int) -> int | None:
        """The frame that the output token of this position is about; None if the token is not used."""
        frame = position - self.left_pad_tokens - delay_tokens
        return frame if frame >= 0 else None

    def positions(self, audio_samples: int, delay_tokens: int) -> int:
        """Positions until this much audio has been processed and transcribed.

        mistral-common pads the audio on the right by `delay + 1 + LONGEST_WORD_TOKENS`; `generate` does not use the
        output of the last of these, either.
        """
        frames = -(-audio_samples // self.frame_samples)
        return self.left_pad_tokens + frames + delay_tokens + LONGEST_WORD_TOKENS
