"""Known speakers on their way to a worker: their audio is decoded here, and a worker embeds it.

A session's worker finds the audio of its known speakers in Redis. A client that wants to send a voice more often asks
for its embedding once. Frontends import no model and keep neither.
"""

import secrets
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from redis.asyncio import Redis

from frontend.decoding.decoders import Decoders
from frontend.sessions.placement import Placement
from shared.bus.failures import reaching_store
from shared.bus.voices import embed, store_voices
from shared.errors import (
    AudioTooLongError,
    InvalidAudioError,
    InvalidFieldError,
    ModelUnavailableError,
    UnsupportedAudioError,
    VoxtralError,
    shown,
)
from shared.events import SAMPLE_RATE_HZ
from shared.session_options import SessionOptions
from shared.voices import MAX_VOICE_S, MIN_VOICE_S

SLACK_S: Final = 0.5
"""Encoders add some silence to a recording."""
_SECOND_BYTES: Final = 2 * SAMPLE_RATE_HZ


class VoiceError(InvalidFieldError):
    """The audio of a known speaker cannot be used."""

    def __init__(self, name: str, reason: str) -> None:
        VoxtralError.__init__(self, f"The audio of the known speaker {shown(name)} cannot be used: {reason}")
        self.field = "known_speakers"


class Voices:
    def __init__(self, redis: Redis, decoders: Decoders, placement: Placement) -> None:
        self._redis = redis
        self._decoders = decoders
        self._placement = placement

    async def decoded(self, options: SessionOptions) -> tuple[SessionOptions, dict[str, bytes]]:
        """The options without audio, and the PCM of each known speaker that had some.

        Raises VoiceError and ServerBusyError.
        """
        given = {speaker.name: speaker.audio for speaker in options.known_speakers or () if speaker.audio is not None}
        if not given:
            return options, {}
        found = {name: await self._voice(name, audio) for name, audio in given.items()}
        known = tuple(replace(speaker, audio=None) for speaker in options.known_speakers or ())
        return replace(options, known_speakers=known), found

    async def store(self, session_id: str, voices: Mapping[str, bytes]) -> None:
        """For the worker that claims the session, which must exist. Raises StoreUnreachableError."""
        with reaching_store():
            await store_voices(self._redis, session_id, voices)

    async def embedding(self, audio: bytes) -> str:
        """The voice in a recording of any kind, as `known_speakers` take it; only its first `MAX_VOICE_S` are used.

        Raises InvalidAudioError and UnsupportedAudioError, InvalidFieldError if there is too little speech,
        ModelUnavailableError, ServerBusyError.
        """
        pcm = await self._beginning(audio)
        if len(pcm) < MIN_VOICE_S * _SECOND_BYTES:
            raise InvalidAudioError(f"The recording has {_length(pcm)}; at least {MIN_VOICE_S:g} s are needed.")
        able = [worker for worker in await self._placement.workers() if worker.speaker_model]
        if not able:
            raise ModelUnavailableError("No running worker can tell speakers apart.", retry_after_s=2.0)
        with reaching_store():
            return await embed(self._redis, secrets.choice(able).id, pcm)

    async def _voice(self, name: str, audio: bytes) -> bytes:
        allowed = f"{MIN_VOICE_S:g} to {MAX_VOICE_S:g} s"
        pcm = bytearray()
        try:
            async for block in self._decoders.pcm(audio, max_duration_s=MAX_VOICE_S + SLACK_S):
                pcm += block
        except AudioTooLongError:
            raise VoiceError(name, f"it is longer than {MAX_VOICE_S:g} s; allowed: {allowed}.") from None
        except (InvalidAudioError, UnsupportedAudioError) as error:
            raise VoiceError(name, error.message) from None
        if len(pcm) < MIN_VOICE_S * _SECOND_BYTES:
            raise VoiceError(name, f"it has {_length(pcm)}; allowed: {allowed}.")
        return bytes(pcm)

    async def _beginning(self, audio: bytes) -> bytes:
        pcm = bytearray()
        blocks = self._decoders.pcm(audio)
        try:
            async for block in blocks:
                pcm += block
                if len(pcm) >= MAX_VOICE_S * _SECOND_BYTES:
                    break
        finally:
            await blocks.aclose()
        return bytes(pcm)


def _length(pcm: bytes | bytearray) -> str:
    return f"{len(pcm) / _SECOND_BYTES:.2g} s"
