"""The OpenAPI document: that it says what the server does, and that nothing it allows breaks the server."""

import json

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.integration.api_clients import request, silent_wav
from tests.stack import Stack

OURS = {
    "/v1/audio/transcriptions": {"post"},
    "/v1/audio/translations": {"post"},
    "/v1/chat/completions": {"post"},
    "/v1/models": {"get"},
    "/v1/models/{model}": {"get"},
}
EXAMPLES = 40
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


@pytest.fixture(scope="module")
def api(stack: Stack) -> schemathesis.BaseSchema:
    return schemathesis.openapi.from_url(f"{stack.web_url}/openapi.json")


def test_document_has_every_address(stack: Stack) -> None:
    paths = json.loads(request(stack, "GET", "/openapi.json")[1])["paths"]
    assert {path: set(paths[path]) for path in OURS} == OURS
    for path in OURS:
        [operation] = paths[path].values()
        assert operation["description"]
        assert "200" in operation["responses"]
        assert "dialect" in [parameter["name"] for parameter in operation["parameters"]]


@pytest.mark.parametrize("path", OURS)
@pytest.mark.parametrize("mode", GenerationMode)
def test_nothing_that_is_sent_breaks_the_server(api: schemathesis.BaseSchema, path: str, mode: GenerationMode) -> None:
    [method] = OURS[path]

    @settings(
        max_examples=EXAMPLES, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(case=api[path][method.upper()].as_strategy(generation_mode=mode))
    def attempt(case: schemathesis.Case) -> None:
        case.validate_response(case.call(timeout=20), checks=CHECKS)

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
def test_real_replies_are_as_documented(
    api: schemathesis.BaseSchema, stack: Stack, path: str, fields: dict[str, str]
) -> None:
    files = {"file": ("x.wav", silent_wav(12))}
    response = requests.post(f"{stack.web_url}{path}", data=fields, files=files, timeout=20)
    assert response.status_code == 200, response.text
    api[path]["POST"].validate_response(response)


def test_docs_page_needs_no_other_host(stack: Stack) -> None:
    response, body = request(stack, "GET", "/docs")
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert "unsafe" not in response.headers["content-security-policy"]
    assert b"//" not in body.lower().replace(b"<!doctype", b"")
    assert b'src="docs.js"' in body
