"""Base64 of audio: standard, padded, of any length."""

import base64
import itertools

import pytest

from frontend.protocols.base64_audio import decode_base64
from shared.errors import InvalidAudioError


@pytest.mark.parametrize("size", [0, 1, 2, 3, 57, 786_431, 786_432, 786_433, 1_600_000])
def test_base64_of_any_length_is_decoded(size: int) -> None:
    audio = bytes(itertools.islice(itertools.cycle(range(256)), size))
    assert decode_base64(base64.b64encode(audio).decode(), "audio_data") == audio
    assert decode_base64(base64.encodebytes(audio).decode(), "audio_data") == audio  # with line breaks
    assert decode_base64(base64.encodebytes(audio).decode().replace("\n", "\r\n"), "audio_data") == audio


def test_padding_within_long_base64_is_refused() -> None:
    padded_slice = "A" * ((1 << 20) - 2) + "=="
    with pytest.raises(InvalidAudioError):
        decode_base64(padded_slice + "AAAA", "audio_data")
