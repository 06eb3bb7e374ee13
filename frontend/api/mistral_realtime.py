"""Mistral's realtime transcription at `WS /v1/audio/transcriptions/realtime`."""

import secrets

from fastapi import APIRouter, WebSocket

from frontend.api.errors import ApiDialect, refusal
from frontend.api.gate import principal_of, wants_viewer_token
from frontend.gateway import Gateway
from frontend.placement import AUTO
from frontend.protocols.fields import MAX_MODEL_CHARS
from frontend.protocols.mistral_realtime import MistralRealtime
from frontend.realtime import serve_dialect
from frontend.transports import StarletteTransport
from shared.config import Settings
from shared.errors import VoxtralError


def routes(settings: Settings, gateway: Gateway) -> APIRouter:
    router = APIRouter()

    @router.websocket("/v1/audio/transcriptions/realtime")
    async def transcribe(websocket: WebSocket) -> None:
        try:
            tells = wants_viewer_token(websocket)
        except VoxtralError as error:
            await websocket.send_denial_response(refusal(error, ApiDialect.MISTRAL))
            return
        model = websocket.query_params.get("model") or AUTO
        await websocket.accept()
        dialect = MistralRealtime(secrets.token_hex(16), model[:MAX_MODEL_CHARS])
        await serve_dialect(
            StarletteTransport(websocket),
            dialect,
            gateway,
            settings,
            principal_of(websocket),
            tells_viewer_token=tells,
        )

    return router
