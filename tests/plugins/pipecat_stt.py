"""`pipecat_stt.py FILE...` plays each WAV file to the bot of docs/integrations. Runs in .venv-plugins.

Prints `[number, way, lines]` for each: what the bot prints until a turn has ended. `--commits` plays them also with
Pipecat's own detection of speech, after which its plug-in commits the audio.
"""

import asyncio
import contextlib
import io
import json
import sys
import wave
from itertools import count
from pathlib import Path

from loguru import logger
from pipecat.frames.frames import (
    EndFrame,
    InputAudioRawFrame,
    StartFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.pipeline.worker import PipelineWorker
from pipecat.services.openai.stt import OpenAIRealtimeSTTService
from pipecat.transports.base_input import BaseInputTransport
from pipecat.transports.base_transport import TransportParams
from pipecat.workers.runner import WorkerRunner

sys.path.insert(0, str(Path(__file__).parents[2] / "docs" / "integrations"))
import pipecat_bot

PLUGINS = ("openai", "deepgram")
PIECE_S = 0.02
ANSWER_S = 60.0


class Played(BaseInputTransport):
    """A file in real time, and silence after it, as a microphone without speech has it."""

    def __init__(self, path: str, *, is_detected: bool = False) -> None:
        """`is_detected`: whether frames say when the speech begins and ends."""
        with wave.open(path) as file:
            self._rate, self._pcm = file.getframerate(), file.readframes(file.getnframes())
        super().__init__(TransportParams(audio_in_enabled=True, audio_in_sample_rate=self._rate))
        self._is_detected = is_detected
        self._playing: asyncio.Task[None] | None = None

    async def start(self, frame: StartFrame) -> None:
        await super().start(frame)
        await self.set_transport_ready(frame)
        self._playing = self.create_task(self._play())

    async def stop(self, frame: EndFrame) -> None:
        if self._playing is not None:
            await self.cancel_task(self._playing)
        await super().stop(frame)

    async def _play(self) -> None:
        step = 2 * round(self._rate * PIECE_S)
        if self._is_detected:
            await self.push_frame(VADUserStartedSpeakingFrame())
        for at in count(0, step):
            if self._is_detected and at >= len(self._pcm):
                await self.push_frame(VADUserStoppedSpeakingFrame())
                return
            piece = self._pcm[at : at + step].ljust(step, b"\0")
            await self.push_audio_frame(InputAudioRawFrame(audio=piece, sample_rate=self._rate, num_channels=1))
            await asyncio.sleep(PIECE_S)


class Printed(io.StringIO):
    """What the bot prints; `last_came` is set by a line that begins with `last`."""

    def __init__(self, last: str) -> None:
        super().__init__()
        self._last = last
        self.last_came = asyncio.Event()

    def write(self, text: str) -> int:
        if text.startswith(self._last):
            self.last_came.set()
        return super().write(text)


async def end_after(worker: PipelineWorker, printed: Printed) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(printed.last_came.wait(), ANSWER_S)
    await worker.queue_frame(EndFrame())


async def shown(played: Played, last: str) -> list[str]:
    printed, runner = Printed(last), WorkerRunner(handle_sigint=False)
    with contextlib.redirect_stdout(printed):
        worker = pipecat_bot.listening(played)
        await runner.add_workers(worker)
        await asyncio.gather(runner.run(), end_after(worker, printed))
    return printed.getvalue().splitlines()


def committing() -> OpenAIRealtimeSTTService:
    settings = OpenAIRealtimeSTTService.Settings(model="auto")
    return OpenAIRealtimeSTTService(api_key="none", base_url=f"{pipecat_bot.URL}/v1/realtime", settings=settings)


async def main() -> None:
    logger.remove()
    files = [argument for argument in sys.argv[1:] if argument != "--commits"]
    for pipecat_bot.PLUGIN in PLUGINS:
        for number, path in enumerate(files):
            lines = await shown(Played(path), "turn: ")
            print(json.dumps([number, f"Pipecat, {pipecat_bot.PLUGIN}", lines]), flush=True)
    if "--commits" in sys.argv:
        pipecat_bot.speech_to_text = committing
        for number, path in enumerate(files):
            lines = await shown(Played(path, is_detected=True), "final: ")
            print(json.dumps([number, "Pipecat, openai, commits", lines]), flush=True)


asyncio.run(main())
