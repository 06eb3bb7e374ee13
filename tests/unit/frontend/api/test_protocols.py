"""Which addresses exist with each `server.protocols`."""

from typing import Any, cast

import pytest
from starlette.types import Scope

from frontend.api.app import create_app
from frontend.api.mistyped_addresses import is_socket, methods_at
from frontend.monitoring.process_report import Tally
from shared.config.settings import Settings
from shared.metrics.metrics import Metrics

UNUSED: Any = cast("Any", None)
SHARED = {"/v1/audio/transcriptions", "/v1/audio/translations", "/v1/chat/completions"}
OPENAI = {"/v1/realtime", "/v1/realtime/client_secrets"}
MISTRAL = {"/v1/audio/transcriptions/realtime"}
DEEPGRAM = {"/v1/listen", "/v2/listen"}
STREAMS = "/v1/telephony/twilio/streams/MZ0"
TWILIO = {"/v1/telephony/twilio", STREAMS}
TELNYX = {"/v1/telephony/telnyx", STREAMS}
ALL = SHARED | OPENAI | MISTRAL | DEEPGRAM | TWILIO | TELNYX
TELEPHONY = {"twilio_auth_token": "0123456789abcdef", "telnyx_stream_token": "0123456789abcdef"}


@pytest.mark.parametrize(
    ("protocols", "paths"),
    [
        (["openai", "mistral", "deepgram"], SHARED | OPENAI | MISTRAL | DEEPGRAM),
        (["deepgram"], DEEPGRAM),
        (["openai"], SHARED | OPENAI),
        (["mistral"], SHARED | MISTRAL),
        (["twilio"], TWILIO),
        (["telnyx"], TELNYX),
        ([], set()),
    ],
)
def test_only_the_addresses_of_configured_protocols_exist(protocols: list[str], paths: set[str]) -> None:
    settings = Settings(server={"protocols": protocols}, telephony=TELEPHONY)  # type: ignore[arg-type]
    app = create_app(
        settings,
        UNUSED,
        access=UNUSED,
        connections=UNUSED,
        recordings=UNUSED,
        viewers=UNUSED,
        erasure=UNUSED,
        tally=Tally("web", UNUSED, (), Metrics()),
    )
    scope: Scope = {"type": "http", "app": app, "method": "POST", "path": "/", "root_path": "", "headers": []}
    found = {path for path in {*ALL, "/v1/models", "/ws"} if methods_at(scope, path) or is_socket(scope, path)}
    assert found == paths | {"/v1/models", "/ws"}
    assert app.openapi()["paths"].keys() >= paths & SHARED
