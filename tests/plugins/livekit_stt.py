"""`livekit_stt.py URL FILE...` prints `[number, way, texts]` for each WAV file. Runs in .venv-plugins."""

import asyncio
import json
import sys
import wave

from livekit import rtc
from livekit.agents import stt, utils
from livekit.plugins import openai

PIECE_S = 0.05
ANSWER_S = 20.0


async def transcribed(url: str, path: str) -> list[str]:
    """The texts of a file that is played in real time into a room, a second of silence behind it."""
    with wave.open(path) as file:
        rate, pcm = file.getframerate(), file.readframes(file.getnframes())
    pcm += bytes(2 * rate)
    model = openai.STT(base_url=f"{url}/v1", api_key="unused", model="whisper-base", use_realtime=True, language="en")
    texts: list[str] = []
    async with model.stream() as stream:

        async def read() -> None:
            async for event in stream:
                if event.type == stt.SpeechEventType.FINAL_TRANSCRIPT:
                    texts.append(event.alternatives[0].text)  # noqa: PERF401 -- what came before a timeout counts

        reading = asyncio.create_task(read())
        step = 2 * round(rate * PIECE_S)
        for at in range(0, len(pcm), step):
            piece = pcm[at : at + step]
            stream.push_frame(rtc.AudioFrame(piece, rate, 1, len(piece) // 2))
            await asyncio.sleep(PIECE_S)
        stream.end_input()
        await asyncio.wait((reading,), timeout=ANSWER_S)
        reading.cancel()
    await model.aclose()
    return texts


async def main() -> None:
    async with utils.http_context.open():
        for number, path in enumerate(sys.argv[2:]):
            print(json.dumps([number, "LiveKit", await transcribed(sys.argv[1], path)]), flush=True)


asyncio.run(main())
