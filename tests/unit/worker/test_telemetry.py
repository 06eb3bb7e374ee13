"""What a worker counts and measures: passes and steps, and speech that a model hears again, which is no event."""

from structlog.testing import capture_logs

from frontend.monitoring.prometheus import prometheus_text
from tests.unit.reports import report
from tests.unit.worker.claimed_sessions import claimed
from worker.engine_thread import StepReport
from worker.engines.base import Finished, HeardAgain, PassTime
from worker.runtime import WorkerRuntime
from worker.telemetry import Telemetry


def test_speech_that_is_heard_again_is_logged_and_counted() -> None:
    runtime = WorkerRuntime.__new__(WorkerRuntime)
    runtime._telemetry = Telemetry()
    with capture_logs() as logs:
        runtime._note_heard_again(claimed("abc"), HeardAgain(16_000, 64_000))
    assert runtime._telemetry.heard_again_total == 1
    [log] = logs
    assert (log["event"], log["session_id"], log["from_s"], log["until_s"]) == ("speech_heard_again", "abc", 1.0, 4.0)
    session = claimed("abc")
    before = session.seq
    session.take(HeardAgain(0, 1), 0, 0)
    assert session.seq == before


def test_metrics_count_it() -> None:
    text = prometheus_text([report("m", 0)], [], redis_up=True, ready=True).decode()
    assert 'voxtral_worker_heard_again_total{worker="m-0"} 0.0' in text


def test_passes_of_a_paced_engine_count_though_they_say_nothing() -> None:
    telemetry = Telemetry(80.0)
    for passes in ([PassTime(20.0, 3)], [], [PassTime(40.0, 5)]):
        telemetry.observe_step(StepReport([], {}, 0.0, 90.0, 0, 0.08, passes), 5.0)
    assert (telemetry.step().p50, telemetry.step().p95) == (40.0, 40.0)
    assert telemetry.take_interval()[1] == 4.0, "the mean of three and five sessions"


def test_other_engines_count_steps_that_say_something() -> None:
    telemetry = Telemetry()
    telemetry.observe_step(StepReport([], {}, 0.0, 90.0, 0, 0.08), 5.0)
    telemetry.observe_step(StepReport([("a", Finished())], {}, 0.0, 30.0, 1, 0.08), 5.0)
    assert (telemetry.step().p50, telemetry.take_interval()[1]) == (30.0, 1.0)
