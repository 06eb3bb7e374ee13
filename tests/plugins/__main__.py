"""`make plugins`: speak short phrases to a service through the OpenAI plug-ins of LiveKit Agents and of Pipecat, and
through WhisperLive's client."""

import json
import subprocess
import sys
import tempfile
import wave
from pathlib import Path

from tests.bench.scoring import normalised
from tests.speech import SAMPLE_RATE_HZ, synthesise
from tests.stack import Stack

PYTHON = Path(".venv-plugins/bin/python").absolute()
PHRASES = ("Sit down.", "Turn on the lights.", "Never mind.", "Good morning.", "What time is it?")


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        files = [_recorded(Path(folder) / f"{index}.wav", phrase, index) for index, phrase in enumerate(PHRASES)]
        stack = Stack(
            Path(folder), model={"name": "whisper-base", "slots": 4}, server={"protocols": ["openai", "whisperlive"]}
        )
        try:
            stack.start()
            wrong = [_wrong(name, stack.web_url, files) for name in ("livekit_stt", "pipecat_stt")]
            wrong.append(_wrong("whisperlive", stack.ws_url, files))
        finally:
            stack.stop_all()
    return 1 if any(wrong) else 0


def _recorded(path: Path, phrase: str, seed: int) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE_HZ)
        file.writeframes((synthesise(phrase, seed=seed) * 32767).astype("<i2").tobytes())
    return path


def _wrong(name: str, url: str, files: list[Path]) -> int:
    """How many phrases one plug-in does not give once and right."""
    command = [PYTHON, Path(__file__).with_name(f"{name}.py"), url, *files]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=300)
    wrong = 0
    for line in done.stdout.splitlines():
        index, way, texts = json.loads(line)
        is_right = [normalised(text) for text in texts] == [normalised(PHRASES[index])]
        wrong += not is_right
        print(f"{'right' if is_right else 'WRONG'}  {way}: {PHRASES[index]!r} -> {texts}")
    return wrong


if __name__ == "__main__":
    sys.exit(main())
