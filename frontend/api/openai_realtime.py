"""`WS /v1/realtime`: OpenAI's Realtime transcription and vLLM's dialect of it.

A client is refused before the connection is accepted, with an HTTP answer in OpenAI's shape; its library shows that.
"""

from fastapi import APIRouter, WebSocket

from frontend.api.errors import ApiDialect, refusal
from frontend.api.gate import principal_of, wants_viewer_token
from frontend.gateway import Gateway
from frontend.protocols.realtime_choice import SUBPROTOCOL, realtime_dialect
from frontend.realtime import serve_dialect
from frontend.transports import StarletteTransport
from shared.config import Settings
from shared.errors import VoxtralError


def routes(settings: Settings, gateway: Gateway) -> APIRouter:
    router = APIRouter()

    @router.websocket("/v1/realtime")
    async def realtime(websocket: WebSocket) -> None:
        offered: list[str] = websocket.scope["subprotocols"]
        try:
            beta, session = websocket.headers.get("openai-beta", ""), principal_of(websocket).session
            tells = wants_viewer_token(websocket)
            dialect = realtime_dialect(websocket.query_params, beta, offered, session)
        except VoxtralError as error:
            await websocket.send_denial_response(refusal(error, ApiDialect.OPENAI))
            return
        # Browsers put their key among the subprotocols: it must never be the one that is answered.
        await websocket.accept(subprotocol=SUBPROTOCOL if SUBPROTOCOL in offered else None)
        await serve_dialect(
            StarletteTransport(websocket),
            dialect,
            gateway,
            settings,
            principal_of(websocket),
            tells_viewer_token=tells,
        )

    return router
