"""Sends a recording or a microphone through a live session and receives its text, until the session is done."""

import asyncio
from collections.abc import AsyncIterator

import click

from frontend.cli.recording import Block
from frontend.cli.screen import Screen
from frontend.cli.transcript import Transcript
from shared.dialogue import label
from shared.events import SAMPLE_RATE_HZ
from voxtral_client import ConnectionLostError, Done, Final, LiveSession, Partial, Warned


class Hearing:
    """One session, from audio to transcript. `transcript` holds what has been received, also after an error."""

    def __init__(self, session: LiveSession, screen: Screen, transcript: Transcript) -> None:
        self._session = session
        self._screen = screen
        self._transcript = transcript
        self._sent_s = 0.0
        self._total_s = 0.0
        """The estimated length of the recording; exact after it has been sent."""
        self.warnings: list[str] = []

    async def run(self, blocks: AsyncIterator[Block]) -> None:
        """Send all blocks, and return when the session is done. Raises the first error of either direction."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._send(blocks), name="send audio")
                tasks.create_task(self._receive(), name="receive text")
        except ExceptionGroup as group:
            raise group.exceptions[0] from None

    async def _send(self, blocks: AsyncIterator[Block]) -> None:
        async for block in blocks:
            await self._session.send(block.pcm)
            self._sent_s += len(block.pcm) / block.frame_bytes / SAMPLE_RATE_HZ
            self._total_s = self._sent_s / max(block.fraction_read, 0.001)
        self._total_s = self._sent_s
        await self._session.stop()

    async def _receive(self) -> None:
        async for event in self._session:
            match event:
                case Partial():
                    self._screen.partial(event.text, event.committed.text)
                case Final():
                    self._transcript.finals.append(event)
                    if event.text:
                        name = "" if event.channel is None else f"{label(event.channel)}: "
                        self._screen.final(name + event.text)
                    self._screen.progress(event.end, self._total_s)
                case Warned(message=message):
                    self.warnings.append(message)
                case Done(duration=duration_s):
                    self._transcript.duration_s = duration_s


def say_captions(page: str | None, session: LiveSession) -> None:
    """Print the link with which others can view the session, to stderr, if the address of the page is known."""
    if page is not None:
        link = f"{page}/captions?session={session.session_id}#token={session.ready.viewer_token}"
        click.echo(f"Captions: {link}", err=True)


def say_reconnecting(lost: ConnectionLostError) -> None:
    """Print a notice to stderr that explains the pause."""
    click.echo(f"{lost} Reconnecting.", err=True)
