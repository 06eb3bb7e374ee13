"""The native protocol, and WhisperLive's if configured, on a WebSocket port: `python -m frontend.websocket`."""

import asyncio
import sys

import uvloop

from frontend.process import FrontendProcess
from frontend.servers.listening import listen
from frontend.servers.websocket import serve_websocket
from shared.config.settings import Settings
from shared.entry import run_process
from shared.process import return_large_blocks


def main(settings: Settings) -> None:
    return_large_blocks()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(settings))


async def _serve(settings: Settings) -> None:
    """Raises `StartupError` if the port cannot be bound."""
    with listen(settings.server.host, settings.websocket_port, "server.tcp_ports[0]") as listener:
        async with FrontendProcess.running(settings, "websocket") as process:
            serve = process.connections.serve_native_or_whisperlive
            await serve_websocket(listener, settings, process.access, serve)


if __name__ == "__main__":
    sys.exit(run_process(main, "websocket"))
