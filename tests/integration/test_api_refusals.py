"""What the HTTP APIs refuse, and in whose words."""

import json
from base64 import b64encode

import openai
import pytest
from mistralai.client import Mistral
from mistralai.client.errors import HTTPValidationError, SDKError
from mistralai.client.models import File

from tests.integration.api_clients import (
    multipart,
    openai_of,
    post_form,
    request,
    silent_wav,
)
from tests.stack import Stack

TRANSCRIPTIONS, TRANSLATIONS = "/v1/audio/transcriptions", "/v1/audio/translations"
WAV = silent_wav(1)
MISTRAL = {"user-agent": "speakeasy-sdk/python 3.7.0 mistralai"}


@pytest.mark.parametrize(
    ("fields", "status", "param", "said"),
    [
        ({"model": "whisper-9"}, 404, "model", "allowed: auto, echo"),
        ({"response_format": "lrc"}, 400, "response_format", "json, text, srt, vtt, verbose_json, diarized_json"),
        ({"known_speaker_names[]": "Ann"}, 400, "response_format", "diarized_json if known_speaker_names is given"),
        (
            {"response_format": "srt", "stream": "true"},
            400,
            "response_format",
            "json, text, diarized_json if stream is true",
        ),
        ({"timestamp_granularities[]": "word"}, 400, "response_format", "verbose_json if"),
        (
            {"timestamp_granularities[]": "line", "response_format": "verbose_json"},
            400,
            "timestamp_granularities",
            "segment, word",
        ),
        ({"temperature": "nan"}, 400, "temperature", "0 to 1"),
        ({"stream": "yes"}, 400, "stream", "true, false"),
        ({"language": "klingon"}, 400, "language", "'english'"),
        ({"include[]": "everything"}, 400, "include", "logprobs"),
        ({"prompt": "x" * 8001}, 400, "prompt", "8000 characters"),
        ({"keywords": "x" * 101}, 400, "keywords", "each a string of 1 to 100 characters"),
        ({"keyterms": '[{"term": "Ann", "boost": 9}]'}, 400, "keyterms", "boost from 0 to 4"),
        ({"prompt": "x" * 70_000}, 400, "body", "64KB"),
        ({"model": "x" * 200}, 404, "model", "128 characters"),
    ],
)
def test_wrong_field_is_named(stack: Stack, fields: dict[str, str], status: int, param: str, said: str) -> None:
    answered, body = post_form(stack, TRANSCRIPTIONS, WAV, **fields)
    assert (answered, body["error"]["param"]) == (status, param)
    assert said in body["error"]["message"]
    assert set(body["error"]) == {"message", "type", "param", "code"}


def test_unknown_and_empty_fields_are_ignored(stack: Stack) -> None:
    status, body = post_form(
        stack, TRANSCRIPTIONS, WAV, seed="1", chunking_strategy="auto", language="", prompt="", model="", top_p="x"
    )
    assert (status, body["text"]) == (200, "1 seconds")


@pytest.mark.parametrize("path", [TRANSCRIPTIONS, TRANSLATIONS])
@pytest.mark.parametrize(
    ("file", "code"),
    [
        (None, "missing_field"),
        (b"", "invalid_audio"),
        (b"no audio at all", "unsupported_audio"),
        (WAV[:44], "invalid_audio"),
        (WAV[:30], "invalid_audio"),
    ],
)
def test_unreadable_audio_is_400(stack: Stack, path: str, file: bytes | None, code: str) -> None:
    status, body = post_form(stack, path, file, model="echo")
    assert (status, body["error"]["code"]) == (400, code)


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({"content-type": "application/json"}, b"{}", 415),
        ({}, b"x", 415),
        ({"content-type": "multipart/form-data"}, b"x", 400),
        ({"content-type": "multipart/form-data; boundary=x"}, b"x", 400),
        ({"content-type": "multipart/form-data; boundary=x"}, b"--x\r\n\r\n\r\n--x--\r\n", 400),
        ({"content-type": "application/x-www-form-urlencoded"}, b"a=1;&&%ff", 422),
        ({"content-type": "multipart/form-data; boundary=x", "content-encoding": "gzip"}, b"x", 415),
    ],
)
def test_wrong_body_is_refused(stack: Stack, headers: dict[str, str], body: bytes, status: int) -> None:
    response, answer = request(stack, "POST", TRANSCRIPTIONS, headers, body)
    assert (response.status, response.headers["content-type"]) == (status, "application/json"), answer
    assert response.headers["x-request-id"].startswith("req_")


