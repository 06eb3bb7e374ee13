"""The native protocol on a plain TCP port, and Wyoming on another if it is configured: `python -m frontend.tcp`."""

import asyncio
import sys
from contextlib import ExitStack

import uvloop

from frontend.process import FrontendProcess
from frontend.servers.listening import listen
from frontend.servers.tcp import native_port, serve_tcp, wyoming_port
from shared.config.settings import Settings
from shared.entry import run_process
from shared.process import return_large_blocks


def main(settings: Settings) -> None:
    return_large_blocks()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(settings))


async def _serve(settings: Settings) -> None:
    """Raises `StartupError` if a port cannot be bound."""
    wyoming = settings.wyoming
    with ExitStack() as listeners:
        native = listeners.enter_context(listen(settings.server.host, settings.tcp_port, "server.tcp_ports[1]"))
        other = None
        if settings.speaks_wyoming:
            other = listeners.enter_context(listen(wyoming.host, wyoming.port, "wyoming.port"))
        async with FrontendProcess.running(settings, "tcp") as process:
            ports = [native_port(native, settings, process.access, process.connections.serve_native)]
            if other is not None:
                ports.append(wyoming_port(other, process.connections.serve_wyoming))
            await serve_tcp(ports)


if __name__ == "__main__":
    sys.exit(run_process(main, "tcp"))
