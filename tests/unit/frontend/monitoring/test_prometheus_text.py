"""The text of `/metrics`, read by the parser of Prometheus' client library."""

from dataclasses import replace

from prometheus_client.parser import text_string_to_metric_families

from frontend.monitoring.monotone import Monotone
from frontend.monitoring.prometheus import prometheus_text
from frontend.monitoring.status import Snapshot
from shared.metrics.families import AUDIO, ERRORS, STEP
from shared.metrics.metrics import Metrics
from shared.protocol import Protocol
from tests.unit.reports import report

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def samples(text: bytes) -> Samples:
    """By name and sorted labels."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def test_buckets_are_cumulative() -> None:
    metrics = Metrics()
    for value in (0.001, 0.03, 0.03, 99.0):
        metrics.histogram(STEP, "m").observe(value)
    found = samples(prometheus_text([], [], redis_up=True, ready=True, totals=metrics.take()))
    buckets = [
        found["voxtral_step_seconds_bucket", (("le", le), ("model", "m"))]
        for le in ("0.001", "0.02", "0.03", "5.0", "+Inf")
    ]
    assert buckets == [1, 1, 3, 3, 4]
    assert found["voxtral_step_seconds_count", (("model", "m"),)] == 4
    assert found["voxtral_step_seconds_sum", (("model", "m"),)] == 99.061


def test_fields_of_other_versions_do_no_harm() -> None:
    totals = {
        b'["voxtral_step_seconds","m",0.07]': 2.0,
        b'["voxtral_step_seconds","m","sum"]': 0.13,
        b'["voxtral_step_seconds","m","another label",0.07]': 2.0,
        b'["voxtral_later_total","m"]': 1.0,
    }
    found = samples(prometheus_text([], [], redis_up=True, ready=True, totals=totals))
    assert found["voxtral_step_seconds_bucket", (("le", "0.06"), ("model", "m"))] == 0
    assert found["voxtral_step_seconds_bucket", (("le", "0.08"), ("model", "m"))] == 2
    assert not [name for name, _ in found if "later" in name]


def test_every_error_begins_at_zero_so_that_the_first_one_is_an_increase() -> None:
    metrics = Metrics()
    metrics.counter(ERRORS, "rate_limited").add(2)
    found = samples(prometheus_text([], [], redis_up=True, ready=True, totals=metrics.take()))
    assert found["voxtral_errors_total", (("code", "internal_error"),)] == 0
    assert found["voxtral_errors_total", (("code", "rate_limited"),)] == 2


def test_counters_are_absent_while_redis_does_not_answer() -> None:
    """Zeros would be a fall to Prometheus."""
    found = samples(prometheus_text([], [], redis_up=False, ready=False, totals=None))
    assert not [name for name, _ in found if name.startswith((ERRORS.name, AUDIO.name))]


def test_slots_of_a_model_over_its_workers() -> None:
    workers = [
        report("m", 1),
        report("m", 2, draining=True),
        report("m", 0, overloaded=True),
        report("n", 1, slots=4, slots_used=3),  # of three channels
        report("n", 2, slots=8, protocol=Protocol(9, 9)),  # of a version that this one cannot use
    ]
    found = samples(prometheus_text(workers, [], redis_up=True, ready=True))
    shown = {
        (name.removeprefix("voxtral_model_slots"), dict(labels)["model"]): value
        for (name, labels), value in found.items()
        if name.startswith("voxtral_model_slots")
    }
    assert shown == {
        ("", "m"): 4,
        ("_used", "m"): 3,
        ("_free", "m"): 1,
        ("", "n"): 4,
        ("_used", "n"): 5,
        ("_free", "n"): 1,
    }
    snapshot = Snapshot(1.0, None, workers, [])
    assert (snapshot.slots, snapshot.slots_free) == (8, 2), "the same for /ready and /status"


def test_process_metrics_have_the_id_and_the_kind() -> None:
    used = {"process_cpu_seconds": 1.5, "process_open_fds": 7}
    worker = report("m", 0, resources=used, started_at=5.0, event_loop_delay_ms=250.0)
    older = report("n", 0)
    found = samples(prometheus_text([worker, older], [], redis_up=True, ready=True))
    labels = (("kind", "worker"), ("process", "m-0"))
    assert found["process_cpu_seconds_total", labels] == 1.5
    assert found["process_open_fds", labels] == 7
    assert found["process_start_time_seconds", labels] == 5.0
    assert found["voxtral_event_loop_delay_seconds", labels] == 0.25
    assert ("process_cpu_seconds_total", (("kind", "worker"), ("process", "n-0"))) not in found


def test_older_heartbeat_does_not_replace_a_newer_one() -> None:
    monotone = Monotone()
    newer = report("m", 0, sessions_total=9, resources={"process_cpu_seconds": 2.0})
    older = replace(newer, sessions_total=8, resources={"process_cpu_seconds": 1.0})
    monotone.newest(Snapshot(1.0, None, [newer], []))
    monotone.newest(Snapshot(None, None, [], []))
    assert monotone.newest(Snapshot(1.0, None, [older], [])).workers == [newer]
    latest = replace(newer, sessions_total=10)
    assert monotone.newest(Snapshot(1.0, None, [latest], [])).workers == [latest]
    assert monotone.newest(Snapshot(1.0, None, [], [])).workers == []
