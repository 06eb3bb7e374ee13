"""What a worker counts and measures: passes and steps, and speech that a model hears again, which is no event."""

import time

import orjson
import pytest
from structlog.testing import capture_logs

from frontend.monitoring.prometheus import prometheus_text
from shared.bus.registry import Percentiles
from shared.errors import ModelUnavailableError
from shared.events import Latency
from shared.metrics.families import EVENT_LATENCY, FINAL_DELAY, FIRST_WORD, SESSION, STEP, Family
from shared.session_options import SessionOptions
from tests.unit.reports import report
from tests.unit.worker.claimed_sessions import claimed
from worker.commitment import Commitment
from worker.engine_thread import StepReport
from worker.engines.base import Final, Finished, HeardAgain, Partial, PassTime
from worker.publishing import Publisher
from worker.telemetry import Telemetry
from worker.tracing import WorkerTraces


def test_speech_that_is_heard_again_is_logged_and_counted() -> None:
    telemetry = Telemetry()
    publisher = Publisher(telemetry, WorkerTraces(None, "w1"), mark=lambda _session: None)
    with capture_logs() as logs:
        publisher.publish(claimed("abc"), HeardAgain(16_000, 64_000), "abc/1", started_ms=0.0, step_ms=1.0)
    assert telemetry.heard_again_total == 1
    [log] = logs
    assert (log["event"], log["session_id"], log["from_s"], log["until_s"]) == ("speech_heard_again", "abc", 1.0, 4.0)
    session = claimed("abc")
    before = session.seq
    session.take(HeardAgain(0, 1), 0, 0)
    assert session.seq == before


@pytest.mark.parametrize("partials", [True, False])
def test_texts_of_live_sessions_are_measured_and_those_of_recordings_are_not(partials: bool) -> None:
    text = Final(0, "a", 0, 15_000, 16_000, 16_000, (), None, 1.0)
    for recording, counted in ((True, 0), (False, 1)):
        telemetry = Telemetry(model="echo")
        session = claimed(options=SessionOptions(recording=recording, partials=partials))
        session.arrived(16_000, time.time() * 1000, 0.0)
        publisher = Publisher(telemetry, WorkerTraces(None, "w1"), mark=lambda _session: None)
        publisher.publish(session, text, "s1", started_ms=time.time() * 1000, step_ms=1.0)
        increments = telemetry.metrics.take()
        for family in (EVENT_LATENCY, FIRST_WORD, FINAL_DELAY):
            assert any(orjson.loads(field)[0] == family.name for field in increments) == counted


def test_metrics_count_it() -> None:
    text = prometheus_text([report("m", 0)], [], redis_up=True, ready=True).decode()
    assert 'voxtral_worker_heard_again_total{worker="m-0"} 0.0' in text


def test_passes_of_a_paced_engine_count_though_they_say_nothing() -> None:
    telemetry = Telemetry(80.0)
    for passes in ([PassTime(20.0, 3)], [], [PassTime(40.0, 5)]):
        telemetry.observe_step(StepReport([], {}, 0.0, 90.0, 0, 0.08, passes), 5.0)
    assert (telemetry.step(5.0).p50, telemetry.step(5.0).p95) == (20.0, 40.0)
    assert telemetry.take_interval()[1] == 4.0, "the mean of three and five sessions"


def test_silent_steps_count_as_busy() -> None:
    telemetry = Telemetry()
    telemetry.observe_step(StepReport([], {}, 0.0, 100.0, 0, 1.0, silent_ms=300.0), 5.0)
    assert telemetry.take_interval()[0] == pytest.approx(0.4)


def test_other_engines_count_steps_that_say_something() -> None:
    telemetry = Telemetry()
    telemetry.observe_step(StepReport([], {}, 0.0, 90.0, 0, 0.08), 5.0)
    telemetry.observe_step(StepReport([("a", Finished())], {}, 0.0, 30.0, 1, 0.08), 5.0)
    assert (telemetry.step(5.0).p50, telemetry.take_interval()[1]) == (30.0, 1.0)


def observed(telemetry: Telemetry, family: Family) -> dict[str, float]:
    """The increments of a family of one series, by place."""
    fields = [(orjson.loads(field), count) for field, count in telemetry.metrics.take().items()]
    return {str(name[-1]): count for name, count in fields if name[0] == family.name}


