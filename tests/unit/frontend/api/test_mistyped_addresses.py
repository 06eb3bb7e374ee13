"""Which address a request means that goes to a wrong one."""

import pytest
from fastapi import FastAPI, WebSocket
from starlette.responses import Response
from starlette.types import Scope

from frontend.api.mistyped_addresses import meant_address, meant_socket, methods_at

TRANSCRIPTIONS, TRANSLATIONS = "/v1/audio/transcriptions", "/v1/audio/translations"
CLIENT_SECRETS = "/v1/realtime/client_secrets"


def application() -> FastAPI:
    app = FastAPI()

    async def answer() -> Response:
        return Response()

    async def talk(websocket: WebSocket) -> None:
        await websocket.accept()

    for path in (TRANSCRIPTIONS, TRANSLATIONS, "/v1/chat/completions", CLIENT_SECRETS):
        app.add_api_route(path, answer, methods=["POST"])
    app.add_api_route("/v1/models", answer, methods=["GET", "HEAD"])
    app.add_api_websocket_route("/v1/realtime", talk)
    app.add_api_websocket_route("/v1/listen", talk)
    app.add_api_websocket_route("/v2/listen", talk)
    app.add_api_websocket_route("/ws", talk)
    return app


APP = application()


def scope_of(path: str, method: str = "POST", kind: str = "http") -> Scope:
    return {"type": kind, "app": APP, "method": method, "path": path, "root_path": "", "headers": []}


@pytest.mark.parametrize(
    ("path", "method", "meant"),
    [
        ("/audio/transcriptions", "POST", f"POST {TRANSCRIPTIONS}"),
        ("/v1/v1/audio/transcriptions", "POST", f"POST {TRANSCRIPTIONS}"),
        (f"{TRANSCRIPTIONS}/", "POST", f"POST {TRANSCRIPTIONS}"),
        ("//v1//audio/transcriptions", "POST", f"POST {TRANSCRIPTIONS}"),
        ("/api/v1/audio/transcriptions", "POST", f"POST {TRANSCRIPTIONS}"),
        ("/v1/Audio/Transcriptions", "POST", f"POST {TRANSCRIPTIONS}"),
        ("/v1/audio/transcription", "POST", f"POST {TRANSCRIPTIONS}"),
        ("/inference", "POST", f"POST {TRANSCRIPTIONS}"),
        ("/v1/inference/", "GET", f"POST {TRANSCRIPTIONS}"),
        ("/asr", "POST", f"POST {TRANSCRIPTIONS}"),
        ("/audio/translations", "PUT", f"POST {TRANSLATIONS}"),
        ("/chat/completions", "POST", "POST /v1/chat/completions"),
        ("/models", "HEAD", "HEAD /v1/models"),
        ("/models/", "POST", "GET /v1/models"),
        ("/v1/realtime/transcription_sessions", "POST", f"POST {CLIENT_SECRETS}"),
        ("/v1/realtime/sessions", "POST", f"POST {CLIENT_SECRETS}"),
        ("/realtime", "GET", "the WebSocket /v1/realtime"),
        (TRANSCRIPTIONS, "GET", None),
        ("/openai/deployments/whisper/audio/transcriptions", "POST", f"POST {TRANSCRIPTIONS}"),
        ("/speech/v1/audio/transcriptions", "POST", f"POST {TRANSCRIPTIONS}"),
        (f"{TRANSCRIPTIONS}/more", "POST", None),
        ("/v1/audio/speech", "POST", None),
        ("/nothing", "GET", None),
        ("/", "POST", None),
        ("/v1/", "POST", None),
    ],
)
def test_nearly_right_address_is_recognized(path: str, method: str, meant: str | None) -> None:
    assert meant_address(scope_of(path, method)) == meant


def test_nearly_right_address_of_a_websocket_is_recognized() -> None:
    assert meant_socket(scope_of("/realtime", kind="websocket")) == "/v1/realtime"
    assert meant_socket(scope_of("/v1/WS/", kind="websocket")) == "/ws"
    assert meant_socket(scope_of("/v1/models", kind="websocket")) is None
    assert meant_socket(scope_of("/listen", kind="websocket")) == "/v1/listen"
    assert meant_socket(scope_of("/V2/listen/", kind="websocket")) == "/v2/listen"
    assert meant_socket(scope_of("/v2/realtime", kind="websocket")) == "/v1/realtime"


def test_methods_of_an_address_are_known() -> None:
    assert methods_at(scope_of("/"), "/v1/models") == ["GET", "HEAD"]
    assert methods_at(scope_of("/"), "/v1/realtime") == []
