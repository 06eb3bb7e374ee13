"""A tour of the service: one test for each part, in the order in which audio passes them.

`python -m pytest tests/test_streaming.py -v` starts a whole service with the embedded model and speaks to it.
"""

import base64
import contextlib
import itertools
import json
import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from faster_whisper.feature_extractor import FeatureExtractor
from websockets.sync.client import connect

from shared.audio.pcm import AudioFormat
from shared.audio.stream import PcmStream
from shared.config.settings import CONFIG_PATH_VARIABLE, load_settings
from shared.errors import StartupError
from shared.events import SAMPLE_RATE_HZ
from shared.session_options import SessionOptions
from tests.limits import limit_s
from tests.speech import silence, synthesise
from tests.stack import Stack
from tests.whisper_engines import load
from worker.engines.base import Final, Finished, Output
from worker.engines.whisper.engine import WhisperEngine

SENTENCE = "The morning train leaves the station at seven."
EXISTING_CONFIG = """
server: {host: "0.0.0.0", http_port: 8000, health_port: 8005, tcp_ports: [8765, 8766]}
model: {name: "mistralai/Voxtral-Mini-3B-2507", device: "cuda", torch_dtype: "bfloat16"}
audio: {sample_rate: 16000, chunk_size: 1024, channels: 1}
spectrogram: {n_mels: 128, hop_length: 160, win_length: 400, n_fft: 400}
"""


def speech_bytes() -> bytes:
    return (synthesise(SENTENCE) * 32767).astype("<i2").tobytes()


def chunks_without_pauses() -> Iterator[bytes]:
    """The sentence again and again without a pause, in chunks of 0.1 s."""
    voiced = np.flatnonzero(np.abs(synthesise(SENTENCE)) > 0.02)
    speech = speech_bytes()[2 * voiced[0] : 2 * voiced[-1]]
    return itertools.cycle(speech[start : start + 3200] for start in range(0, len(speech), 3200))


def is_the_sentence(text: str) -> bool:
    return "morning train leaves the station" in text.lower()


@pytest.fixture(scope="module")
def engine() -> WhisperEngine:
    loaded = load(slots=1, threads=1)
    loaded.warm_up()
    return loaded


def test_audio_preprocessing_brings_any_rate_to_16_khz_mono() -> None:
    seconds, rate_hz = 1.0, 48_000
    time_s = np.arange(int(seconds * rate_hz)) / rate_hz
    tone = (0.5 * np.sin(2 * np.pi * 440 * time_s) * 32767).astype("<i2")
    stereo = np.repeat(tone, 2).tobytes()
    stream = PcmStream(AudioFormat("pcm_s16le", rate_hz, 2))
    heard = np.frombuffer(stream.feed(stereo) + stream.finish(), "<i2")
    assert abs(len(heard) - SAMPLE_RATE_HZ) <= 16
    spectrum = np.abs(np.fft.rfft(heard))
    assert np.argmax(spectrum) * SAMPLE_RATE_HZ / len(heard) == pytest.approx(440, abs=2)


def test_log_mel_has_100_frames_a_second_and_finds_a_tone(engine: WhisperEngine) -> None:
    shape = engine.spectrogram
    time_s = np.arange(SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
    extractor = FeatureExtractor(feature_size=shape["n_mels"], hop_length=shape["hop_length"], n_fft=shape["n_fft"])
    low, high = (
        extractor(np.sin(2 * np.pi * hz * time_s).astype(np.float32), padding=0).mean(axis=1).argmax()
        for hz in (300, 3000)
    )
    frames = extractor(np.zeros(SAMPLE_RATE_HZ, np.float32), padding=0)
    assert frames.shape == (shape["n_mels"], 100)
    assert low < high


def test_model_starts_and_transcribes(engine: WhisperEngine) -> None:
    engine.open("tour", SessionOptions(language="en"))
    engine.feed("tour", np.concatenate([synthesise(SENTENCE), silence(0.2)]))
    engine.finish("tour")
    outputs: list[Output] = []
    while engine.ready():
        outputs += [output for _, output in engine.step()]
    engine.close("tour")
    finals = [output for output in outputs if isinstance(output, Final)]
    assert is_the_sentence(" ".join(final.text for final in finals))
    assert finals[0].words[0].text.strip().lower() == "the"
    assert isinstance(outputs[-1], Finished)


def test_websocket_message_is_answered_by_its_text(whisper_stack: Stack) -> None:
    request = {"type": "audio", "audio_data": base64.b64encode(speech_bytes()).decode(), "mode": "transcribe"}
    with connect(whisper_stack.ws_url) as ws:
        ws.send(json.dumps(request))
        response = json.loads(ws.recv(timeout=limit_s(30)))
    assert response["type"] == "response"
    assert is_the_sentence(response["text"])
    assert response["audio_duration_ms"] == pytest.approx(len(speech_bytes()) / 32, abs=1)


def test_live_speech_comes_back_as_partials_that_turn_into_finals(whisper_stack: Stack) -> None:
    events: list[dict[str, Any]] = []
    with connect(whisper_stack.ws_url) as ws:
        ws.send(json.dumps({"type": "start", "language": "en"}))
        # The busier the machine, the later the first partial.
        for chunk in itertools.islice(chunks_without_pauses(), 600):
            ws.send(chunk)
            with contextlib.suppress(TimeoutError):
                events.append(json.loads(ws.recv(timeout=0.1)))
            if events and events[-1]["type"] == "partial":
                break
        ws.send(speech_bytes())
        ws.send(json.dumps({"type": "stop"}))
        while events[-1]["type"] != "done":
            events.append(json.loads(ws.recv(timeout=limit_s(30))))
    assert events[0]["type"] == "ready"
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert {"partial", "final"} <= {event["type"] for event in events}
    assert is_the_sentence(events[-1]["text"])


def test_tcp_message_of_existing_python_clients(whisper_stack: Stack) -> None:
    host, port = whisper_stack.tcp_address
    base64_audio = base64.b64encode(speech_bytes()).decode()
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        sock.connect((host, port))
        data = json.dumps({"type": "audio", "audio_data": base64_audio, "mode": "transcribe"}).encode("utf-8")
        sock.send(struct.pack("!I", len(data)) + data)
        length = struct.unpack("!I", sock.recv(4))[0]
        response = json.loads(sock.recv(length).decode("utf-8"))
    assert is_the_sentence(response["text"])


def test_existing_configuration_loads_unchanged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(EXISTING_CONFIG)
    monkeypatch.setenv(CONFIG_PATH_VARIABLE, str(config))
    settings = load_settings()
    assert (settings.websocket_port, settings.tcp_port) == (8765, 8766)
    assert settings.model.name == "mistralai/Voxtral-Mini-3B-2507"
    assert settings.spectrogram.n_mels == 128


def test_misspelt_configuration_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("model: {nam: x}")
    monkeypatch.setenv(CONFIG_PATH_VARIABLE, str(config))
    with pytest.raises(StartupError, match=r"model\.nam"):
        load_settings()


def test_health_tells_of_the_warm_worker(whisper_stack: Stack) -> None:
    worker = whisper_stack.report()
    assert (worker["model"], worker["slots"]) == ("whisper-base", 8)
