"""A live client's audio on its way into a session: decoded to s16le mono 16 kHz, as it arrives."""

import asyncio
from typing import Final

from frontend.session import Session
from shared.audio.pcm import AudioFormat
from shared.audio.stream import PcmStream
from shared.errors import InvalidAudioError
from shared.events import SAMPLE_RATE_HZ

SLICE_BYTES: Final = 64 * 1024
"""Decoded at a time: about a millisecond of work, after which others get their turn."""

_STORED_FORMAT: Final = AudioFormat("pcm_s16le", SAMPLE_RATE_HZ, 1)


class WholeSamples:
    """Audio that is already what a session stores: only a cut sample is kept for the next chunk."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, chunk: bytes) -> bytes:
        if self._rest:
            chunk, self._rest = self._rest + chunk, b""
        if len(chunk) % 2:
            chunk, self._rest = chunk[:-1], chunk[-1:]
        return chunk

    def finish(self) -> bytes:
        if self._rest:
            raise InvalidAudioError("The audio ends with half a sample; pcm_s16le takes 2 bytes per sample.")
        return b""


class Intake:
    """Takes one session's audio in. Waiting is the brake: nothing more is to be read while `take` waits."""

    def __init__(self, session: Session, audio_format: AudioFormat) -> None:
        self._session = session
        self._format = audio_format
        self._decoder = self._new_decoder()

    async def take(self, audio: bytes) -> None:
        """Write a piece of any size. Raises InvalidAudioError; the audio after that is taken afresh."""
        if len(audio) <= SLICE_BYTES:
            await self._take_slice(audio)
            return
        for start in range(0, len(audio), SLICE_BYTES):
            await self._take_slice(audio[start : start + SLICE_BYTES])
            await asyncio.sleep(0)

    async def finish(self) -> None:
        """No more audio comes: write what was held back. Raises InvalidAudioError for a cut sample."""
        pcm = self._decoder.finish()
        if pcm:
            await self._session.write(pcm)

    async def _take_slice(self, audio: bytes) -> None:
        try:
            pcm = self._decoder.feed(audio)
        except InvalidAudioError:
            self._decoder = self._new_decoder()
            raise
        if pcm:
            await self._session.write(pcm)

    def _new_decoder(self) -> PcmStream | WholeSamples:
        return WholeSamples() if self._format == _STORED_FORMAT else PcmStream(self._format)
