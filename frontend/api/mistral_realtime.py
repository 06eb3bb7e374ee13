"""Mistral's realtime transcription at `WS /v1/audio/transcriptions/realtime`."""

import secrets

from fastapi import APIRouter, WebSocket

from frontend.api.errors import ApiDialect
from frontend.api.realtime import serve_websocket
from frontend.protocols.fields import MAX_MODEL_CHARS
from frontend.protocols.mistral.realtime import MistralRealtime
from frontend.sessions.gateway import Gateway
from frontend.sessions.placement import AUTO
from shared.config import Settings


def routes(settings: Settings, gateway: Gateway) -> APIRouter:
    router = APIRouter()

    @router.websocket("/v1/audio/transcriptions/realtime")
    async def transcribe(websocket: WebSocket) -> None:
        model = (websocket.query_params.get("model") or AUTO)[:MAX_MODEL_CHARS]

        def dialect() -> MistralRealtime:
            return MistralRealtime(secrets.token_hex(16), model)

        await serve_websocket(websocket, ApiDialect.MISTRAL, dialect, gateway, settings)

    return router
