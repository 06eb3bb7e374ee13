"""What the client and the server must agree on: constants of the wire. A test of the server compares them."""

from typing import Final

SAMPLE_RATE_HZ: Final = 16_000
"""Positions in audio count samples at this rate, whatever rate is sent."""
SAMPLE_BYTES: Final = {
    "pcm_s16le": 2,
    "pcm_s32le": 4,
    "pcm_f16le": 2,
    "pcm_f32le": 4,
    "pcmu": 1,
    "pcma": 1,
    "pcm_u8": 1,
    "pcm_s24le": 3,
    "pcm_f64le": 8,
}
"""The raw encodings, with the bytes of one sample."""
CONTAINER: Final = "container"
"""The encoding of audio in a container, such as WebM or Ogg."""
WS_PATH: Final = "/ws"
"""The path of the native protocol at the port of the web page. The WebSocket port serves it at every path."""
