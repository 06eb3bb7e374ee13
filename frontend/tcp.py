"""The native protocol on a plain TCP port: `python -m frontend.tcp`."""

import asyncio
import sys
from typing import Final

import structlog
import uvloop

from frontend.access.guard import STRANGER_MESSAGE_MAX, restrict_stranger
from frontend.connections.native import serve_connection
from frontend.servers.listening import listen, stop_signal
from frontend.servers.tls import tls_options
from frontend.servers.transports import TcpTransport
from frontend.sessions.gateway import Gateway
from shared.config import Settings
from shared.entry import run_process
from shared.process import return_large_blocks

SHUTDOWN_S: Final = 1.5

log = structlog.get_logger(__name__)


async def serve_tcp(settings: Settings) -> None:
    """Serves until SIGINT or SIGTERM. Raises `StartupError` when the port cannot be had."""
    with listen(settings.server.host, settings.tcp_port, "server.tcp_ports[1]") as listener:
        async with Gateway.running(settings, "tcp") as gateway:
            stopped = stop_signal()
            clients: dict[asyncio.Task[None], TcpTransport] = {}

            async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                transport = TcpTransport(reader, writer, settings.server.max_message_bytes)
                restrict_stranger(gateway.access, transport)
                task = asyncio.current_task()
                assert task is not None
                clients[task] = transport
                try:
                    await serve_connection(transport, gateway, settings)
                finally:
                    del clients[task]

            server = await asyncio.start_server(
                handle, sock=listener, limit=STRANGER_MESSAGE_MAX, **tls_options(settings)
            )
            log.info("listening", host=settings.server.host, port=settings.tcp_port)
            await stopped.wait()
            await _shut_down(server, clients)


async def _shut_down(server: asyncio.Server, clients: dict[asyncio.Task[None], TcpTransport]) -> None:
    """Stop accepting, say goodbye, wait to a deadline, break off. Live sessions can be resumed elsewhere."""
    server.close()
    leaving = list(clients)
    for task in leaving:
        task.cancel()
    if leaving:
        _, late = await asyncio.wait(leaving, timeout=SHUTDOWN_S)
        for task in late:
            clients[task].abort()
        await asyncio.gather(*leaving, return_exceptions=True)


def main(settings: Settings) -> None:
    return_large_blocks()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve_tcp(settings))


if __name__ == "__main__":
    sys.exit(run_process(main, "tcp"))
