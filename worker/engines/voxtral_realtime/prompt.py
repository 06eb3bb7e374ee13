"""How a session's tokens and its audio lie beside each other. Pure arithmetic on what the checkpoint says.

Position p of the model hears one frame of audio and reads one token, and says the next token. A session's positions:

    p       0 … left − 1   left … left + delay   left + delay + 1 …
    hears   silence        frames 0 … delay      frames delay + 1 …
    reads   BOS, then pads pads                  what it said at p − 1

so that what it says at position left + delay + g was heard up to frame delay + g, and is about frame g: a word whose
sound ends in frame g is announced there by the word marker, and its text follows.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

FRESH: Final = -1
"""Instead of a token: read what the position before has said."""
LONGEST_WORD_TOKENS: Final = 10
"""Positions after the delay in which a last word's text still comes: mistral-common's
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
        """Audio that a position hears from before its frame: half a window of the spectrogram."""
        return self.n_fft // 2

    @cached_property
    def window_samples(self) -> int:
        """Audio that a position's mel frames are made of."""
        return (self.mel_frames - 1) * self.hop_samples + self.n_fft

    @cached_property
    def first_position(self) -> int:
        """The first position that hears any of the audio: its window reaches into frame 0."""
        return self.left_pad_tokens - 1

    def delay_tokens(self, delay_ms: int) -> int:
        return delay_ms * 16 // self.frame_samples

    def token_at(self, position: int, delay_tokens: int) -> int:
        """What the position must read, or `FRESH`."""
        if position == 0:
            return self.bos_token
        return self.pad_token if position <= self.left_pad_tokens + delay_tokens else FRESH

    def window_start_samples(self, position: int) -> int:
        """Where the window of a position begins, from the start of the audio. Negative: in the silence before."""
        return (position - self.left_pad_tokens) * self.frame_samples - self.lead_samples

    def frame_said_at(self, position: int, delay_tokens: int) -> int | None:
        """The frame that the token said at this position is about; None when what it says is not used."""
        frame = position - self.left_pad_tokens - delay_tokens
        return frame if frame >= 0 else None

    def positions(self, audio_samples: int, delay_tokens: int) -> int:
        """Positions until all of so much audio has been heard and answered.

        mistral-common pads the audio on the right by `delay + 1 + LONGEST_WORD_TOKENS`; what the last of these would
        say is not used by `generate` either.
        """
        frames = -(-audio_samples // self.frame_samples)
        return self.left_pad_tokens + frames + delay_tokens + LONGEST_WORD_TOKENS
