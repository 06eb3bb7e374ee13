"""A service with a Whisper of the operator's own: what it shows of the model is what runs."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.command import run
from tests.integration.api_clients import openai_of, request, silent_wav
from tests.limits import limit_s
from tests.stack import Stack, serving
from tests.tiny.whisper import ENGLISH, write_whisper

REASON = "model.name is auto, so the Whisper in model.path runs on the CPU."


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("service")
    path = write_whisper(folder / "our-whisper", ENGLISH)
    model = {"name": "auto", "path": str(path), "device": "cpu", "compute_type": "float32", "slots": 2}
    with serving(Stack(folder, model=model)) as stack:
        yield stack


def test_status_shows_the_model_its_precision_and_why_it_was_chosen(service: Stack) -> None:
    worker = service.report()
    shown = {name: worker[name] for name in ("model", "engine", "device", "compute_type", "model_reason", "languages")}
    assert shown == {
        "model": "our-whisper",
        "engine": "whisper",
        "device": "cpu",
        "compute_type": "float32",
        "model_reason": REASON,
        "languages": ["en"],
    }
    done = run(service, "status")
    assert "our-whisper on cpu" in done.stdout
    assert REASON in done.stdout


def test_doctor_says_the_same(service: Stack) -> None:
    done = run(service, "doctor")
    assert "our-whisper on cpu (float32), 2 slots" in done.stdout
    assert REASON.rstrip(".") in done.stdout


def test_doctor_loads_no_second_model_by_the_name_whisper(service: Stack) -> None:
    assert (
        "our-whisper on cpu (float32), 2 slots, runs on "
        in run(service, "doctor", VOXTRAL_MODEL__NAME="whisper").stdout
    )


def test_public_names_mean_the_model_that_runs(service: Stack) -> None:
    with openai_of(service) as client:
        assert [model.id for model in client.models.list().data] == ["our-whisper"]
        for name in ("whisper-1", "gpt-4o-transcribe", "Our-Whisper", "auto"):
            assert client.models.retrieve(name).id == "our-whisper"


LIVE: dict[str, dict[str, Any] | None] = {
    "/ws": {"type": "start", "language": "de"},
    "/v1/realtime?intent=transcription": {
        "type": "session.update",
        "session": {"type": "transcription", "audio": {"input": {"transcription": {"language": "de"}}}},
    },
    "/v1/realtime?dialect=vllm": {"type": "session.update", "model": "whisper-1", "language": "de"},
    "/v1/audio/transcriptions/realtime?model=auto": {"type": "session.update", "session": {"language": "de"}},
    "/v1/listen?language=de": None,
    "/v2/listen?model=flux-general-multi&language_hint=de": None,
}
"""How the client of each protocol asks for a language that the model does not know."""


@pytest.mark.parametrize("address", LIVE)
def test_language_that_the_model_does_not_know_is_an_error_of_the_request(service: Stack, address: str) -> None:
    with connect(service.web_url.replace("http", "ws", 1) + address) as client:
        if (asked := LIVE[address]) is not None:
            client.send(json.dumps(asked))
        messages = (json.loads(client.recv(limit_s(20))) for _ in range(2))
        error = next(message for message in messages if message["type"].lower() == "error")
        assert "de" in str(error)
        assert "allowed: en." in str(error)
        if asked is None:
            with pytest.raises(ConnectionClosed) as closed:
                client.recv(limit_s(20))
            assert closed.value.rcvd is not None
            assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1008, "INVALID_FIELD")
    assert service.log("internal_error") == []


def test_language_of_a_recording_that_the_model_does_not_know_is_an_error_of_the_request(service: Stack) -> None:
    headers = {"content-type": "audio/wav"}
    response, body = request(service, "POST", "/v1/listen?language=de", headers, silent_wav(1))
    assert (response.status, json.loads(body)["err_msg"]) == (400, "language is 'de'; allowed: en.")
