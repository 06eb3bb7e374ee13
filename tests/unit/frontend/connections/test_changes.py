"""Messages about a session in a moment in which no worker of its model reports. The session continues."""

import asyncio

from frontend.protocols.deepgram.query import listen
from frontend.protocols.deepgram.realtime import DeepgramRealtime
from frontend.protocols.dialect import Dialect
from frontend.protocols.native.realtime import NativeRealtime
from frontend.sessions.placement import CACHE_S
from shared.config.settings import Settings
from tests.unit.clock import clocked
from tests.unit.frontend.connections.test_connection import LEAVES, SECOND, Served, until

KEEP_ALIVE = '{"type": "KeepAlive"}'
STEREO = '{"type": "configure", "channels": 2}'


async def opened(served: Served, dialect: Dialect, *messages: str | bytes) -> asyncio.Task[None]:
    """A connection whose session has audio, after which no worker reports any more."""
    serving = asyncio.create_task(served.connections.serve(served.transport, dialect))
    served.transport.say(*messages)
    await until(lambda: served.gateway.sessions and served.bus.held[served.session_id].samples)
    served.transport.sent.clear()
    served.bus.slots = 0
    await asyncio.sleep(CACHE_S)  # the service asks for them again
    return serving


@clocked
async def test_keep_alive_is_input_and_needs_no_worker() -> None:
    served = Served()
    dialect = DeepgramRealtime("id", listen({"encoding": ["linear16"], "sample_rate": ["16000"]}))
    serving = await opened(served, dialect, SECOND)
    served.transport.say(KEEP_ALIVE, LEAVES)
    held = served.bus.held[served.session_id]
    await serving
    assert (held.controls[0], served.transport.sent) == ("configure", [])


@clocked
async def test_new_format_of_audio_needs_no_worker() -> None:
    served = Served()
    serving = await opened(served, NativeRealtime(Settings().audio), '{"type": "start"}', SECOND)
    served.transport.say(STEREO, SECOND, LEAVES)
    held = served.bus.held[served.session_id]
    await serving
    assert (held.samples, served.transport.sent) == (24_000, [])
