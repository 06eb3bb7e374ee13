"""A stretch of a session's audio, which the model processes from a fresh start: its positions in the model. Pure.

It begins with the silence that the model expects. A position first gets its audio, and then the model's token, perhaps
when the following position has its audio. Positions in audio are samples of the session.
"""

import numpy as np
from numpy.typing import NDArray

from worker.engines.speech.audio_buffer import AudioBuffer
from worker.engines.voxtral_realtime.loudness import Loudness
from worker.engines.voxtral_realtime.prompt import Prompt


class Stretch:
    def __init__(self, prompt: Prompt, origin_samples: int, delay_tokens: int) -> None:
        self._prompt = prompt
        self.origin_samples = origin_samples
        self.delay_tokens = delay_tokens
        self.known_tokens: list[int] = []
        """The tokens about the first frames, if a previous owner has written them."""
        self.loudness = Loudness(origin_samples)
        self._position = self._next_position = prompt.first_position
        """The next one to get its token, and the next one to get its audio: the next position."""
        self.next_end_samples = origin_samples + prompt.window_start_samples(self._position) + prompt.window_samples
        """Where the audio of the next position ends."""

    @property
    def is_at_start(self) -> bool:
        """Whether the next position is the first, for which the row must be restarted."""
        return self._next_position == self._prompt.first_position

    @property
    def is_in_flight(self) -> bool:
        """Whether a position has its audio, but no token yet."""
        return self._next_position > self._position

    def is_ready(self, audio_samples: int, end_samples: int | None) -> bool:
        """Whether the next position can get its audio. Audio is available up to a position; the stretch ends at
        `end_samples`, if that is known."""
        if end_samples is not None:
            return self._next_position < self._last_position(end_samples)
        return audio_samples >= self.next_end_samples

    def is_drained(self, end_samples: int) -> bool:
        """Whether all positions of a stretch that ends there have their tokens."""
        return self._position >= self._last_position(end_samples)

    def heard_samples(self, limit_samples: int) -> int:
        """The end of the audio whose positions have their tokens. `limit_samples` is that of the audio so far."""
        heard = self.origin_samples + (self._position - self._prompt.left_pad_tokens) * self._prompt.frame_samples
        return max(self.origin_samples, min(heard, limit_samples))

    def known_positions(self, audio_samples: int, end_samples: int | None) -> int:
        """How many of the next positions can get their audio and have an output that is known already."""
        until = self._prompt.left_pad_tokens + self.delay_tokens + len(self.known_tokens)
        if self._next_position >= until:
            return 0
        if end_samples is not None:
            return min(until, self._last_position(end_samples)) - self._next_position
        beyond_first = audio_samples - self.next_end_samples
        return min(until - self._next_position, beyond_first // self._prompt.frame_samples + 1)

    @property
    def forced_token(self) -> int:
        """The input of the next position."""
        if self.known_tokens:
            before = self._prompt.frame_said_at(self._next_position - 1, self.delay_tokens)
            if before is not None and before < len(self.known_tokens):
                return self.known_tokens[before]
        return self._prompt.token_at(self._next_position, self.delay_tokens)

    def window(self, audio: AudioBuffer, limit_samples: int) -> NDArray[np.float32]:
        """The audio of the next position, `[window_samples]`, with silence for the part outside of the stretch, which
        ends at `limit_samples`. After this call, the following position is the next one.
        """
        end = self.next_end_samples
        start = end - self._prompt.window_samples
        self._next_position += 1
        self.next_end_samples = end + self._prompt.frame_samples
        if self.origin_samples <= start and end <= limit_samples:
            return audio.between(start, end)
        window = np.zeros(self._prompt.window_samples, np.float32)
        first, last = max(start, self.origin_samples), min(end, limit_samples)
        if first < last:
            window[first - start : last - start] = audio.between(first, last)
        return window

    @property
    def said_at_samples(self) -> int | None:
        """The start of the frame that the next token is about; None if the token is not used."""
        frame = self._prompt.frame_said_at(self._position, self.delay_tokens)
        if frame is None or frame < len(self.known_tokens):
            return None
        return self.origin_samples + frame * self._prompt.frame_samples

    def pass_position(self, levels: NDArray[np.float32]) -> None:
        """The oldest position without a token has got it; `levels` is the loudness of the hops of its frame."""
        if self._position >= self._prompt.left_pad_tokens:
            self.loudness.hear(levels)
        self._position += 1

    def _last_position(self, end_samples: int) -> int:
        """The position after the last one of a stretch that ends there."""
        return self._prompt.positions(end_samples - self.origin_samples, self.delay_tokens)
