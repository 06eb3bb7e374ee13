"""The WebSockets in the dialects of other services.

`WS /v1/realtime` is OpenAI's Realtime transcription and vLLM's dialect of it; `WS /v1/audio/transcriptions/realtime` is
Mistral's realtime transcription; `WS /v1/listen` is Deepgram's live transcription, and `WS /v2/listen` its Flux.
"""

import secrets
from collections.abc import Collection
from functools import partial
from typing import Final

from fastapi import APIRouter, WebSocket

from frontend.api.authentication import principal_of
from frontend.api.renderers import ApiDialect
from frontend.connections.connections import Connections
from frontend.protocols.deepgram.flux import DeepgramFlux
from frontend.protocols.deepgram.flux_query import flux_listen
from frontend.protocols.deepgram.parameters import query_of
from frontend.protocols.deepgram.query import listen
from frontend.protocols.deepgram.realtime import DeepgramRealtime
from frontend.protocols.detection import realtime_dialect
from frontend.protocols.dialect import Dialect
from frontend.protocols.mistral.realtime import MistralRealtime
from frontend.protocols.options import MAX_MODEL_CHARS
from frontend.servers.transports import StarletteTransport
from frontend.sessions.placement import AUTO
from shared.config.sections import ForeignProtocol
from shared.errors import InvalidFieldError

VIEWER_TOKEN: Final = "viewer_token"  # noqa: S105 -- the name of a parameter


def routes(connections: Connections, spoken: Collection[ForeignProtocol]) -> APIRouter:
    """The addresses of the protocols in `spoken`."""
    router = APIRouter()
    if ForeignProtocol.OPENAI in spoken:
        router.add_api_websocket_route("/v1/realtime", partial(_serve_openai, connections))
    if ForeignProtocol.MISTRAL in spoken:
        router.add_api_websocket_route("/v1/audio/transcriptions/realtime", partial(_serve_mistral, connections))
    if ForeignProtocol.DEEPGRAM in spoken:
        router.add_api_websocket_route("/v1/listen", partial(_serve_deepgram, connections))
        router.add_api_websocket_route("/v2/listen", partial(_serve_flux, connections))
    return router


async def _serve_openai(connections: Connections, websocket: WebSocket) -> None:
    dialect = realtime_dialect(
        websocket.query_params,
        websocket.headers.get("openai-beta", ""),
        websocket.scope["subprotocols"],
        principal_of(websocket).session,
    )
    await _serve(websocket, dialect, connections)


async def _serve_mistral(connections: Connections, websocket: WebSocket) -> None:
    websocket.state.dialect = ApiDialect.MISTRAL
    model = (websocket.query_params.get("model") or AUTO)[:MAX_MODEL_CHARS]
    await _serve(websocket, MistralRealtime(secrets.token_hex(16), model), connections)


async def _serve_deepgram(connections: Connections, websocket: WebSocket) -> None:
    asked = listen(query_of(websocket.query_params.multi_items()))
    await _serve(websocket, DeepgramRealtime(websocket.state.request_id, asked), connections)


async def _serve_flux(connections: Connections, websocket: WebSocket) -> None:
    asked = flux_listen(query_of(websocket.query_params.multi_items()))
    await _serve(websocket, DeepgramFlux(websocket.state.request_id, asked), connections)


async def _serve(websocket: WebSocket, dialect: Dialect, connections: Connections) -> None:
    tells_viewer_token = _wants_viewer_token(websocket)
    await websocket.accept()
    await connections.serve(
        StarletteTransport(websocket), dialect, principal_of(websocket), tells_viewer_token=tells_viewer_token
    )


def _wants_viewer_token(websocket: WebSocket) -> bool:
    """Whether a client asks for the viewer token of its session: `?viewer_token=true`. Raises InvalidFieldError."""
    given = websocket.query_params.get(VIEWER_TOKEN, "false")
    if given not in ("true", "false"):
        raise InvalidFieldError(VIEWER_TOKEN, given, "true, false")
    return given == "true"
