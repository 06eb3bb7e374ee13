"""What the decoder gets, and what it gives back."""

from dataclasses import dataclass
from math import inf

import numpy as np
from numpy.typing import NDArray

from shared.session_options import KeyTerm
from worker.engines.whisper.words import HeardWord

MAX_NEW_TOKENS = 224
TOKENS_PER_S = 10.0
"""No language is spoken faster in Whisper's tokens; a longer answer is a decoding error."""


@dataclass(frozen=True, slots=True)
class Job:
    """One window to decode."""

    pcm: NDArray[np.float32]
    language: str
    prompt: str | None = None
    forced: tuple[int, ...] = ()
    """Tokens that the answer begins with: words of this window that are already settled."""
    draft: tuple[int, ...] = ()
    """Tokens that probably follow: what the previous pass heard there. They save time. The answer can differ only where
    two tokens are almost equally likely."""
    is_live: bool = False
    """Decode the window by itself if that is faster. Otherwise it shares a batch."""
    closing: bool = False
    """The text may become final: decode with more care, in a window that depends on this audio alone."""
    cap_tokens: int = MAX_NEW_TOKENS
    """The most new tokens that a partial can have; a loop at the edge of the audio would slow the whole batch more."""
    lead_samples: int = 0
    """Silence to add before the audio: otherwise speech that begins at once appears twice in the answer."""
    beam_below: float = -inf
    """An answer with a lower log-probability is decoded again with a beam, which is slower and mostly better."""
    translate: bool = False
    """Translate into English, whatever the language is."""
    keyterms: tuple[KeyTerm, ...] = ()


@dataclass(frozen=True, slots=True)
class Heard:
    """The decoded text of one window, after the forced words."""

    words: tuple[HeardWord, ...]
    lead: str
    """Punctuation before the first word; it belongs to the last forced word."""
    lead_tokens: tuple[int, ...]
    language: str
    log_probability: float
    """Mean of the new tokens."""
    no_speech_probability: float
    token_count: int

    @property
    def word_probability(self) -> float:
        """The mean over the words; 1 if there are none."""
        return sum(word.probability for word in self.words) / len(self.words) if self.words else 1.0