def test_truncated_form_is_refused(stack: Stack) -> None:
    headers, body = multipart(WAV, model="echo")
    response, answer = request(stack, "POST", TRANSCRIPTIONS, headers, body[:-20])
    error = json.loads(answer)["error"]
    assert (response.status, error["param"]) == (400, "body"), answer
    assert "ends without its last boundary (--4b7fd5--)" in error["message"]


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", TRANSCRIPTIONS, 405, "method_not_allowed"),
        ("DELETE", "/v1/models/echo", 405, "method_not_allowed"),
        ("GET", "/v1/nothing", 404, "not_found"),
        ("POST", "/v1/nothing", 404, "not_found"),
        ("POST", "/nothing", 404, "not_found"),
        ("POST", f"{TRANSCRIPTIONS}?dialect=other", 400, "invalid_value"),
    ],
)
def test_wrong_address_is_told_in_either_dialect(stack: Stack, method: str, path: str, status: int, code: str) -> None:
    response, body = request(stack, method, path)
    assert (response.status, json.loads(body)["error"]["code"]) == (status, code)
    assert response.headers.get("allow") == {TRANSCRIPTIONS: "POST", "/v1/models/echo": "GET, HEAD"}.get(
        path if status == 405 else ""
    )
    response, body = request(stack, method, path, MISTRAL)
    assert (response.status, json.loads(body)["object"], json.loads(body)["code"]) == (status, "error", code)


@pytest.mark.parametrize(
    ("path", "meant"),
    [
        ("/audio/transcriptions", TRANSCRIPTIONS),
        (f"/v1{TRANSCRIPTIONS}", TRANSCRIPTIONS),
        (f"{TRANSLATIONS}/", TRANSLATIONS),
        ("/inference", TRANSCRIPTIONS),
    ],
)
def test_upload_to_a_nearly_right_address_is_told_the_right_one(stack: Stack, path: str, meant: str) -> None:
    status, body = post_form(stack, path, silent_wav(20))
    message = f"There is nothing at {path}. Did you mean POST {meant}?"
    fault = {"message": message, "type": "invalid_request_error", "param": None, "code": "not_found"}
    assert (status, body) == (404, {"error": fault})


def test_sdk_with_a_wrong_base_address_is_told_the_right_one(stack: Stack) -> None:
    client = openai.OpenAI(base_url=f"{stack.web_url}/", api_key="none", max_retries=0)
    with client, pytest.raises(openai.NotFoundError, match=f"Did you mean POST {TRANSCRIPTIONS}"):
        client.audio.transcriptions.create(model="whisper-1", file=("x.wav", WAV))


def test_files_of_the_page_are_refused_as_ever(stack: Stack) -> None:
    response, body = request(stack, "GET", "/nothing")
    assert (response.status, json.loads(body)) == (404, {"detail": "Not Found"})
    assert "x-request-id" not in response.headers


def test_openai_sdk_raises_its_own_errors(openai_client: openai.OpenAI) -> None:
    audio, chat = openai_client.audio.transcriptions, openai_client.chat.completions
    with pytest.raises(openai.NotFoundError) as unknown:
        audio.create(model="whisper-9", file=("x.wav", WAV))
    assert (unknown.value.code, unknown.value.param) == ("model_not_found", "model")
    assert unknown.value.request_id
    with pytest.raises(openai.BadRequestError, match="The file is text; send a recording, such as WAV"):
        audio.create(model="echo", file=("x.wav", b"?"), stream=True)
    with pytest.raises(openai.NotFoundError):
        openai_client.models.retrieve("mistralai/Voxtral-Mini-3B-2507")
    with pytest.raises(openai.BadRequestError, match="no audio"):
        chat.create(model="echo", messages=[{"role": "user", "content": "Hello"}])


def test_mistral_sdk_raises_its_own_errors(mistral_client: Mistral) -> None:
    audio, file = mistral_client.audio.transcriptions, File(file_name="x.wav", content=WAV)
    with pytest.raises(SDKError) as unknown:
        audio.complete(model="voxtral-mini-latest", file=file)
    assert (unknown.value.status_code, json.loads(unknown.value.body)["type"]) == (400, "invalid_model")
    with pytest.raises(SDKError, match="send the recording itself as file"):
        audio.complete(model="echo", file_url="http://127.0.0.1/x.wav")
    with pytest.raises(SDKError, match="The field file is missing"):
        audio.complete(model="echo")
    with pytest.raises(HTTPValidationError) as invalid:
        mistral_client.chat.complete(model="echo", messages=[{"role": "user", "content": "Hello"}])
    assert invalid.value.data.detail[0].type == "missing_field"


def test_whisper_says_which_model_could_answer(whisper_stack: Stack) -> None:
    audio = {"type": "input_audio", "input_audio": {"data": b64encode(WAV).decode(), "format": "wav"}}
    with openai_of(whisper_stack) as client, pytest.raises(openai.BadRequestError, match="Voxtral-Mini-3B") as refused:
        client.chat.completions.create(model="auto", messages=[{"role": "user", "content": [audio]}])
    assert refused.value.code == "mode_unsupported"
    with openai_of(whisper_stack) as client, pytest.raises(openai.NotFoundError, match="Voxtral-Mini-3B") as unknown:
        client.chat.completions.create(model="gpt-audio-mini", messages=[{"role": "user", "content": [audio]}])
    assert unknown.value.code == "model_not_found"


def test_openai_model_for_speakers_writes_plain_text_and_no_speakers(whisper_stack: Stack) -> None:
    model, file = "gpt-4o-transcribe-diarize", ("x.wav", WAV)
    with openai_of(whisper_stack) as client:
        assert client.audio.transcriptions.create(model=model, file=file).text == ""
