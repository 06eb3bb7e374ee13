"""Speech that a model hears again is counted, and is no event of the session."""

from structlog.testing import capture_logs

from frontend.monitoring.prometheus import prometheus_text
from tests.unit.frontend.sessions.test_placement import report
from tests.unit.worker.test_session import claimed
from worker.engines.base import HeardAgain
from worker.runtime import WorkerRuntime
from worker.telemetry import Telemetry


def test_speech_that_is_heard_again_is_logged_and_counted() -> None:
    runtime = WorkerRuntime.__new__(WorkerRuntime)
    runtime._telemetry = Telemetry()
    with capture_logs() as logs:
        runtime._note_heard_again(claimed(), HeardAgain(16_000, 64_000))
    assert runtime._telemetry.heard_again_total == 1
    [log] = logs
    assert (log["event"], log["session_id"], log["from_s"], log["until_s"]) == ("speech_heard_again", "abc", 1.0, 4.0)
    session = claimed()
    before = session.seq
    session.take(HeardAgain(0, 1), 0, 0)
    assert session.seq == before


def test_metrics_count_it() -> None:
    text = prometheus_text([report("m", 0)], [], redis_up=True, ready=True).decode()
    assert 'voxtral_worker_heard_again_total{worker="m-0"} 0.0' in text
