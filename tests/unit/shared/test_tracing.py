"""Spans of a session have the ids that every process derives from the session's id."""

import sys

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from shared.bus.ownership import Owner
from shared.config.sections import TracingSettings
from shared.config.settings import Settings
from shared.errors import StartupError
from shared.tracing import ROOT, Traces, span_id, trace_id
from tests.unit.worker.claimed_sessions import claimed
from worker.engine_thread import StepReport
from worker.engines.base import Final
from worker.tracing import WorkerTraces


def test_tracing_is_off_and_imports_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    assert Traces.of(Settings().tracing, "web") is None


def test_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(StartupError, match=r"install --editable '.\[otel\]'"):
        Traces.of(TracingSettings(otlp_endpoint="http://127.0.0.1:4318/v1/traces"), "web")


def test_workers_that_follow_each_other_record_into_one_trace() -> None:
    spans = []
    for worker, fence in (("a", 1), ("b", 2)):
        exporter = InMemorySpanExporter()
        session = claimed("s1", owner=Owner("s1", "echo", worker, fence))
        traces = WorkerTraces(Traces(exporter, process="worker", sample_ratio=1.0), worker)
        traces.began(session)
        report = StepReport([], {}, 1000.0, 20.0, 1, 1.0)
        traces.text(
            session, Final(0, "hello", 0, 16_000, 16_000, 16_000, (), None, 1.0), report.started_s, report.step_ms
        )
        traces.written(session, 1)
        traces.ended(session)
        traces.close()
        spans += exporter.get_finished_spans()
    assert {span.context.trace_id for span in spans} == {trace_id("s1")}
    serving = {span.attributes["voxtral.worker"]: span for span in spans if span.name == "serve"}
    assert {span.parent.span_id for span in serving.values()} == {span_id("s1", ROOT)}
    assert [span.parent.span_id for span in spans if span.name == "final"] == [
        serving[worker].context.span_id for worker in ("a", "b")
    ]
    [step, _] = [span for span in spans if span.name == "engine step"]
    assert step.end_time - step.start_time == 20_000_000
    assert "hello" not in str([span.to_json() for span in spans])


def test_sampled_sessions_are_the_same_in_every_process() -> None:
    found = []
    for _ in range(2):
        exporter = InMemorySpanExporter()
        traces = Traces(exporter, process="web", sample_ratio=0.5)
        for number in range(40):
            traces.record(f"s{number}", ROOT, 1.0, 2.0, unique=ROOT)
            traces.record(f"s{number}", "admit", 1.0, 2.0, parent=ROOT)
        traces.close()
        found.append([(span.name, span.context.trace_id) for span in exporter.get_finished_spans()])
    assert found[0] == found[1]
    assert 0 < len(found[0]) < 80
    assert len({one for _, one in found[0]}) * 2 == len(found[0]), "the spans of a session are sampled together"
