"""The audio of known speakers on its way to a worker, which embeds it: for a session, or for a request.

Frontends import no model. They store a few seconds of 16 kHz PCM (s16le, mono) for each name before they dispatch the
session; its worker deletes them when it has embedded them.
"""

import asyncio
import secrets
from collections.abc import Mapping
from typing import Final, cast

import orjson
from redis.asyncio import Redis

from shared.bus import control, keys
from shared.bus.lua.slots import NOTE
from shared.bus.messages import WorkerMessage
from shared.bus.scripts import Script
from shared.errors import InvalidFieldError, ModelUnavailableError
from shared.events import SAMPLE_RATE_HZ
from shared.voices import MAX_VOICE_S

MAX_VOICE_BYTES: Final = 2 * round(MAX_VOICE_S * SAMPLE_RATE_HZ)
_POLL_S: Final = 0.05


async def store_voices(redis: Redis, session_id: str, voices: Mapping[str, bytes]) -> None:
    """Store PCM by name for the worker that claims the session. The session must exist and not be dispatched yet."""
    if voices:
        key = keys.voices(session_id)
        pipe = redis.pipeline(transaction=True)
        pipe.hset(key, mapping={name: pcm[:MAX_VOICE_BYTES] for name, pcm in voices.items()})
        pipe.expire(key, keys.VOICES_TTL_S)
        await pipe.execute()


async def read_voices(redis: Redis, session_id: str) -> dict[str, bytes]:
    """PCM by name; empty if none is stored."""
    found = cast("dict[bytes, bytes]", await redis.hgetall(keys.voices(session_id)))
    return {name.decode(): pcm for name, pcm in found.items()}


async def embed(redis: Redis, worker_id: str, pcm: bytes) -> str:
    """Let a worker whose report names a `speaker_model` embed a voice. Returns the text that `shared.voices` describes.

    Raises InvalidFieldError if the audio contains too little speech, and ModelUnavailableError if no answer arrives.
    """
    request_id = secrets.token_urlsafe(12)
    await Script(redis, NOTE)(keys=[keys.UNERASED], args=[request_id, 1000 * keys.VOICE_REQUEST_TTL_S])
    await redis.set(keys.voice_request(request_id), pcm[:MAX_VOICE_BYTES], ex=keys.VOICE_REQUEST_TTL_S)
    await control.send(redis, worker_id, WorkerMessage.EMBED, request_id)
    for _ in range(round(keys.VOICE_REQUEST_TTL_S / _POLL_S)):
        reply = cast("bytes | None", await redis.getdel(keys.voice_reply(request_id)))
        if reply is not None:
            return _embedding(orjson.loads(reply))
        await asyncio.sleep(_POLL_S)
    await redis.delete(keys.voice_request(request_id))
    raise ModelUnavailableError("No worker has embedded the voice in time; try again.", retry_after_s=2.0)


async def read_request(redis: Redis, request_id: str) -> bytes | None:
    """The PCM of a request, which is deleted; None if another reader has it or it has expired."""
    return cast("bytes | None", await redis.getdel(keys.voice_request(request_id)))


async def reply(redis: Redis, request_id: str, embedding: str | None) -> None:
    """Answer a request. None: the audio contains too little speech."""
    answer = orjson.dumps({"embedding": embedding})
    await redis.set(keys.voice_reply(request_id), answer, ex=keys.VOICE_REQUEST_TTL_S)


def _embedding(answer: dict[str, str | None]) -> str:
    embedding = answer.get("embedding")
    if embedding is None:
        raise InvalidFieldError("audio", "this recording", "a recording with at least 1 s of speech")
    return embedding
