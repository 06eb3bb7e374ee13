"""How long a live stream waits for its decoder."""

import asyncio
import os

import pytest

from frontend.decoding.link import DecoderLink, Ending
from frontend.decoding.live import LiveDecoding
from shared.decoder.wire import Kind, Order, frame
from shared.errors import DecoderStalledError, VoxtralError
from tests.unit.clock import clocked

STALL_S = 20.0


class OwnDecoder(DecoderLink):
    """The test itself is the decoder."""

    def __init__(self) -> None:
        self._endings = {}

    def start(self, order: Order, file: int, pipe: int) -> "asyncio.Future[Ending | None]":
        self._pipe = os.dup(pipe)
        return asyncio.get_running_loop().create_future()

    def send(self, kind: Kind, content: bytes = b"", received_bytes: int = 0) -> None:
        os.write(self._pipe, frame(kind, content, received_bytes))

    def close(self) -> None:
        os.close(self._pipe)


async def failed(_ending: "asyncio.Future[Ending | None]", cause: Exception) -> VoxtralError:
    raise cause


async def pcm_of(decoding: LiveDecoding) -> bytes:
    return b"".join([pcm async for pcm in decoding.audio()])


@clocked
async def test_audio_after_a_long_silence_has_all_its_time_to_be_decoded() -> None:
    decoder = OwnDecoder()
    decoding = await LiveDecoding.start(decoder, 1, STALL_S, failed)
    listening = asyncio.create_task(pcm_of(decoding))
    await decoding.write(b"first")
    decoder.send(Kind.WAITING, received_bytes=5)
    await decoding.drained()
    await asyncio.sleep(STALL_S - 0.1)
    await decoding.write(b"second")
    await asyncio.sleep(STALL_S - 0.1)
    decoder.send(Kind.AUDIO, b"pcm.")
    decoder.send(Kind.DONE)
    assert await listening == b"pcm."
    decoding.close()
    decoder.close()


@clocked
async def test_decoder_that_returns_nothing_ends_its_stream() -> None:
    decoder = OwnDecoder()
    decoding = await LiveDecoding.start(decoder, 1, STALL_S, failed)
    await decoding.write(b"first")
    with pytest.raises(DecoderStalledError, match="the decoder returned nothing for 20 s"):
        await pcm_of(decoding)
    decoding.close()
    decoder.close()
