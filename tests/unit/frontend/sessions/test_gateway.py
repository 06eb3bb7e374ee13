"""The gateway over a bus in memory: what opens and resumes a session, and what becomes of one that does not begin."""

import asyncio
from typing import NoReturn

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from redis.exceptions import TimeoutError as RedisTimeoutError
from structlog.testing import capture_logs

from frontend.access.session_tokens import identity_of
from frontend.monitoring.process_report import Tally
from frontend.sessions.tracing import SessionTraces
from shared.config.settings import Settings
from shared.errors import (
    InvalidFieldError,
    ModelUnavailableError,
    RateLimitedError,
    ServerBusyError,
    SessionExpiredError,
    SessionResumedError,
    SessionUnknownError,
    StoreUnreachableError,
    VoxtralError,
)
from shared.events import SAMPLE_RATE_HZ
from shared.metrics.metrics import Metrics
from shared.session_options import SessionOptions
from shared.tracing import ROOT, Traces
from tests.unit.clock import clocked
from tests.unit.frontend.memory_bus import MODEL, MemoryBus

SETTINGS = Settings(session={"claim_timeout_s": 10})
SECOND = b"\1\0" * SAMPLE_RATE_HZ


@clocked
async def test_an_opened_session_begins_with_ready_and_its_tokens() -> None:
    bus = MemoryBus()
    gateway = bus.gateway(SETTINGS)
    session = await gateway.open(SessionOptions())
    ready = (await anext(session.events())).wire
    assert (ready["type"], ready["model"], ready["seq"]) == ("ready", MODEL, 1)
    assert (ready["resume_token"], ready["viewer_token"]) == (session.resume_token, session.viewer_token)
    assert (gateway.sessions, gateway.opened_total) == ({session.id: session}, 1)


@clocked
async def test_a_session_has_the_identity_that_is_wanted_unless_another_one_has_it() -> None:
    bus = MemoryBus()
    gateway = bus.gateway(SETTINGS)
    identity = identity_of("secret", "call")
    session = await gateway.open(SessionOptions(), identity=identity)
    assert (session.id, session.resume_token) == (identity.session_id, identity.resume_token)
    with pytest.raises(SessionResumedError, match="has begun already"):
        await gateway.open(SessionOptions(), identity=identity)
    assert (gateway.sessions, bus.erased) == ({session.id: session}, [])


@clocked
async def test_of_two_openings_with_one_identity_the_second_is_rejected_and_the_first_continues() -> None:
    bus = MemoryBus()
    gateway = bus.gateway(SETTINGS)
    identity = identity_of("secret", "call")
    opening = [asyncio.create_task(gateway.open(SessionOptions(), identity=identity)) for _ in range(2)]
    session = await opening[0]
    with pytest.raises(SessionResumedError, match=f"Another connection is opening session {session.id}"):
        await opening[1]
    await session.write(SECOND)
    assert bus.held[session.id].samples == SAMPLE_RATE_HZ
    assert (gateway.sessions, bus.erased, bus.marks) == ({session.id: session}, [], {})


@clocked
async def test_an_identity_can_be_opened_again_after_an_opening_that_failed() -> None:
    bus = MemoryBus(slots=1)
    gateway = bus.gateway(SETTINGS)
    other = await gateway.open(SessionOptions())
    identity = identity_of("secret", "call")
    with pytest.raises(ServerBusyError):
        await gateway.open(SessionOptions(), identity=identity)
    await other.cancel()
    assert (await gateway.open(SessionOptions(), identity=identity)).id == identity.session_id


@clocked
async def test_a_session_that_no_worker_claims_is_erased_after_the_claim_timeout() -> None:
    bus = MemoryBus()
    bus.claims = False
    gateway = bus.gateway(SETTINGS)
    began_s = asyncio.get_running_loop().time()
    with pytest.raises(ServerBusyError, match="within 10 s"):
        await gateway.open(SessionOptions())
    assert asyncio.get_running_loop().time() - began_s == 10
    await gateway.close()
    assert (gateway.sessions, gateway.opened_total, len(bus.erased)) == ({}, 0, 1)
    assert [held.followers for held in bus.held.values()] == [[]]


