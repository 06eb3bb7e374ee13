"""Recordings uploaded over HTTP: an hour in constant memory, and the speed compared with the engine alone."""

import http.client
import os
import re
import tempfile
import time
import wave
from typing import BinaryIO
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from shared.events import SAMPLE_RATE_HZ
from tests.bench.figures import Figure
from tests.bench.processes import rss_mib
from tests.bench.transcripts import transcribe_recording
from tests.integration.api_clients import BOUNDARY
from tests.speech import conversation, noise
from tests.stack import Stack
from tests.whisper_engines import load

HOUR_S = 3600
SETTLED_S = 600
"""By then decoders and allocators have all the memory they need; growth is counted from here."""
GROWTH_MIB = 10
SPEECH_REPEATS = 20
"""Of a conversation of 200 s: more than an hour."""
SPEED_PERCENT = 110


def measure_hour(stack: Stack) -> list[Figure]:
    """The echo engine answers at once, so only the service is measured."""
    with tempfile.TemporaryFile() as form:
        write_form(form, noise(60.0), repeats=HOUR_S // 60, stream="true")
        began_s = time.monotonic()
        settled, largest = _memory_over(stack, form)
    growth = {label: largest[label] - settled[label] for label in settled}
    print(f"an hour of audio took {time.monotonic() - began_s:.0f} s; growth in MiB: {growth}", flush=True)
    return [
        Figure("memory of web while an hour is uploaded", largest["web"], "MiB", 120),
        Figure(f"growth from minute {SETTLED_S // 60} to 60, any process", max(growth.values()), "MiB", GROWTH_MIB),
    ]


def measure_speed(stack: Stack) -> list[Figure]:
    """Both with the same threads on the same machine, one after the other."""
    pcm = np.tile(conversation(), SPEECH_REPEATS)
    audio_s = len(pcm) / SAMPLE_RATE_HZ
    engine = load(threads=min(4, os.cpu_count() or 1))
    engine.warm_up()
    own = transcribe_recording(engine, pcm, None).wall_s / audio_s
    with tempfile.TemporaryFile() as form:
        write_form(form, pcm, repeats=1)
        began_s = time.monotonic()
        response = _sent(stack, form)
        response.read()
        assert response.status == 200
    uploaded = (time.monotonic() - began_s) / audio_s
    return [
        Figure("real-time factor of the engine alone, %", 100 * own, "%"),
        Figure("real-time factor of an upload, %", 100 * uploaded, "%"),
        Figure("an upload's real-time factor, % of the engine's", 100 * uploaded / own, "%", SPEED_PERCENT),
    ]


def write_form(form: BinaryIO, pcm: NDArray[np.float32], repeats: int, **fields: str) -> None:
    """A form with the samples, repeated, as a WAV file."""
    for name, value in fields.items():
        form.write(f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode())
    form.write(f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'.encode())
    with tempfile.TemporaryFile() as file:
        with wave.open(file, "wb") as writer:
            writer.setnchannels(1)
            writer.setsampwidth(2)
            writer.setframerate(SAMPLE_RATE_HZ)
            for _ in range(repeats):
                writer.writeframes((pcm * 32767).astype("<i2").tobytes())
        file.seek(0)
        while block := file.read(1 << 20):
            form.write(block)
    form.write(f"\r\n--{BOUNDARY}--\r\n".encode())


def _memory_over(stack: Stack, form: BinaryIO) -> tuple[dict[str, float], dict[str, float]]:
    """Resident memory once `SETTLED_S` of the audio have been heard, and the most of each process after that."""
    settled: dict[str, float] = {}
    largest: dict[str, float] = {}
    heard_s, last = 0.0, b""
    for line in _sent(stack, form):
        if not line.startswith(b"data: "):
            continue
        last = line
        if b"delta" in line:
            heard_s += float(re.findall(rb"([\d.]+) seconds", line)[0])  # what the echo engine says
        if heard_s >= SETTLED_S:
            now = rss_mib(stack)
            settled = settled or now
            largest = {label: max(used, largest.get(label, 0.0)) for label, used in now.items()}
    assert last == b"data: [DONE]\n", last
    assert heard_s == HOUR_S
    return settled, largest


def _sent(stack: Stack, form: BinaryIO) -> http.client.HTTPResponse:
    size_bytes = form.seek(0, os.SEEK_END)
    form.seek(0)
    connection = http.client.HTTPConnection(urlsplit(stack.web_url).netloc, timeout=600)
    headers = {"content-type": f"multipart/form-data; boundary={BOUNDARY}", "content-length": str(size_bytes)}
    connection.request("POST", "/v1/audio/transcriptions", form, headers)
    return connection.getresponse()
