"""`WS /v1/realtime`: OpenAI's Realtime transcription and vLLM's dialect of it."""

from fastapi import APIRouter, WebSocket

from frontend.api.authentication import principal_of
from frontend.api.errors import ApiDialect
from frontend.api.realtime import serve_websocket
from frontend.protocols.detection import realtime_dialect
from frontend.protocols.dialect import Dialect
from frontend.sessions.gateway import Gateway
from shared.config import Settings


def routes(settings: Settings, gateway: Gateway) -> APIRouter:
    router = APIRouter()

    @router.websocket("/v1/realtime")
    async def realtime(websocket: WebSocket) -> None:
        def dialect() -> Dialect:
            return realtime_dialect(
                websocket.query_params,
                websocket.headers.get("openai-beta", ""),
                websocket.scope["subprotocols"],
                principal_of(websocket).session,
            )

        await serve_websocket(websocket, ApiDialect.OPENAI, dialect, gateway, settings)

    return router
