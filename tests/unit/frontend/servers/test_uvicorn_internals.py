"""uvicorn still has what `frontend.servers.direct_writes` relies on."""

import inspect

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState

from tests.internals import Canary

canary = Canary("uvicorn", "frontend/servers/direct_writes.py")


def config() -> uvicorn.Config:
    async def app(scope: object, receive: object, send: object) -> None: ...

    loaded = uvicorn.Config(app, lifespan="off", log_config=None)
    loaded.load()
    return loaded


async def test_http_protocol_has_what_we_read() -> None:
    protocol = H11Protocol(config(), ServerState(), {})
    canary.has(protocol, "app", "connections", "cycle", "conn", "transport", "loop", "scheme")
    canary.has(H11Protocol, "handle_events", "eof_received", "shutdown", "connection_made", "connection_lost")
    canary.takes(H11Protocol.handle_websocket_upgrade, "self", "event")
    canary.takes(H11Protocol.on_response_complete, "self")
    canary.calls(H11Protocol.handle_events, "app", "on_response_complete", "handle_websocket_upgrade", "cycle")
    canary.calls(H11Protocol.handle_websocket_upgrade, "ws_protocol_class", "connection_made", "data_received")


async def test_websocket_protocol_has_what_we_read() -> None:
    protocol = WebSocketsSansIOProtocol(config(), ServerState(), {})
    canary.has(protocol, "app", "queue", "config", "transport", "conn", "close_timeout")
    canary.has(protocol.config, "ws_max_size")
    canary.takes(WebSocketsSansIOProtocol.data_received, "self", "data")
    for name in ("send", "receive"):
        method = getattr(WebSocketsSansIOProtocol, name)
        canary.holds(inspect.iscoroutinefunction(method), f"{name} is no coroutine of the protocol")


def test_server_takes_signals_where_we_override_it() -> None:
    canary.has(uvicorn.Server, "capture_signals", "handle_exit")
    canary.takes(uvicorn.Server.handle_exit, "self", "sig", "frame")
    canary.calls(uvicorn.Server.serve, "capture_signals")