class WithoutSubscriptions(MemoryBus):
    async def follow(self, session_id: str, after_seq: int = 0) -> NoReturn:
        await asyncio.sleep(5)
        raise RedisTimeoutError("No subscription within 5 s")


@pytest.mark.parametrize("leaves", [True, False])
@clocked
async def test_a_session_whose_events_cannot_be_followed_frees_its_slots(leaves: bool) -> None:
    bus = WithoutSubscriptions()
    opening = asyncio.create_task(bus.gateway(SETTINGS).open(SessionOptions()))
    while not bus.held:  # noqa: ASYNC110
        await asyncio.sleep(0)
    if leaves:
        opening.cancel()
    await asyncio.wait((opening,))
    assert bus.erased == list(bus.held)
    with pytest.raises(asyncio.CancelledError if leaves else StoreUnreachableError):
        opening.result()


@clocked
async def test_an_error_before_ready_keeps_its_code() -> None:
    bus = MemoryBus()
    bus.claims = False
    gateway = bus.gateway(SETTINGS)
    opening = asyncio.create_task(gateway.open(SessionOptions()))
    while not gateway.sessions:  # noqa: ASYNC110
        await asyncio.sleep(0)
    next(iter(gateway.sessions.values())).fail(RateLimitedError("Enough.", retry_after_s=7))
    with pytest.raises(VoxtralError, match="Enough") as raised:
        await opening
    assert (raised.value.code, raised.value.retry_after_s) == ("rate_limited", 7)
    assert (gateway.sessions, len(bus.erased)) == ({}, 1)


@clocked
async def test_a_live_session_is_refused_at_once_when_every_slot_is_taken() -> None:
    gateway = MemoryBus(slots=1).gateway(SETTINGS)
    await gateway.open(SessionOptions())
    began_s = asyncio.get_running_loop().time()
    with capture_logs() as logs, pytest.raises(ServerBusyError):
        await gateway.open(SessionOptions())
    assert asyncio.get_running_loop().time() == began_s
    assert [(log["event"], log["code"]) for log in logs] == [("session_rejected", "server_busy")]


@clocked
async def test_the_span_of_a_session_has_the_code_of_its_error() -> None:
    exporter = InMemorySpanExporter()
    traces = Traces(exporter, process="web", sample_ratio=1.0)
    bus = MemoryBus(slots=5)
    gateway = bus.gateway(SETTINGS, SessionTraces(traces))
    failed, ended, other, done = [await gateway.open(SessionOptions()) for _ in range(4)]
    with capture_logs() as logs:
        for _ in range(2):
            failed.fail(ModelUnavailableError("No worker took the session over within 10 s."))
    bus.say(ended.id, "error", code="idle_timeout", message="No audio.")
    bus.say(done.id, "done")
    later = await gateway.resume(other.id, other.resume_token, 1)
    for session in (failed, ended, other, done):
        [_ async for _ in session.events()]
    later.detach()
    bus.claims = False
    with pytest.raises(ServerBusyError):
        await gateway.open(SessionOptions())
    traces.close()
    codes = {
        span.attributes["voxtral.session_id"]: span.status.description
        for span in exporter.get_finished_spans()
        if span.name == ROOT
    }
    assert codes == {
        failed.id: "model_unavailable",
        ended.id: "idle_timeout",
        other.id: None,
        done.id: None,
        bus.erased[-1]: "server_busy",
    }
    assert [(log["event"], log["session_id"], log["code"]) for log in logs] == [
        ("session_failed", failed.id, "model_unavailable")
    ]


@clocked
async def test_a_recording_waits_for_a_slot() -> None:
    bus = MemoryBus(slots=1)
    gateway = bus.gateway(SETTINGS)
    held = await gateway.open(SessionOptions())
    waiting = asyncio.create_task(gateway.open(SessionOptions(), queue="batch"))
    await asyncio.sleep(5)
    assert not waiting.done()
    tally = Tally("web", gateway, (), Metrics())
    assert tally.report().waiting == 1
    await held.cancel()
    assert (await waiting).model == MODEL
    assert tally.report().waiting == 0


