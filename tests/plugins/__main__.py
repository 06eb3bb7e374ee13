"""`make plugins`: speak short phrases to a service through the examples of docs/integrations, which use the plug-ins of
LiveKit Agents and of Pipecat, and through WhisperLive's client."""

import sys
import tempfile
import wave
from pathlib import Path

import numpy as np

from tests.bench.scoring import normalised
from tests.plugins.running import printed_by
from tests.speech import SAMPLE_RATE_HZ, synthesise
from tests.stack import Stack

PHRASES = ("Sit down.", "Turn on the lights.", "Never mind.", "Good morning.", "What time is it?")
PROTOCOLS = ["openai", "deepgram", "whisperlive"]


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        files = [_recorded(Path(folder) / f"{index}.wav", phrase, index) for index, phrase in enumerate(PHRASES)]
        stack = Stack(Path(folder), model={"name": "whisper-base", "slots": 4}, server={"protocols": PROTOCOLS})
        try:
            stack.start()
            web_socket = stack.web_url.replace("http", "ws", 1)
            wrong = [
                _wrong(stack.web_url, "livekit_stt", *files),
                _wrong(web_socket, "pipecat_stt", "--commits", *files),
                _wrong(stack.web_url, "whisperlive", stack.ws_url, *files),
            ]
        finally:
            stack.stop_all()
    return 1 if any(wrong) else 0


def _recorded(path: Path, phrase: str, seed: int) -> Path:
    """Without the silence around the phrase: not every client sends some after its audio."""
    pcm = synthesise(phrase, seed=seed)
    heard = np.flatnonzero(np.abs(pcm) > 0.01)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE_HZ)
        file.writeframes((pcm[heard[0] : heard[-1] + 1] * 32767).astype("<i2").tobytes())
    return path


def _wrong(url: str, name: str, *arguments: object) -> int:
    """How many phrases one plug-in does not give once and right."""
    wrong = 0
    for index, way, lines in printed_by(name, *arguments, url=url):
        finals = [line.removeprefix("final: ") for line in lines if line.startswith("final: ")]
        is_right = [normalised(text) for text in finals] == [normalised(PHRASES[index])]
        wrong += not is_right
        print(f"{'right' if is_right else 'WRONG'}  {way}: {PHRASES[index]!r} -> {finals}")
    return wrong


if __name__ == "__main__":
    sys.exit(main())
