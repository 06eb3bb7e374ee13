"""`pipecat_stt.py URL FILE...` prints `[number, way, texts]` for each WAV file. Runs in .venv-plugins."""

import asyncio
import json
import sys
import wave

from loguru import logger
from pipecat.frames.frames import (
    EndFrame,
    Frame,
    InputAudioRawFrame,
    TranscriptionFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.services.openai.stt import OpenAIRealtimeSTTService
from pipecat.workers.runner import WorkerRunner

PIECE_S = 0.02
ANSWER_S = 20.0
WAYS = {"Pipecat, commits": {}, "Pipecat, server_vad": {"turn_detection": {"type": "server_vad"}}}


class Texts(FrameProcessor):
    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.came = asyncio.Event()

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, TranscriptionFrame):
            self.texts.append(frame.text)
            self.came.set()
        await self.push_frame(frame, direction)


async def transcribed(url: str, path: str, options: dict) -> list[str]:
    """The texts of a file that is played in real time; with `turn_detection` a second of silence is behind it."""
    with wave.open(path) as file:
        rate, pcm = file.getframerate(), file.readframes(file.getnframes())
    settings = OpenAIRealtimeSTTService.Settings(model="whisper-base")
    base_url = f"{url.replace('http', 'ws', 1)}/v1/realtime"
    service = OpenAIRealtimeSTTService(api_key="unused", base_url=base_url, settings=settings, **options)
    texts = Texts()
    worker = PipelineWorker(Pipeline([service, texts]), params=PipelineParams(audio_in_sample_rate=rate))
    runner = WorkerRunner(handle_sigint=False)

    async def speak() -> None:
        if not options:
            await worker.queue_frame(VADUserStartedSpeakingFrame())
        step, spoken = 2 * round(rate * PIECE_S), pcm + bytes(2 * rate if options else 0)
        for at in range(0, len(spoken), step):
            piece = InputAudioRawFrame(audio=spoken[at : at + step], sample_rate=rate, num_channels=1)
            await worker.queue_frame(piece)
            await asyncio.sleep(PIECE_S)
        if not options:
            await worker.queue_frame(VADUserStoppedSpeakingFrame())
        await asyncio.wait_for(texts.came.wait(), ANSWER_S)
        await worker.queue_frame(EndFrame())

    await runner.add_workers(worker)
    await asyncio.gather(runner.run(), speak())
    return texts.texts


async def main() -> None:
    logger.remove()
    for number, path in enumerate(sys.argv[2:]):
        for way, options in WAYS.items():
            print(json.dumps([number, way, await transcribed(sys.argv[1], path, options)]), flush=True)


asyncio.run(main())
