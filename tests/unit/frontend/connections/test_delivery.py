"""What is measured of the way to a client that reads late, or not at all."""

import asyncio

import orjson
from structlog.testing import capture_logs

from shared.metrics.families import CLIENTS_STALLED, DELIVERY
from tests.unit.clock import clocked
from tests.unit.frontend.connections.test_connection import START, Served, until


def named(place: float | str) -> bytes:
    return orjson.dumps([DELIVERY.name, place])


@clocked
async def test_a_client_that_does_not_read_is_dropped() -> None:
    served = Served()
    serving = served.native()
    served.transport.say(START)
    await until(lambda: served.transport.kinds == ["ready"])
    session_id = served.session_id
    served.transport.reads.clear()
    served.transport.say('{"type": "ping"}')
    with capture_logs() as logs:
        await serving
    assert (served.transport.gone, served.transport.kinds) == (True, ["ready"])
    assert [log["session_id"] for log in logs if log["event"] == "client_stalled"] == [session_id]
    assert served.tally.metrics.counter(CLIENTS_STALLED).take() == {b'["voxtral_clients_stalled"]': 1.0}


@clocked
async def test_the_time_for_which_an_event_waits_for_its_client_is_measured() -> None:
    served = Served()
    serving = served.native()
    served.transport.say(START)
    await until(lambda: served.transport.kinds == ["ready"])
    delivery = served.tally.metrics.histogram(DELIVERY)
    assert delivery.take() == {}, "`ready` is not sent for any audio"
    served.transport.reads.clear()
    served.bus.say(served.session_id, "partial", segment=0, text="a")
    served.bus.say(served.session_id, "partial", segment=0, text="a b")
    await asyncio.sleep(4.0)
    served.transport.reads.set()
    await until(lambda: served.transport.kinds == ["ready", "partial", "partial"])
    assert delivery.take() == {named(5.0): 2.0, named("sum"): 8.0}
    serving.cancel()
    await serving
