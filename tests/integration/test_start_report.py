"""What is reported about a worker whose model is not warm yet."""

from frontend.cli.checks.check import State
from frontend.cli.checks.machine import check_model
from frontend.monitoring.status import Snapshot
from shared.bus.registry import StartReport
from shared.config.settings import Settings
from tests.stack import Stack, free_ports, wait_until
from worker.progress import Phase, Starting
from worker.start_report import StartReporter

GB = 10**9


def test_start_is_reported_until_the_model_is_warm(stack: Stack) -> None:
    starting, done = Starting(), [GB]
    with StartReporter(stack.settings, starting):
        starting.begin(Phase.DOWNLOAD, "a/model", total=9 * GB, measure=lambda: done[0])
        wait_until(lambda: _doing(stack) == ["is downloading a/model: 1.00 of 9.00 GB"], "the download is reported")
        done[0] = 4 * GB
        wait_until(lambda: _doing(stack) == ["is downloading a/model: 4.00 of 9.00 GB"], "it moves on")
        model = stack.settings.model.model_copy(update={"name": "a/model"})
        [check] = check_model(stack.settings.model_copy(update={"model": model}))
        assert (check.state, check.detail) == (State.ABSENT, "a worker is downloading a/model: 4.00 of 9.00 GB")
        starting.begin(Phase.LOAD, "a/model")
        starting.recorded(12, 36)
        wait_until(lambda: _doing(stack) == ["is recording the passes of a/model: 12 of 36"], "recording is reported")
        starting.recorded(36, 36)
        wait_until(lambda: _doing(stack) == ["is warming a/model up"], "the end is reported")
    wait_until(lambda: _doing(stack) == [], "nothing is reported any more")


def test_running_model_is_not_loaded_by_the_doctor(stack: Stack) -> None:
    [check] = check_model(stack.settings)
    assert check.state is State.OK
    assert f"echo on cpu (none), {stack.settings.model.slots} slots, runs on " in check.detail


def test_ready_says_what_a_worker_is_doing() -> None:
    start = StartReport("1", "a/model", "download", "is downloading a/model: 1.00 of 9.00 GB")
    snapshot = Snapshot(0.1, None, [], [], [start])
    said = "No worker is running with a warm model. One is downloading a/model: 1.00 of 9.00 GB."
    assert snapshot.obstacle(Settings()) == said


def test_start_without_redis_is_no_error() -> None:
    (port,) = free_ports(1)
    starting = Starting()
    with StartReporter(Settings(redis={"port": port}), starting) as reporter:  # type: ignore[arg-type]
        starting.begin(Phase.WARM, "a/model")
        wait_until(lambda: reporter._phase is Phase.WARM, "it has been tried")
    assert not reporter._thread.is_alive()


def _doing(stack: Stack) -> list[str]:
    return [start["doing"] for start in stack.status()["starting"]]
