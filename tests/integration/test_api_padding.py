"""Answers that take longer than proxies wait: SDKs read them as any other."""

import json
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection, IncompleteRead

import pytest
from mistralai.client import Mistral
from mistralai.client.models import File
from openai import APIConnectionError, OpenAI

from tests.integration.api_clients import multipart, silent_wav
from tests.stack import Stack, free_ports, listens, wait_until

PATH = "/v1/audio/transcriptions"
LONGEST_S = 150
LONG = silent_wav(120)
"""Its answer takes many times as long as the pauses between two spaces."""


@pytest.fixture(scope="module")
def padding_port(stack: Stack) -> Iterator[int]:
    """A web process that sends white space all the time."""
    [port] = free_ports(1)
    stack.spawn(
        "web",
        "padding-web",
        VOXTRAL_SERVER__KEEPALIVE_S="0.0001",
        VOXTRAL_SERVER__HTTP_PORT=str(port),
        VOXTRAL_AUDIO__MAX_DURATION_S=str(LONGEST_S),
    )
    wait_until(lambda: listens(port), "the padding server listens")
    yield port
    stack.stop("padding-web")


def test_json_begins_with_white_space_and_text_does_not(padding_port: int) -> None:
    bodies = {}
    for response_format in ("json", "verbose_json", "text", "srt"):
        headers, form = multipart(LONG, response_format=response_format)
        with closing(HTTPConnection("127.0.0.1", padding_port, timeout=30)) as connection:
            connection.request("POST", PATH, form, headers)
            response = connection.getresponse()
            assert response.status == 200
            bodies[response_format] = response.read()
    for padded in (bodies["json"], bodies["verbose_json"]):
        assert padded.startswith(b" ")
        assert json.loads(padded)["text"].endswith(" seconds")
    assert bodies["text"][:1] == bodies["srt"][:1] == b"1"


def test_sdks_read_padded_answers(padding_port: int) -> None:
    url = f"http://127.0.0.1:{padding_port}"
    with OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as openai:
        plain = openai.audio.transcriptions.create(model="echo", file=("x.wav", LONG))
        verbose = openai.audio.transcriptions.create(model="echo", file=("x.wav", LONG), response_format="verbose_json")
        raw = openai.audio.transcriptions.with_raw_response.create(model="echo", file=("x.wav", LONG))
    assert raw.content.startswith(b" ")
    mistral = Mistral(server_url=url, api_key="none").audio.transcriptions
    answer = mistral.complete(model="echo", file=File(file_name="x.wav", content=LONG))
    assert all(read.text.endswith(" seconds") for read in (raw.parse(), plain, verbose, answer))
    assert verbose.duration == 120


def test_error_after_white_space_is_no_result(padding_port: int) -> None:
    recording = silent_wav(LONGEST_S + 30)
    with closing(HTTPConnection("127.0.0.1", padding_port, timeout=30)) as connection:
        headers, form = multipart(recording)
        connection.request("POST", PATH, form, headers)
        response = connection.getresponse()
        with pytest.raises(IncompleteRead) as broken:
            response.read()
    assert response.status == 200
    assert broken.value.partial.startswith(b" ")
    assert json.loads(broken.value.partial)["error"]["code"] == "audio_too_long"
    url = f"http://127.0.0.1:{padding_port}/v1"
    with OpenAI(base_url=url, api_key="none", max_retries=0) as client, pytest.raises(APIConnectionError):
        client.audio.transcriptions.create(model="echo", file=("x.wav", recording))
