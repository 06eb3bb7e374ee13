"""One trace for each session, over the frontend, Redis, the worker and its engine, also if the worker dies."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Iterator

import pytest

from shared.config.sections import TracingSettings
from shared.session_options import SessionOptions
from shared.tracing import CLOSE_TIMEOUT_S, ROOT, Traces, span_id, trace_id
from tests.integration.collector import Collector, collecting
from tests.integration.workers import SECOND, Fleet, events_of, redis_alone, until
from tests.limits import limit_s
from tests.stack import Stack


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector


@pytest.fixture(scope="module")
def service(collector: Collector, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with redis_alone(
        tmp_path_factory.mktemp("traced"), tracing={"otlp_endpoint": collector.endpoint}, model={"slots": 2}
    ) as stack:
        yield stack


@pytest.fixture
async def fleet(service: Stack, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Fleet]:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")  # ms, instead of five seconds
    async with Fleet.of(service) as fleet:
        yield fleet


async def test_trace_of_a_session(fleet: Fleet, collector: Collector) -> None:
    await fleet.start("a")
    session = await fleet.gateway.open(SessionOptions(prompt="a secret of the user"))
    for _ in range(12):  # more than one segment
        await session.write(SECOND)
    await session.finish()
    events = await events_of(session)
    wanted = {
        "session": 1,
        "admit": 1,
        "claim": 1,
        "serve": 1,
        "final": 2,
        "queue": 2,
        "engine step": 2,
        "redis write": 2,
    }

    async def all_arrived() -> bool:
        return {name: len(collector.named(name)) for name in wanted} == wanted

    await until(all_arrived)
    assert {int.from_bytes(span.trace_id) for _, span in collector.spans} == {trace_id(session.id)}
    assert {service for service, _ in collector.spans} == {"voxtral-test", "voxtral-worker"}
    [root], [serve] = collector.named("session"), collector.named("serve")
    assert (int.from_bytes(root.span_id), root.parent_span_id) == (span_id(session.id, ROOT), b"")
    for name in ("admit", "claim", "serve"):
        assert [span.parent_span_id for span in collector.named(name)] == [root.span_id]
    finals = collector.named("final")
    assert {span.parent_span_id for span in finals} == {serve.span_id}
    for name in ("queue", "engine step", "redis write"):
        assert [span.parent_span_id for span in collector.named(name)] == [span.span_id for span in finals]
    for _, span in collector.spans:
        assert root.start_time_unix_nano <= span.start_time_unix_nano <= span.end_time_unix_nano
    shown = str(collector.spans)
    texts = [event["text"] for event in events if event["type"] == "final"]
    assert len(texts) == 2
    assert not [text for text in (*texts, "a secret of the user") if text in shown]


async def test_hung_collector_delays_no_session_and_no_stop() -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        traces = Traces.of(TracingSettings(otlp_endpoint=f"http://127.0.0.1:{deaf.getsockname()[1]}/v1/traces"), "web")
        assert traces is not None
        for number in range(3000):  # more than the queue of the exporter
            traces.record(f"s{number}", ROOT, 1.0, 2.0, unique=ROOT)
        await asyncio.wait_for(asyncio.to_thread(traces.close), limit_s(2 * CLOSE_TIMEOUT_S))
    for thread in [thread for thread in threading.enumerate() if thread.name == "close traces"]:
        thread.join(limit_s(30))