@clocked
async def test_a_resumed_session_continues_where_the_client_was_and_the_old_connection_is_told() -> None:
    bus = MemoryBus()
    gateway = bus.gateway(SETTINGS)
    old = await gateway.open(SessionOptions(language="en"))
    await old.write(SECOND)
    bus.say(old.id, "final", text="one", segment=0)
    bus.say(old.id, "final", text="two", segment=1)
    resumed = await gateway.resume(old.id, old.resume_token, 2)
    events = resumed.events()
    ready, missed = (await anext(events)).wire, (await anext(events)).wire
    assert (ready["type"], ready["seq"], ready["audio_received_samples"]) == ("ready", 2, SAMPLE_RATE_HZ)
    assert (missed["text"], missed["seq"], resumed.options.language) == ("two", 3, "en")
    assert [event.wire for event in [event async for event in old.events()]][-1]["code"] == "session_resumed"
    await gateway.close()
    assert gateway.sessions == {old.id: resumed}


@pytest.mark.parametrize("seq", [1, 2, 3])
@clocked
async def test_a_client_that_resumes_a_session_that_has_ended_gets_its_last_event(seq: int) -> None:
    """Also if it has one of this `seq`: an error that ended a connection has the next `seq` and is not in the log."""
    bus = MemoryBus()
    gateway = bus.gateway(SETTINGS)
    old = await gateway.open(SessionOptions())
    await old.write(SECOND)
    old.detach()
    bus.held[old.id].state = b"done"
    bus.say(old.id, "done", text="", duration=1.0)
    resumed = await gateway.resume(old.id, old.resume_token, seq)
    assert [(event.type, event.wire["seq"]) async for event in resumed.events()] == [("ready", 1), ("done", 2)]
    await gateway.close()


@pytest.mark.parametrize("turns", [(1, 1), (6, 1)])
@clocked
async def test_of_two_connections_that_resume_at_once_the_later_one_has_the_session(turns: tuple[int, int]) -> None:
    """In whichever order they learn it."""
    bus = MemoryBus()
    gateway = bus.gateway(SETTINGS)
    old = await gateway.open(SessionOptions())
    await old.write(SECOND)
    bus.attach_turns = list(turns)
    earlier, later = await asyncio.gather(*(gateway.resume(old.id, old.resume_token, 1) for _ in range(2)))
    assert (earlier.connection, later.connection) == (1, 2)
    assert [event.wire async for event in earlier.events()][-1]["code"] == "session_resumed"
    await gateway.close()
    assert (gateway.sessions, later.ended) == ({old.id: later}, False)


@clocked
async def test_only_a_session_of_this_token_that_was_not_cancelled_is_resumed() -> None:
    gateway = MemoryBus().gateway(SETTINGS)
    session = await gateway.open(SessionOptions())
    for session_id, token in ((session.id, "wrong"), ("other", session.resume_token)):
        with pytest.raises(SessionUnknownError):
            await gateway.resume(session_id, token, 0)
    await session.cancel()
    with pytest.raises(SessionExpiredError, match="cancelled"):
        await gateway.resume(session.id, session.resume_token, 0)


@clocked
async def test_options_are_checked_by_the_models_that_run() -> None:
    bus = MemoryBus()
    gateway = bus.gateway(SETTINGS)
    await gateway.check(SessionOptions(model=MODEL))
    with pytest.raises(InvalidFieldError, match="other"):
        await gateway.open(SessionOptions(model="other"))
    with pytest.raises(ModelUnavailableError, match="No worker of other"):
        await gateway.check(SessionOptions(model="other"))


@clocked
async def test_a_process_that_stops_detaches_its_sessions() -> None:
    bus = MemoryBus()
    gateway = bus.gateway(SETTINGS)
    session = await gateway.open(SessionOptions())
    gateway.detach_all()
    await gateway.close()
    assert (bus.held[session.id].controls, gateway.sessions, bus.erased) == (["detach"], {}, [])


@clocked
async def test_status_counts_sessions_and_slots() -> None:
    gateway = MemoryBus(slots=3).gateway(SETTINGS)
    await gateway.open(SessionOptions())
    status = await gateway.status()
    assert (status["sessions"], status["slots"], status["model_info"]["model"]) == (1, 3, MODEL)
