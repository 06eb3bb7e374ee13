"""Clients that speak in real time during faults, and the events that each received."""

import asyncio
import time
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from frontend.client import Done, LiveSession, Partial, SessionEvent, TranscriptionClient, Warned
from frontend.client import Final as FinalEvent
from tests.tiny import scenes

CHUNK_SAMPLES: Final = 1280
CHUNK_S: Final = CHUNK_SAMPLES / 16_000


@dataclass
class Speaker:
    """One live session of synthesised speech."""

    name: str
    scene: scenes.Scene
    urls: tuple[str, ...]
    session_id: str = ""
    heard_at_s: list[float] = field(default_factory=list)
    """When each event arrived (monotonic clock)."""
    finals: list[FinalEvent] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    out_of_order: int = 0
    text: str | None = None
    """The transcript, once the session is done."""

    async def undisturbed(self) -> str:
        """The transcript of the same speech, sent as fast as possible without faults."""
        async with TranscriptionClient(*self.urls) as client, client.live(delay_ms=480, partials=False) as session:
            await session.send(samples(self.scene.audio))
            await session.stop()
            events = [event async for event in session]
        assert isinstance(events[-1], Done)
        return events[-1].text

    async def speak(self) -> None:
        """The whole session. Raises what the client raises."""
        async with TranscriptionClient(*self.urls) as client, client.live(delay_ms=480) as session:
            self.session_id = session.session_id
            talking = asyncio.create_task(self._talk(session), name=f"{self.name} talks")
            try:
                seq = 0
                async for event in session:
                    self._hear(event, seq)
                    seq = getattr(event, "seq", None) or seq
                await talking
            finally:
                talking.cancel()

    async def _talk(self, session: LiveSession) -> None:
        pcm = samples(self.scene.audio)
        started_s = time.monotonic()
        for number, first in enumerate(range(0, len(pcm), 2 * CHUNK_SAMPLES)):
            await asyncio.sleep(started_s + number * CHUNK_S - time.monotonic())
            await session.send(pcm[first : first + 2 * CHUNK_SAMPLES])
        await session.stop()

    def _hear(self, event: SessionEvent, last_seq: int) -> None:
        self.heard_at_s.append(time.monotonic())
        seq = getattr(event, "seq", None)
        if seq is not None and seq <= last_seq:
            self.out_of_order += 1
        match event:
            case FinalEvent():
                self.finals.append(event)
            case Warned():
                self.warnings.append(event.code)
            case Done():
                self.text = event.text
            case Partial():
                pass


def samples(audio: NDArray[np.float32]) -> bytes:
    """s16le, as it goes over the wire."""
    return (np.clip(audio, -1, 1) * 32767).astype("<i2").tobytes()
