"""HEAD: what GET would answer, without the body."""

import http.client
from contextlib import closing
from urllib.parse import urlsplit

import pytest

from tests.integration.api_clients import request
from tests.integration.viewers import Speaker
from tests.keys import KeyList
from tests.limits import limit_s
from tests.stack import Stack

OF_ONE_ANSWER = ("date", "x-request-id")


def ask(connection: http.client.HTTPConnection, method: str, path: str) -> tuple[int, dict[str, str], bytes]:
    connection.request(method, path)
    response = connection.getresponse()
    headers = {name.lower(): value for name, value in response.getheaders() if name.lower() not in OF_ONE_ANSWER}
    return response.status, headers, response.read()


def check(stack: Stack, path: str, status: int) -> None:
    """On one connection, where a body that came would be taken for the next answer."""
    with closing(http.client.HTTPConnection(urlsplit(stack.web_url).netloc, timeout=limit_s(20))) as connection:
        told = ask(connection, "HEAD", path)
        got = ask(connection, "GET", path)
    assert told == (*got[:2], b"")
    assert (got[0], int(got[1]["content-length"])) == (status, len(got[2]))


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/models", 200),
        ("/v1/models?dialect=x", 400),
        ("/v1/models/echo", 200),
        ("/v1/models/some/other", 404),
        ("/v1/nothing", 404),
        ("/docs", 200),
        ("/captions", 200),
        ("/config.json", 200),
        ("/openapi.json", 200),
        ("/asyncapi.yaml", 200),
        ("/", 200),
        ("/nothing", 404),
    ],
)
def test_head_is_get_without_the_body(stack: Stack, path: str, status: int) -> None:
    check(stack, path, status)


@pytest.mark.parametrize("form", ["json", "txt", "srt", "vtt"])
def test_head_of_a_transcript(stack: Stack, speaker: Speaker, form: str) -> None:
    speaker.say()
    speaker.stop()
    check(stack, f"{speaker.path}/transcript.{form}?token={speaker.token}", 200)
    check(stack, f"{speaker.path}/transcript.{form}", 401)


def test_events_have_no_head(stack: Stack, speaker: Speaker) -> None:
    """They continue as long as the session, and an answer without them means nothing."""
    response, _ = request(stack, "HEAD", f"{speaker.path}/events?token={speaker.token}")
    assert (response.status, response.headers["allow"]) == (405, "GET")


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("HEAD", "/v1/audio/transcriptions", "POST"),
        ("POST", "/v1/models", "GET, HEAD"),
        ("PUT", "/v1/sessions/x/transcript.json", "GET, HEAD"),
        ("POST", "/docs", "GET, HEAD"),
    ],
)
def test_other_methods_are_told_what_is_allowed(stack: Stack, method: str, path: str, allow: str) -> None:
    response, _ = request(stack, method, path)
    assert (response.status, response.headers["allow"]) == (405, allow)


def test_head_needs_a_key_where_get_does(keyed_stack: Stack, key_list: KeyList) -> None:
    check(keyed_stack, "/v1/models", 401)
    listed = {"Origin": "https://voice.example", "Access-Control-Request-Headers": "authorization"}
    response, _ = request(keyed_stack, "OPTIONS", "/v1/models", listed | {"Access-Control-Request-Method": "HEAD"})
    assert response.status == 200
    response, _ = request(keyed_stack, "HEAD", "/v1/models", {"Authorization": f"Bearer {key_list.keys['anna']}"})
    assert response.status == 200
