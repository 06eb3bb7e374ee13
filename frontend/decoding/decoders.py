"""Decodes recordings in separate processes: one for each recording, up to a limit of concurrent ones.

A recording that crashes its decoder, or needs too much memory or time, is an error only for its own client. Abandoning
a recording ends its decoder. Knows no audio format; `shared.decoder` does.
"""

import asyncio
import contextlib
import math
import signal
import time
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Final, Self

import structlog

from frontend.decoding.link import DecoderLink, Ending, Ready
from frontend.decoding.live import LiveDecoding
from frontend.decoding.reading import DecodedBlock, Reading, new_pipe
from frontend.decoding.recording_file import Source, recording_file
from shared.audio.damage import AudioWarning
from shared.audio.tracks import Separation
from shared.decoder.wire import Order, WireError
from shared.errors import DecoderFailedError, DecoderStalledError, InvalidAudioError, ServerBusyError, VoxtralError
from shared.process import how_ended
from shared.tasks import end_all

STALL_S: Final = 20.0
START_S: Final = 20.0
STEADY_S: Final = 10.0
LONGEST_DELAY_S: Final = 15.0
FIRST_DELAY_S: Final = 0.25
MAX_WAITING: Final = 100
RETRY_AFTER_S: Final = 2.0
BASE_CPU_S: Final = 60
CPU_SHARE: Final = 0.05
"""Processor time for a recording: this share of its longest duration, plus the base. Stereo AAC needs 0.6 %."""
ENDING_S: Final = 5.0

log = structlog.get_logger(__name__)


