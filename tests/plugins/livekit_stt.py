"""`livekit_stt.py FILE...` plays each WAV file to the agent of docs/integrations. Runs in .venv-plugins.

Prints `[number, way, lines]` for each: what the agent prints until a turn has ended.
"""

import asyncio
import contextlib
import io
import json
import sys
import wave
from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path

from livekit import rtc
from livekit.agents import utils
from livekit.agents.llm import ChatContext, ChatMessage
from livekit.agents.voice.io import AudioInput

sys.path.insert(0, str(Path(__file__).parents[2] / "docs" / "integrations"))
import livekit_agent

PLUGINS = ("openai", "deepgram")
PIECE_S = 0.05
ANSWER_S = 60.0


class Played(AudioInput):
    """A file in real time, and silence after it, as a room without speech has it."""

    def __init__(self, path: str) -> None:
        super().__init__(label=path)
        with wave.open(path) as file:
            self._rate, self._pcm = file.getframerate(), file.readframes(file.getnframes())
        self._pieces = self._frames()

    async def __anext__(self) -> rtc.AudioFrame:
        return await anext(self._pieces)

    async def _frames(self) -> AsyncIterator[rtc.AudioFrame]:
        step = 2 * round(self._rate * PIECE_S)
        for at in count(0, step):
            piece = self._pcm[at : at + step].ljust(step, b"\0")
            yield rtc.AudioFrame(piece, self._rate, 1, len(piece) // 2)
            await asyncio.sleep(PIECE_S)


class Heard(livekit_agent.Listener):
    def __init__(self) -> None:
        super().__init__()
        self.turn_ended = asyncio.Event()

    async def on_user_turn_completed(self, turn_ctx: ChatContext, new_message: ChatMessage) -> None:
        self.turn_ended.set()
        await super().on_user_turn_completed(turn_ctx, new_message)


async def shown(path: str) -> list[str]:
    """What the agent prints until the turn has ended."""
    session, agent, printed = livekit_agent.listening(), Heard(), io.StringIO()
    session.input.audio = Played(path)
    with contextlib.redirect_stdout(printed):
        await session.start(agent)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(agent.turn_ended.wait(), ANSWER_S)
        await session.aclose()
        await session.stt.aclose()  # usually its process ends here, and with it the connections that it keeps
    return printed.getvalue().splitlines()


async def main() -> None:
    async with utils.http_context.open():
        for livekit_agent.PLUGIN in PLUGINS:
            for number, path in enumerate(sys.argv[1:]):
                print(json.dumps([number, f"LiveKit, {livekit_agent.PLUGIN}", await shown(path)]), flush=True)


asyncio.run(main())
