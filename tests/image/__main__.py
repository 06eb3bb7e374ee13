"""`make image-check`: builds the image for a CPU, starts the service in it as its user, and transcribes a file.

Then it starts the pods of the Helm chart from it, and replaces a worker. It needs root, bubblewrap, mmdebstrap and a
network. The root file system is read-only except for /data and /tmp.
"""

import io
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
import wave
from pathlib import Path

from openai import OpenAI

from tests.image import pods
from tests.image.build import Builder, Image, sandbox
from tests.speech import SAMPLE_RATE_HZ, SENTENCES, synthesise
from tests.stack import free_ports

START_S = 180.0


def main() -> None:
    folder = Path(tempfile.mkdtemp(prefix="voxtral-image-"))
    try:
        image = Builder(folder).build("cpu")
        _transcribe(image)
        pods.check(image, folder / "pods", _speech(), heard=_check_words)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _transcribe(image: Image) -> None:
    web, health, websocket, tcp, redis, flower = free_ports(6)
    image.env |= {
        "VOXTRAL_SERVER__HOST": "127.0.0.1",
        "VOXTRAL_SERVER__HTTP_PORT": str(web),
        "VOXTRAL_SERVER__HEALTH_PORT": str(health),
        "VOXTRAL_SERVER__TCP_PORTS": f"[{websocket}, {tcp}]",
        "VOXTRAL_REDIS__PORT": str(redis),
        "VOXTRAL_FLOWER__PORT": str(flower),
    }
    entry = sandbox(image, writable=("/data",))
    service = subprocess.Popen([*entry, *image.command], start_new_session=True)
    try:
        deadline = time.monotonic() + START_S
        while subprocess.run([*entry, *image.healthcheck], check=False).returncode:
            assert service.poll() is None, "The service has ended."
            assert time.monotonic() < deadline, f"The service is not healthy after {START_S:.0f} s."
            time.sleep(1)
        owner = (image.root / "data/logs").stat().st_uid
        assert str(owner) == image.user, f"The service runs as {owner}, not as {image.user}."
        client = OpenAI(base_url=f"http://127.0.0.1:{web}/v1", api_key="none")
        text = client.audio.transcriptions.create(model="whisper-1", file=("speech.wav", _speech())).text
        _check_words(text)
    finally:
        os.kill(service.pid, signal.SIGINT)
        service.wait(20)


def _check_words(text: str) -> None:
    print(f"The service in the image heard: {text}", flush=True)
    missing = set(_words(SENTENCES[1])) - set(_words(text))
    assert len(missing) <= 1, f"It did not hear {sorted(missing)}."


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z']+", text.lower())


def _speech() -> bytes:
    """A recording of the first sentence, as WAV."""
    content = io.BytesIO()
    with wave.open(content, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE_HZ)
        file.writeframes((synthesise(SENTENCES[1]) * 32767).astype("<i2").tobytes())
    return content.getvalue()


if __name__ == "__main__":
    main()