class Decoders:
    """Created once per process. `run` starts the decoder server for the first recording or live stream, and keeps it
    alive."""

    def __init__(self, most: int, patience_s: float, *, most_live: int = 0, stall_s: float = STALL_S) -> None:
        """`most` decode at the same time; others wait in order, for at most `patience_s`.

        `most_live` live streams are decoded in addition. A decoder that returns nothing for `stall_s`, while its output
        is awaited, is killed.
        """
        self._most = most
        self._patience_s = patience_s
        self._stall_s = stall_s
        self._places = asyncio.Semaphore(most)
        self._most_live = most_live
        self.live_streams = 0
        """Live streams that are being decoded now."""
        self._waiting = 0
        self._numbers = 0
        self._link: DecoderLink | None = None
        self._needed = asyncio.Event()
        """Set by the first recording or live stream: many processes decode none."""
        self._up = asyncio.Event()
        self._sandbox_told = False
        self.idle_bytes = 0
        """Memory of the idle server."""
        self.peak_bytes = 0
        """The highest memory use of any decoder, including memory shared with the server."""

    @classmethod
    @contextlib.asynccontextmanager
    async def running(
        cls, most: int, patience_s: float, *, most_live: int = 0, stall_s: float = STALL_S
    ) -> AsyncIterator[Self]:
        """Running decoders, for the duration of the `async with`; their server starts at once."""
        decoders = cls(most, patience_s, most_live=most_live, stall_s=stall_s)
        decoders._needed.set()
        server = asyncio.create_task(decoders.run(), name="decoders")
        try:
            yield decoders
        finally:
            await end_all((server,))

    @property
    def server_pid(self) -> int | None:
        return None if self._link is None else self._link.pid

    async def run(self) -> None:
        """Start the server when it is needed, and again whenever it ends; runs until cancelled."""
        await self._needed.wait()
        failures = 0
        while True:
            started_s = time.monotonic()
            try:
                how = await self._serve()
            except OSError as error:
                how = str(error)
            failures = 1 if time.monotonic() - started_s >= STEADY_S else failures + 1
            delay_s = min(LONGEST_DELAY_S, FIRST_DELAY_S * 2 ** min(failures - 1, 16))
            log.warning("decoder_server_ended", how=how, restart_in_s=delay_s)
            await asyncio.sleep(delay_s)

    async def _serve(self) -> str:
        """Run one server, from its start to its end. Returns how it ended."""
        link = DecoderLink()
        try:
            if (ready := await link.ready) is not None:
                self._note(ready)
                self._link = link
                self._up.set()
                await link.ended.wait()
        finally:
            self._up.clear()
            self._link = None
            link.close()
        return how_ended(link.exit_code)

    async def pcm(
        self,
        source: Source,
        *,
        max_duration_s: float | None = None,
        strict: bool = False,
        warnings: list[AudioWarning] | None = None,
        separation: Separation | None = None,
    ) -> AsyncGenerator[bytes, None]:
        """A recording as s16le mono 16 kHz, in blocks of a second (the last is shorter).

        With a `separation`, each channel is a track, and blocks hold whole frames of all tracks. Their number is set
        in it before the first block.

        Faults of the recording are added to `warnings` when they are found, up to the last block; with `strict`, damage
        is an error. Raises InvalidAudioError, UnsupportedAudioError and AudioTooLongError for the recording (see
        `shared.audio.files.decode_file`), and ServerBusyError if too many are being decoded, or the disk is full.
        """
        found = self.blocks(
            source, max_duration_s=max_duration_s, strict=strict, warnings=warnings, separation=separation
        )
        async with contextlib.aclosing(found) as blocks:
            async for block in blocks:
                yield block.pcm

    async def blocks(
        self,
        source: Source,
        *,
        max_duration_s: float | None = None,
        strict: bool = False,
        warnings: list[AudioWarning] | None = None,
        separation: Separation | None = None,
    ) -> AsyncGenerator[DecodedBlock, None]:
        """The same, with the fraction of the file that has been read."""
        link, number, ending, reading = await self._start(source, max_duration_s, strict=strict, separation=separation)
        if warnings is not None:
            reading.warnings = warnings
        try:
            while (block := await reading.next(self._stall_s)) is not None:
                yield block
        except (WireError, asyncio.IncompleteReadError) as cause:
            link.kill(number)
            raise await _failure(ending, cause) from None
        except TimeoutError:
            log.warning("decoder_stalled", after_s=self._stall_s)
            raise DecoderStalledError("file", self._stall_s) from None
        finally:
            reading.close()
            link.kill(number)

    async def live(self, tracks: int | None = None) -> LiveDecoding:
        """A decoder for a live stream; with `tracks`, for so many separate tracks.

        Raises ServerBusyError; its `audio` raises what `pcm` raises.
        """
        if self.live_streams >= self._most_live:
            taken = f"All {self._most_live} decoders of live streams are in use"
            remedy = "send raw samples, or begin the stream again shortly"
            raise ServerBusyError(f"{taken}; {remedy}.", retry_after_s=RETRY_AFTER_S)
        self.live_streams += 1
        decoding: LiveDecoding | None = None
        try:
            link = await self._running_link()
            self._numbers += 1
            decoding = await LiveDecoding.start(link, self._numbers, self._stall_s, _failure, tracks)
            decoding.ending.add_done_callback(self._note_live_ending)
            return decoding
        finally:
            if decoding is None:
                self.live_streams -= 1

    async def _start(
        self, source: Source, max_duration_s: float | None, *, strict: bool, separation: Separation | None
    ) -> tuple[DecoderLink, int, "asyncio.Future[Ending | None]", Reading]:
        self._needed.set()  # the server starts while the recording is stored
        await self._take_place()
        ending: asyncio.Future[Ending | None] | None = None
        try:
            with recording_file() as file, new_pipe() as pipe:
                try:
                    descriptor = await file.open(source)
                except OSError as error:
                    log.error("recording_not_stored", reason=str(error))
                    raise ServerBusyError("There is no disk space for the recording.", retry_after_s=30.0) from error
                link = await self._running_link()
                reading = await Reading.of(pipe, file.size_bytes, max_duration_s, separation)
                self._numbers += 1
                cpu_s = None if max_duration_s is None else BASE_CPU_S + math.ceil(max_duration_s * CPU_SHARE)
                most = None if separation is None else separation.most
                order = Order(self._numbers, max_duration_s, cpu_s, strict, tracks=most)
                ending = link.start(order, descriptor, pipe.writable)
                ending.add_done_callback(self._note_ending)
                return link, self._numbers, ending, reading
        finally:
            if ending is None:
                self._places.release()

    async def _take_place(self) -> None:
        if self._waiting >= MAX_WAITING:
            raise self._busy()
        self._waiting += 1
        try:
            async with asyncio.timeout(self._patience_s):
                await self._places.acquire()
        except TimeoutError:
            raise self._busy() from None
        finally:
            self._waiting -= 1

    async def _running_link(self) -> DecoderLink:
        self._needed.set()
        try:
            async with asyncio.timeout(START_S):
                while self._link is None:
                    await self._up.wait()
        except TimeoutError:
            raise ServerBusyError("No decoder is running now.", retry_after_s=RETRY_AFTER_S) from None
        return self._link

    def _busy(self) -> ServerBusyError:
        return ServerBusyError(f"All {self._most} decoders are in use; try again shortly.", retry_after_s=RETRY_AFTER_S)

    def _note(self, ready: Ready) -> None:
        self.idle_bytes = ready.rss_bytes
        if not self._sandbox_told and not (ready.landlock and ready.seccomp):
            self._sandbox_told = True
            missing = [name for name in ("landlock", "seccomp") if not getattr(ready, name)]
            log.warning("decoder_sandbox_incomplete", kernel_lacks=missing)

    def _note_live_ending(self, ending: "asyncio.Future[Ending | None]") -> None:
        self.live_streams -= 1
        self._note_peak(ending)

    def _note_ending(self, ending: "asyncio.Future[Ending | None]") -> None:
        """A place is free when its process has ended, not when its client has disconnected."""
        self._places.release()
        self._note_peak(ending)

    def _note_peak(self, ending: "asyncio.Future[Ending | None]") -> None:
        if not ending.cancelled() and (end := ending.result()) is not None:
            self.peak_bytes = max(self.peak_bytes, end.peak_bytes)


async def _failure(ending: "asyncio.Future[Ending | None]", cause: Exception) -> VoxtralError:
    """The error for a client whose decoder ended without a message, or sent an invalid one."""
    done, _ = await asyncio.wait((ending,), timeout=ENDING_S)
    end = ending.result() if done else None
    if end is None:
        return ServerBusyError("Decoding was interrupted; send the recording again.", retry_after_s=RETRY_AFTER_S)
    if end.exit_code == -signal.SIGXCPU:
        return InvalidAudioError("The file cannot be decoded: it needs too much processor time.")
    reason = str(cause) if isinstance(cause, WireError) else None
    log.warning("decoder_failed", how=how_ended(end.exit_code), peak_bytes=end.peak_bytes, reason=reason)
    return DecoderFailedError()
