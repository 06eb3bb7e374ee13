"""The path of a recording through a session: decoded in blocks, written as fast as the session accepts it.

Uploads and one-shot requests share it. Memory use does not grow with the recording; the caller reads the events.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from dataclasses import replace

from frontend.access.principal import ANONYMOUS, Principal
from frontend.decoding.decoders import Decoders
from frontend.decoding.recording_file import Source
from frontend.sessions.gateway import Gateway
from frontend.sessions.session import Session
from shared.audio.damage import AudioWarning
from shared.audio.payload import decode_raw
from shared.audio.tracks import Separation
from shared.config.sections import AudioSettings
from shared.errors import InvalidAudioError
from shared.events import SAMPLE_RATE_HZ
from shared.metrics.families import UPLOAD_RATE
from shared.metrics.metrics import Metrics
from shared.session_options import SessionOptions
from shared.tasks import in_thread


class Recordings:
    """Opens sessions for recordings; see `session_for`."""

    def __init__(self, gateway: Gateway, decoders: Decoders, settings: AudioSettings, metrics: Metrics) -> None:
        self._gateway = gateway
        self._decoders = decoders
        self._settings = settings
        self._metrics = metrics

    def file(
        self,
        audio: Source,
        options: SessionOptions,
        principal: Principal,
        *,
        strict: bool,
    ) -> contextlib.AbstractAsyncContextManager[Session]:
        """A session that is fed an audio file."""
        longest_s, separation = self._settings.longest_s(options.mode), _separation(options)
        faults: list[AudioWarning] = []
        blocks = self._decoders.pcm(
            audio, max_duration_s=longest_s, strict=strict, warnings=faults, separation=separation
        )
        return self._timed(session_for(blocks, options, self._gateway, principal, separation), faults)

    def samples(
        self,
        audio: bytes,
        options: SessionOptions,
        principal: Principal,
        *,
        encoding: str | None = None,
        sample_rate: int = SAMPLE_RATE_HZ,
        channels: int = 1,
        strict: bool,
    ) -> contextlib.AbstractAsyncContextManager[Session]:
        """A session that is fed raw samples; if `encoding` is None, `decode_raw` guesses it."""
        separation = _separation(options)
        faults: list[AudioWarning] = []
        blocks = decode_raw(
            audio,
            encoding,
            sample_rate,
            channels,
            separation=separation,
            max_duration_s=self._settings.longest_s(options.mode),
            strict=strict,
            warn=faults.append,
        )
        return self._timed(session_for(_in_threads(blocks), options, self._gateway, principal, separation), faults)

    @contextlib.asynccontextmanager
    async def _timed(
        self, opening: contextlib.AbstractAsyncContextManager[Session], faults: list[AudioWarning]
    ) -> AsyncIterator[Session]:
        """A session with the `faults` of its recording. Measures the time of a recording whose events are read up to
        `done`, waiting for a slot included."""
        started_s = time.perf_counter()
        async with opening as session:
            session.faults = faults
            yield session
            if session.is_done:
                took_s = time.perf_counter() - started_s
                rate = took_s * SAMPLE_RATE_HZ / max(1, session.audio_received_samples)
                self._metrics.histogram(UPLOAD_RATE, session.model).observe(rate)


@contextlib.asynccontextmanager
async def session_for(
    blocks: AsyncGenerator[bytes, None],
    options: SessionOptions,
    gateway: Gateway,
    principal: Principal = ANONYMOUS,
    separation: Separation | None = None,
) -> AsyncIterator[Session]:
    """A session that is fed the blocks (s16le 16 kHz, mono or tracks) while the `async with` follows its events.

    The audio is checked before a slot is reserved. Raises what the audio, the gateway and the body raise. In every
    case, cancellation included, no session, no text and no decoder is left over.
    """
    async with contextlib.aclosing(blocks):
        first = await anext(blocks, b"")
        if not first:
            raise InvalidAudioError("The audio contains no samples.")
        if separation is not None:
            options = replace(options, channels=separation.found)
        async with _fed(blocks, first, await gateway.open(options, queue="batch", principal=principal)) as session:
            yield session


@contextlib.asynccontextmanager
async def _fed(blocks: AsyncGenerator[bytes, None], first: bytes, session: Session) -> AsyncIterator[Session]:
    pump: asyncio.Task[None] | None = None
    try:
        async with asyncio.TaskGroup() as group:
            pump = group.create_task(_pump(session, first, blocks), name=f"recording {session.id}")
            yield session
            pump.cancel()
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None
    finally:
        pump = None  # if it failed, its error would hold this frame, and this frame would hold the error
        await session.release()


async def _pump(session: Session, block: bytes, blocks: AsyncGenerator[bytes, None]) -> None:
    while block:
        await session.write(block)
        block = await anext(blocks, b"")
    await session.finish()


def _separation(options: SessionOptions) -> Separation | None:
    """How the channels of a recording are separated: the options hold the largest allowed number."""
    return None if options.channels is None else Separation(options.channels)


async def _in_threads(blocks: Iterator[bytes]) -> AsyncGenerator[bytes, None]:
    """Blocks that need much CPU time: each is made in a thread."""
    while block := await in_thread(next, blocks, b""):
        yield block
