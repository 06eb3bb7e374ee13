"""The formats of live audio that clients describe: of raw samples, or none for audio in a container."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from shared.audio.live import CONTAINER
from shared.audio.pcm import SAMPLE_BYTES, AudioFormat
from shared.errors import InvalidFieldError


def changed_format(before: AudioFormat | None, changes: Mapping[str, Any]) -> AudioFormat | None:
    """A format with some changed fields; None is a container. Raises InvalidFieldError."""
    whole = asdict(AudioFormat()) | {"encoding": CONTAINER} if before is None else asdict(before)
    return checked_format(**{**whole, **changes})


def checked_format(encoding: str, sample_rate: int, channels: int, separate: bool = False) -> AudioFormat | None:
    """The format of raw audio; None for a container. Raises InvalidFieldError."""
    is_container = encoding == CONTAINER
    if not is_container and encoding not in SAMPLE_BYTES:
        raise InvalidFieldError("encoding", encoding, ", ".join((*SAMPLE_BYTES, CONTAINER)))
    audio_format = AudioFormat("pcm_s16le" if is_container else encoding, sample_rate, channels, separate)
    return None if is_container else audio_format
