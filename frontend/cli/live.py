"""Sends a recording or a microphone through a live session and receives its text, until the session is done."""

import asyncio
from collections.abc import AsyncIterator

import click

from frontend.cli.recording import Block
from frontend.cli.screen import Screen
from frontend.cli.transcript import Transcript
from frontend.transcripts.awaited_labels import AwaitedLabels
from frontend.transcripts.turns import label, turns
from shared.events import SAMPLE_RATE_HZ
from shared.final_speakers import DIARIZE_UNAVAILABLE
from voxtral_client import ConnectionLostError, Done, Final, LiveSession, Partial, Revised, Speakers, Warned


class Hearing:
    """One session, from audio to transcript. `transcript` holds what has been received, also after an error."""

    def __init__(
        self, session: LiveSession, screen: Screen, transcript: Transcript, *, names_speakers: bool = False
    ) -> None:
        self._session = session
        self._screen = screen
        self._transcript = transcript
        self._sent_s = 0.0
        self._unnamed = AwaitedLabels() if names_speakers else None
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
                    self._show([event] if self._unnamed is None else self._unnamed.add(event))
                    self._screen.progress(event.end, self._total_s)
                case Revised():
                    event.put_into(self._transcript.finals)
                case Speakers():
                    event.label(self._transcript.finals)
                    self._show([] if self._unnamed is None else self._unnamed.label(event))
                case Warned(code=code, message=message):
                    self.warnings.append(message)
                    if self._unnamed is not None and code == DIARIZE_UNAVAILABLE:
                        self._show(self._unnamed.give_up())
                case Done(duration=duration_s):
                    self._transcript.duration_s = duration_s
                    self._show([] if self._unnamed is None else self._unnamed.rest())

    def _show(self, finals: list[Final]) -> None:
        """With speakers or separate channels a line for each turn, when its speaker is known."""
        for turn in (turn for final in finals for turn in turns(final) if turn.text):
            is_named = self._unnamed is not None or turn.channel is not None
            self._screen.final(f"{label(turn)}: {turn.text}" if is_named else turn.text)


def say_captions(page: str | None, session: LiveSession) -> None:
    """Print the link with which others can view the session, to stderr, if the address of the page is known."""
    if page is not None:
        link = f"{page}/captions?session={session.session_id}#token={session.ready.viewer_token}"
        click.echo(f"Captions: {link}", err=True)


def say_reconnecting(lost: ConnectionLostError) -> None:
    """Print a notice to stderr that explains the pause."""
    click.echo(f"{lost} Reconnecting.", err=True)
