"""The web page, the native protocol at `/ws` and the HTTP APIs: `python -m frontend.web`."""

import asyncio
import contextlib
import sys

import uvloop

from frontend.api.app import create_app
from frontend.process import FrontendProcess
from frontend.servers.http import serve_http
from frontend.servers.tls import server_context
from shared.config.settings import Settings
from shared.entry import run_process
from shared.outgoing.client import OutgoingClient
from shared.process import return_large_blocks


def main(settings: Settings) -> None:
    return_large_blocks()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(settings))


async def _serve(settings: Settings) -> None:
    async with FrontendProcess.running(settings, "web") as process, contextlib.AsyncExitStack() as stack:
        outgoing = None
        if settings.server.recording_urls:
            outgoing = await stack.enter_async_context(OutgoingClient(settings.outgoing))
        app = create_app(
            settings,
            process.gateway,
            access=process.access,
            connections=process.connections,
            recordings=process.recordings,
            viewers=process.viewers,
            erasure=process.erasure,
            tally=process.tally,
            outgoing=outgoing,
        )
        await serve_http(
            app,
            host=settings.server.host,
            port=settings.server.http_port,
            port_setting="server.http_port",
            tls=server_context(settings),
            max_message_bytes=settings.server.max_message_bytes,
            max_connections=2 * settings.server.max_connections + settings.viewers.max_per_process,
        )


if __name__ == "__main__":
    sys.exit(run_process(main, "web"))
