"""Damaged recordings sent to a running service: what each API and the command line say of them."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from frontend.client import TranscriptionClient
from tests.command import run
from tests.containers import written
from tests.integration.api_clients import mistral_of, multipart, openai_of, post_form, request
from tests.integration.native_clients import FRONTENDS, ask, base64_of, open_client
from tests.stack import Stack
from tests.unit.shared.audio.test_files import made

PATH = "/v1/audio/transcriptions"
HEADER = "x-voxtral-warning"
CUT = made("wav")[:-4000]
MESSAGE = "The WAV file is cut short: its headers announce 176478 bytes, 172478 are there; its audio ends at 1.95 s."
WARNING = {"code": "audio_cut_short", "message": MESSAGE, "start": 1.955}


def posted(stack: Stack, **fields: str) -> tuple[str | None, str]:
    """The header for warnings, and the body, of an upload that is answered."""
    response, body = request(stack, "POST", fields.pop("path", PATH), *multipart(CUT, model="echo", **fields))
    assert response.status == 200, body
    return response.headers[HEADER], body.decode()


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"response_format": "verbose_json"},
        {"path": "/v1/audio/translations"},
        {"path": f"{PATH}?dialect=mistral"},
    ],
    ids=str,
)
def test_json_answers_have_the_warnings(stack: Stack, fields: dict[str, str]) -> None:
    header, body = posted(stack, **fields)
    assert header == MESSAGE
    assert json.loads(body)["warnings"] == [WARNING]


@pytest.mark.parametrize("text_format", ["text", "srt", "vtt"])
def test_other_answers_have_the_header(stack: Stack, text_format: str) -> None:
    header, body = posted(stack, response_format=text_format)
    assert header == MESSAGE
    assert "cut short" not in body


@pytest.mark.parametrize("dialect", ["openai", "mistral"])
def test_streams_end_with_the_warnings(stack: Stack, dialect: str) -> None:
    _, body = posted(stack, path=f"{PATH}?dialect={dialect}", stream="true")
    events = [json.loads(line[6:]) for line in body.splitlines() if line.startswith("data: {")]
    assert events[-1]["type"].endswith(".done")
    assert events[-1]["warnings"] == [WARNING]


@pytest.mark.parametrize("dialect", ["openai", "mistral"])
def test_strict_refuses_damage_and_nothing_else(stack: Stack, dialect: str) -> None:
    path = f"{PATH}?dialect={dialect}"
    status, body = post_form(stack, path, CUT, model="echo", strict="true")
    assert status == 400
    assert f"{MESSAGE} It is rejected because strict is true." in json.dumps(body)
    response, raw = request(stack, "POST", path, *multipart(made("wav"), model="echo", strict="true"))
    assert (response.status, response.headers[HEADER]) == (200, None)
    assert "warnings" not in json.loads(raw)


def chat(stack: Stack, **fields: Any) -> tuple[int, str | None, str]:
    part = {"type": "input_audio", "input_audio": {"data": base64.b64encode(CUT).decode(), "format": "wav"}}
    asked = {"model": "echo", "messages": [{"role": "user", "content": [part]}], **fields}
    headers = {"content-type": "application/json"}
    response, body = request(stack, "POST", "/v1/chat/completions", headers, json.dumps(asked).encode())
    return response.status, response.headers[HEADER], body.decode()


def test_chat_has_the_warnings(stack: Stack) -> None:
    status, header, body = chat(stack)
    assert (status, header, json.loads(body)["warnings"]) == (200, MESSAGE, [WARNING])
    _, _, streamed = chat(stack, stream=True)
    chunks = [json.loads(line[6:]) for line in streamed.splitlines() if line.startswith("data: {")]
    assert [chunk["warnings"] for chunk in chunks if "warnings" in chunk] == [[WARNING]]
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
    assert chat(stack, strict=True)[0] == 400
    assert chat(stack, strict="yes")[0] == 400


def test_sdks_take_answers_with_warnings(stack: Stack) -> None:
    reply = openai_of(stack).audio.transcriptions.create(model="echo", file=("cut.wav", CUT))
    assert reply.text
    assert reply.model_extra["warnings"] == [WARNING]
    file = {"file_name": "cut.wav", "content": CUT}
    assert mistral_of(stack).audio.transcriptions.complete(model="echo", file=file).text  # type: ignore[arg-type]


@pytest.mark.parametrize("frontend", FRONTENDS)
def test_one_shot_has_the_warnings(stack: Stack, frontend: str) -> None:
    client = open_client(stack, frontend)
    reply = ask(client, type="audio", audio_data=base64_of(CUT))
    assert (reply["type"], reply["warnings"]) == ("response", [WARNING])
    refused = ask(client, type="audio", audio_data=base64_of(CUT), strict=True)
    assert (refused["type"], refused["code"]) == ("error", "invalid_audio")
    raw = ask(client, type="audio", audio_data=base64_of(bytes(32_001)), encoding="pcm_s16le")
    assert raw["type"] == "response"
    assert [warning["start"] for warning in raw["warnings"]] == [1.0]
    assert "warnings" not in ask(client, type="audio", audio_data=base64_of(made("wav")))
    client.close()


def test_streamed_one_shot_has_a_warning_event(stack: Stack) -> None:
    client = open_client(stack, "websocket")
    event = ask(client, type="audio", id="a", audio_data=base64_of(CUT), stream=True)
    events = [event]
    while events[-1]["type"] != "response":
        events.append(client.receive())
    assert [event for event in events if event["type"] == "warning"] == [{"type": "warning", "id": "a", **WARNING}]
    client.close()


def test_one_shot_tells_what_of_its_options_has_no_effect(whisper_stack: Stack) -> None:
    client = open_client(whisper_stack, "websocket")
    asked = {"audio_data": base64_of(bytes(3_200)), "encoding": "pcm_s16le", "prompt": "Xylotek " * 300}
    reply = ask(client, type="audio", **asked)
    assert [warning["code"] for warning in reply["warnings"]] == ["prompt_cut"]
    event = ask(client, type="audio", stream=True, id="a", **asked)
    assert (event["type"], event["code"], event["id"]) == ("warning", "prompt_cut", "a")
    reply = client.receive()
    assert [warning["code"] for warning in reply["warnings"]] == ["prompt_cut"]
    client.close()


async def test_encoding_file_takes_what_does_not_look_like_one(stack: Stack) -> None:
    """A file that begins in mid-frame could be raw samples; said to be a file, it is one."""
    recording = written("mp2", 1, 2.0)
    assert recording is not None
    async with TranscriptionClient(stack.ws_url) as client:
        reply = await client.transcribe(recording[777:], encoding="container")
        assert reply.audio_duration_ms == pytest.approx(1980, abs=60)
        assert reply.warnings == ()
        reply = await client.transcribe(CUT)
        assert [(warning.code, warning.message) for warning in reply.warnings] == [("audio_cut_short", MESSAGE)]


def test_command_line_warns_on_stderr_and_strict_refuses(stack: Stack, tmp_path: Path) -> None:
    (tmp_path / "cut.wav").write_bytes(CUT)
    done = run(stack, "transcribe", tmp_path / "cut.wav")
    assert done.returncode == 0
    assert done.stdout
    assert done.stderr.endswith(f"cut.wav: {MESSAGE}\n")
    written_json = run(stack, "transcribe", tmp_path / "cut.wav", "--format", "json").stdout
    assert json.loads(written_json)["warnings"] == [WARNING]
    done = run(stack, "transcribe", tmp_path / "cut.wav", "--strict")
    assert done.returncode == 1
    assert done.stderr.endswith(f"{MESSAGE} It is rejected because strict is true.\n")
