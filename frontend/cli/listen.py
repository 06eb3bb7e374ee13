"""`voxtral listen`: transcribes the microphone until Ctrl-C ends the speech (a second Ctrl-C ends everything)."""

import asyncio
import importlib
import signal
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import click

from frontend.cli.choices import Choices
from frontend.cli.failures import MicrophoneError
from frontend.cli.live import Hearing, say_captions, say_reconnecting
from frontend.cli.recording import Block
from frontend.cli.screen import screen_for
from frontend.cli.transcript import Transcript
from shared.events import SAMPLE_RATE_HZ
from voxtral_client import TranscriptionClient

WAITING_BLOCKS = 500
"""Microphone blocks kept while the server accepts none; then the oldest are dropped."""


async def listen(
    url: str,
    *,
    key: str | None,
    tls: ssl.SSLContext | None,
    choices: Choices,
    captions: str | None,
    device: str | None,
    chunk_samples: int,
) -> None:
    """Transcribe the microphone. `captions` is the address of the page on which others can view the session.

    Raises `MicrophoneError` and `ClientError`.
    """
    stop = asyncio.Event()
    sounddevice = _sounddevice()
    with _microphone(sounddevice, device, chunk_samples) as chunks:
        async with (
            TranscriptionClient(url, key=key, tls=tls, on_reconnect=say_reconnecting) as client,
            client.live(**choices.of_sessions) as session,
        ):
            click.echo("Listening. Press Ctrl-C to stop.", err=True)
            say_captions(captions, session)
            with screen_for("microphone", live=True, text=True) as screen, _interrupt_sets(stop):
                transcript = Transcript("microphone", choices.mode)
                hearing = Hearing(session, screen, transcript, names_speakers=choices.names_speakers)
                await hearing.run(_until(stop, chunks))
    for warning in hearing.warnings:
        click.echo(warning, err=True)


def _sounddevice() -> ModuleType:
    """The optional library, imported only here: it needs PortAudio, which servers do not have."""
    try:
        return importlib.import_module("sounddevice")
    except ImportError:
        raise MicrophoneError(
            "Listening needs the extra `microphone`: .venv/bin/pip install --editable '.[microphone]', "
            "or uv tool install '.[microphone]'."
        ) from None
    except OSError as error:
        raise MicrophoneError(
            f"The PortAudio library cannot be loaded ({error}); on Debian: apt install libportaudio2."
        ) from None


@contextmanager
def _microphone(sounddevice: ModuleType, device: str | None, chunk_samples: int) -> Iterator[asyncio.Queue[bytes]]:
    """The microphone's audio, as s16le mono 16 kHz."""
    loop = asyncio.get_running_loop()
    chunks: asyncio.Queue[bytes] = asyncio.Queue(WAITING_BLOCKS)

    def keep(chunk: bytes) -> None:
        if chunks.full():
            chunks.get_nowait()
        chunks.put_nowait(chunk)

    def heard(chunk: Any, _frames: int, _time: Any, _status: Any) -> None:  # on PortAudio's own thread
        loop.call_soon_threadsafe(keep, bytes(chunk))

    try:
        stream = sounddevice.RawInputStream(
            samplerate=SAMPLE_RATE_HZ,
            channels=1,
            dtype="int16",
            blocksize=chunk_samples,
            device=int(device) if device and device.isdigit() else device,
            callback=heard,
        )
    except (sounddevice.PortAudioError, ValueError) as error:
        raise MicrophoneError(f"The microphone cannot be opened: {error}.") from None
    with stream:
        yield chunks


async def _until(stop: asyncio.Event, chunks: asyncio.Queue[bytes]) -> AsyncIterator[Block]:
    """The chunks as they arrive, until `stop` is set."""
    stopped = asyncio.create_task(stop.wait(), name="wait for Ctrl-C")
    try:
        while not stop.is_set():
            chunk = asyncio.create_task(chunks.get(), name="wait for the microphone")
            await asyncio.wait({chunk, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if not chunk.done():
                chunk.cancel()
                break
            yield Block(chunk.result(), fraction_read=1.0)
    finally:
        stopped.cancel()


@contextmanager
def _interrupt_sets(stop: asyncio.Event) -> Iterator[None]:
    """The first Ctrl-C sets `stop`; the next one has its usual effect."""
    loop = asyncio.get_running_loop()
    usual = signal.getsignal(signal.SIGINT)

    def interrupted() -> None:
        stop.set()
        restore()

    def restore() -> None:
        loop.remove_signal_handler(signal.SIGINT)
        signal.signal(signal.SIGINT, usual)

    loop.add_signal_handler(signal.SIGINT, interrupted)
    try:
        yield
    finally:
        restore()
