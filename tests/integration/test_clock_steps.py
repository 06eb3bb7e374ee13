"""Live sessions after the wall clock of Redis jumps forward, as after a suspend of the machine."""

from frontend.process import FrontendProcess
from shared.bus import keys
from shared.bus.connect import connect
from shared.session_options import SessionOptions
from tests.integration.workers import SECOND, events_of
from tests.stack import Stack


async def test_client_of_an_expired_session_is_told_to_start_anew(stack: Stack) -> None:
    redis = connect(stack.settings)
    async with FrontendProcess.running(stack.settings, "test") as frontend:
        gateway = frontend.gateway
        session = await gateway.open(SessionOptions())
        await session.write(SECOND)
        for key in keys.of_session(session.id):
            await redis.pexpireat(key, 1)
        last = (await events_of(session))[-1]
        assert (last["type"], last["code"]) == ("error", "session_expired")
        assert "start a new one" in last["message"]
        again = await gateway.open(SessionOptions())
        await again.cancel()
    await redis.aclose()