def test_first_word_of_a_segment_is_measured_once() -> None:
    telemetry, session = Telemetry(model="echo"), claimed()
    session.arrived(16_000, 1_000.0, 0.0)
    session.arrived(32_000, 2_000.0, 0.0)
    for text, now_ms in (("", 2_100.0), ("a", 2_200.0), ("a b", 2_900.0)):
        telemetry.observe_text(session, Partial(0, text, 20_000, 32_000, 1.0), now_ms)
    telemetry.observe_text(session, Final(0, "a b", 20_000, 30_000, 32_000, 32_000, (), None, 1.0), 3_000.0)
    assert observed(telemetry, FIRST_WORD) == {"0.2": 1, "sum": pytest.approx(0.2)}


def test_final_is_measured_from_the_last_sound() -> None:
    telemetry, session = Telemetry(model="echo"), claimed()
    session.arrived(16_000, 1_000.0, 0.0)
    session.arrived(32_000, 2_000.0, 0.0)
    telemetry.observe_text(session, Final(0, "a", 1_000, 15_000, 32_000, 32_000, (), None, 1.0), 2_300.0)
    assert observed(telemetry, FINAL_DELAY) == {"1.5": 1, "sum": pytest.approx(1.3)}


def test_segment_of_which_a_former_owner_may_have_written_a_text_has_had_its_first_word() -> None:
    session = claimed(segment=2, seq=9, committed=Commitment(2))
    assert not session.is_first_text(2)
    assert session.is_first_text(3)
    assert claimed(committed=Commitment(0)).is_first_text(0)


def test_text_of_audio_without_a_known_arrival_is_not_measured() -> None:
    telemetry = Telemetry(model="echo")
    telemetry.observe_text(claimed(), Partial(0, "a", 0, 16_000, 1.0), 1_000.0)
    assert telemetry.metrics.take() == {}


def test_length_of_a_session_is_measured_when_it_ends() -> None:
    telemetry, session = Telemetry(model="echo"), claimed()
    session.arrived(40 * 16_000, 0.0, 0.0)
    telemetry.observe_end(session)
    assert telemetry.metrics.take() == {}, "another worker has it"
    session.fail(ModelUnavailableError("gone"))
    telemetry.observe_end(session)
    assert {tuple(orjson.loads(field)): count for field, count in telemetry.metrics.take().items()} == {
        (SESSION.name, "echo", "live", "failed", 60.0): 1,
        (SESSION.name, "echo", "live", "failed", "sum"): 40.0,
    }


def test_percentiles_are_those_of_the_last_minute() -> None:
    telemetry = Telemetry(model="echo")
    assert (telemetry.latency(0.0), telemetry.step(0.0)) == ({}, Percentiles())
    telemetry.observe_latency(Latency(queue_ms=9000.0, model_ms=30.0, total_ms=9100.0), 10.0)
    telemetry.observe_latency(Latency(queue_ms=20.0, model_ms=30.0, total_ms=60.0), 60.0)
    telemetry.observe_step(StepReport([("a", Finished())], {}, 0.0, 30.0, 1, 0.08), 60.0)
    assert telemetry.latency(70.0)["queue"] == Percentiles(20.0, 9000.0, 9000.0)
    assert telemetry.latency(70.1)["queue"] == Percentiles(20.0, 20.0, 20.0)
    assert telemetry.step(70.1) == Percentiles(30.0, 30.0, 30.0)
    assert (telemetry.latency(120.1), telemetry.step(120.1)) == ({}, Percentiles())


def test_latency_and_steps_are_in_histograms_of_the_model() -> None:
    telemetry = Telemetry(model="echo")
    telemetry.observe_latency(Latency(queue_ms=20.0, model_ms=30.0, total_ms=60.0), 5.0)
    telemetry.observe_step(StepReport([("a", Finished())], {}, 0.0, 30.0, 1, 0.08), 5.0)
    assert {tuple(orjson.loads(field)) for field in telemetry.metrics.take()} == {
        *((EVENT_LATENCY.name, stage, "echo", bound) for stage, bound in (("queue", 0.025), ("model", 0.05))),
        (EVENT_LATENCY.name, "total", "echo", 0.075),
        *((EVENT_LATENCY.name, stage, "echo", "sum") for stage in ("queue", "model", "total")),
        (STEP.name, "echo", 0.03),
        (STEP.name, "echo", "sum"),
    }
