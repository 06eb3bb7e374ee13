"""The OpenAPI document: that it says what the server does, and that nothing it allows breaks the server."""

import json
from collections.abc import Callable
from typing import Any

import pytest
import requests
from hypothesis import HealthCheck, given, settings

from tests.integration.api_clients import request, silent_wav
from tests.integration.viewers import speaking
from tests.limits import limit_s
from tests.stack import Stack

LISTEN = "/v1/listen"
TELEPHONE_STREAM = "/v1/telephony/{service}/streams/{stream_id}"
WITHOUT_DIALECT = (LISTEN, TELEPHONE_STREAM)
"""Their answers have one shape."""
OURS = {
    LISTEN: {"post"},
    "/v1/audio/transcriptions": {"post"},
    "/v1/audio/translations": {"post"},
    "/v1/chat/completions": {"post"},
    "/v1/models": {"get"},
    "/v1/models/{model}": {"get"},
    "/v1/realtime/client_secrets": {"post"},
    TELEPHONE_STREAM: {"get"},
}
SESSION = "/v1/sessions/{session_id}"
EVENTS, TRANSCRIPT = "/v1/sessions/{session_id}/events", "/v1/sessions/{session_id}/transcript.{form}"
FORMS = ("json", "txt", "srt", "vtt")
KEYS = [{"Bearer": []}, {"X-API-Key": []}]
RESUME_TOKENS = [{"ResumeToken": []}]
VIEWER_TOKENS = [{"ViewerToken": []}, {"ViewerTokenInAddress": []}]
SECURITY = {SESSION: KEYS + RESUME_TOKENS, EVENTS: VIEWER_TOKENS, TRANSCRIPT: VIEWER_TOKENS}
EXAMPLES = 15
MODES = ("positive", "negative")
"""Whether requests are as the document allows, or otherwise."""


@pytest.fixture(scope="module")
def api(stack: Stack) -> Any:
    import schemathesis  # takes seconds, of every process that collects tests

    return schemathesis.openapi.from_url(f"{stack.web_url}/openapi.json")


@pytest.fixture(scope="module")
def ended(stack: Stack) -> tuple[str, str]:
    """Id and viewer token of a session that has said something."""
    with speaking(stack) as speaker:
        speaker.say()
        speaker.stop()
        return speaker.session_id, speaker.token


def test_document_has_every_address(stack: Stack) -> None:
    document = json.loads(request(stack, "GET", "/openapi.json")[1])
    paths = document["paths"]
    assert {path: set(operations) for path, operations in paths.items()} == {
        **OURS,
        SESSION: {"delete"},
        EVENTS: {"get"},
        TRANSCRIPT: {"get"},
    }
    for path, operations in paths.items():
        [operation] = operations.values()
        assert operation["description"]
        assert {"204" if path == SESSION else "200", "401", "503"} <= set(operation["responses"])
        assert operation["security"] == (KEYS if path in OURS else SECURITY[path])
        for status in {"429", "503"} & operation["responses"].keys():
            assert "Retry-After" in operation["responses"][status]["headers"]
    for path in OURS:
        [operation] = paths[path].values()
        assert {"403", "413", "429"} <= set(operation["responses"])
        assert (path in WITHOUT_DIALECT) == (
            "dialect" not in [parameter["name"] for parameter in operation["parameters"]]
        )
    assert "ValidationError" not in json.dumps(document)
    schemes = document["components"]["securitySchemes"]
    assert {scheme for way in KEYS + RESUME_TOKENS + VIEWER_TOKENS for scheme in way} == set(schemes)
    assert (schemes["Bearer"]["scheme"], schemes["X-API-Key"]["in"]) == ("bearer", "header")


OF_ITS_STRATEGIES = pytest.mark.filterwarnings("ignore:Do not use the `random` module inside strategies")
"""Schemathesis' own strategies do, at times."""


@OF_ITS_STRATEGIES
@pytest.mark.parametrize("path", OURS)
@pytest.mark.parametrize("mode", MODES)
def test_nothing_that_is_sent_breaks_the_server(api: Any, path: str, mode: str) -> None:
    [method] = OURS[path]
    attempt_all(api, path, method, mode, lambda case: None)


@OF_ITS_STRATEGIES
@pytest.mark.parametrize("path", [EVENTS, TRANSCRIPT])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("is_known", [True, False], ids=["known", "unknown"])
def test_nothing_that_viewers_send_breaks_the_server(
    api: Any, ended: tuple[str, str], path: str, mode: str, *, is_known: bool
) -> None:
    """Of sessions that they know, and of such that they make up."""

    def know(case: Any) -> None:
        if is_known:
            session_id, token = ended
            case.path_parameters = {**case.path_parameters, "session_id": session_id}
            case.query = {**(case.query or {}), "token": token}

    attempt_all(api, path, "get", mode, know)


@OF_ITS_STRATEGIES
@pytest.mark.parametrize("mode", MODES)
def test_nothing_that_is_asked_to_be_erased_breaks_the_server(api: Any, mode: str) -> None:
    attempt_all(api, SESSION, "delete", mode, lambda case: None)


def attempt_all(
    api: Any,
    path: str,
    method: str,
    mode: str,
    prepare: Callable[[Any], None],
) -> None:
    from schemathesis import GenerationMode
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi import checks

    wanted = [not_a_server_error, checks.status_code_conformance, checks.content_type_conformance]
    wanted.append(checks.response_schema_conformance)

    @settings(
        max_examples=EXAMPLES, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(case=api[path][method.upper()].as_strategy(generation_mode=GenerationMode(mode)))
    def attempt(case: Any) -> None:
        prepare(case)
        case.validate_response(case.call(timeout=limit_s(20)), checks=wanted)

    attempt()


@pytest.mark.parametrize(
    ("path", "fields"),
    [("/v1/audio/transcriptions", {"response_format": name}) for name in ("json", "text", "srt", "vtt", "verbose_json")]
    + [
        ("/v1/audio/transcriptions", {"response_format": "verbose_json", "timestamp_granularities[]": "word"}),
        ("/v1/audio/transcriptions", {"stream": "true"}),
        ("/v1/audio/transcriptions", {"diarize": "false", "timestamp_granularities": "word"}),
        ("/v1/audio/transcriptions", {"diarize": "false", "stream": "true"}),
        ("/v1/audio/translations", {"response_format": "json"}),
        ("/v1/audio/translations", {"response_format": "verbose_json"}),
    ],
)
def test_real_replies_are_as_documented(api: Any, stack: Stack, path: str, fields: dict[str, str]) -> None:
    files = {"file": ("x.wav", silent_wav(12))}
    response = requests.post(f"{stack.web_url}{path}", data=fields, files=files, timeout=limit_s(20))
    assert response.status_code == 200, response.text
    api[path]["POST"].validate_response(response)


def test_what_viewers_get_is_as_documented(api: Any, stack: Stack, ended: tuple[str, str]) -> None:
    session_id, token = ended
    for path, names in ((EVENTS, ["events"]), (TRANSCRIPT, [f"transcript.{form}" for form in FORMS])):
        for name in names:
            response = requests.get(
                f"{stack.web_url}/v1/sessions/{session_id}/{name}", {"token": token}, timeout=limit_s(20)
            )
            assert response.status_code == 200, response.text
            api[path]["GET"].validate_response(response)


def test_docs_page_needs_no_other_host(stack: Stack) -> None:
    response, body = request(stack, "GET", "/docs")
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert "unsafe" not in response.headers["content-security-policy"]
    assert b"//" not in body.lower().replace(b"<!doctype", b"")
    assert b'src="docs.js"' in body
