"""A Pipecat pipeline that prints what is said into the microphone. Add an LLM and a voice to make it answer."""

import asyncio
import os

from pipecat.frames.frames import Frame, InterimTranscriptionFrame, TranscriptionFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.services.deepgram.flux.stt import DeepgramFluxSTTService
from pipecat.services.openai.stt import OpenAIRealtimeSTTService
from pipecat.services.stt_service import STTService
from pipecat.workers.runner import WorkerRunner

URL = os.environ.get("VOXTRAL_URL", "ws://127.0.0.1:8000")
KEY = os.environ.get("VOXTRAL_KEY", "none")
PLUGIN = os.environ.get("PLUGIN", "openai")


def speech_to_text() -> STTService:
    if PLUGIN == "deepgram":
        return DeepgramFluxSTTService(
            url=f"{URL}/v2/listen",  # the line to change
            api_key=KEY,
            settings=DeepgramFluxSTTService.Settings(model="flux-general-multi", eager_eot_threshold=0.5),
        )
    return OpenAIRealtimeSTTService(
        base_url=f"{URL}/v1/realtime",  # the line to change
        api_key=KEY,
        settings=OpenAIRealtimeSTTService.Settings(model="auto", language=None),
        turn_detection={"type": "semantic_vad", "eagerness": "medium"},
    )


class Printer(FrameProcessor):
    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, InterimTranscriptionFrame):
            print(f"interim: {frame.text}", flush=True)
        elif isinstance(frame, TranscriptionFrame):
            print(f"final: {frame.text}", flush=True)
        await self.push_frame(frame, direction)


def listening(microphone: FrameProcessor) -> PipelineWorker:
    """A pipeline whose turns end when Voxtral Real-time Streaming says so."""
    aggregators = LLMContextAggregatorPair(LLMContext())
    user = aggregators.user()

    @user.event_handler("on_user_turn_stopped")
    async def show(aggregator, strategy, message) -> None:
        print(f"turn: {message.content}", flush=True)

    return PipelineWorker(Pipeline([microphone, speech_to_text(), Printer(), user, aggregators.assistant()]))


async def main() -> None:
    from pipecat.transports.local.audio import LocalAudioTransport, LocalAudioTransportParams

    runner = WorkerRunner()
    await runner.add_workers(listening(LocalAudioTransport(LocalAudioTransportParams(audio_in_enabled=True)).input()))
    await runner.run()


if __name__ == "__main__":
    asyncio.run(main())
