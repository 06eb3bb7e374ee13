"""Serves an ASGI application: one uvicorn in one process, stopped by a signal within seconds.

Knows nothing of the application.
"""

import logging
import ssl

import uvicorn
from fastapi import FastAPI

from frontend.servers.direct_writes import QuietServer, WiredHttp, WiredWebSocket
from frontend.servers.listening import listen
from frontend.servers.transports import MAX_HANDSHAKE_BYTES

GRACE_S = 2
"""How long open requests and connections may take to end after a signal."""
FAULTS_OF_CLIENTS = ("Invalid UTF-8", "ASGI callable returned without completing handshake")
"""Text that is not UTF-8, and a client that disconnects during the handshake of its WebSocket."""


async def serve_http(
    app: FastAPI,
    *,
    host: str,
    port: int,
    port_setting: str,
    tls: ssl.SSLContext | None = None,
    max_message_bytes: int = 65536,
    max_connections: int = WiredHttp.max_connections,
) -> None:
    """Serve until SIGINT or SIGTERM. Raises `StartupError` that names the setting if the port cannot be bound."""
    logging.getLogger("uvicorn.error").addFilter(_is_ours)
    WiredHttp.max_connections = max_connections
    with listen(host, port, port_setting) as listener:
        config = uvicorn.Config(
            app,
            http=WiredHttp,
            ws=WiredWebSocket,
            ssl_context_factory=None if tls is None else lambda _config, _default: tls,
            ws_max_size=max_message_bytes,
            h11_max_incomplete_event_size=MAX_HANDSHAKE_BYTES,
            ws_ping_timeout=None,  # pongs wait behind audio under backpressure; TCP detects dead peers
            ws_per_message_deflate=False,  # audio does not compress, and each compressor needs memory
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=GRACE_S,
        )
        await QuietServer(config).serve(sockets=[listener])


def _is_ours(record: logging.LogRecord) -> bool:
    """Drops uvicorn's errors for what any client can cause as often as it likes."""
    return not record.getMessage().startswith(FAULTS_OF_CLIENTS)
