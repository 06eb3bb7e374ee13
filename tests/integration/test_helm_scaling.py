"""The autoscaling of the Helm chart: its query, evaluated by Prometheus on reports of workers, and its speed."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from frontend.monitoring.prometheus import prometheus_text
from shared.bus.registry import WorkerReport
from shared.config.settings import Settings
from tests.helm.chart import NAMESPACE, RELEASE, rendering
from tests.unit.reports import report

needs_prometheus = pytest.mark.skipif(
    not shutil.which("promtool"), reason="Prometheus is not installed (Debian and Ubuntu: apt install prometheus)"
)


@pytest.fixture
def scaled() -> dict[str, Any]:
    """What scales the workers."""
    spec: dict[str, Any] = rendering("everything").of("ScaledObject")[f"{RELEASE}-worker"]["spec"]
    return spec


@pytest.fixture
def trigger(scaled: dict[str, Any]) -> dict[str, Any]:
    [trigger] = scaled["triggers"]
    return dict(trigger)


def series(workers: list[WorkerReport], namespace: str = NAMESPACE, instances: int = 2) -> list[dict[str, str]]:
    """What Prometheus has scraped from several health processes of one namespace, as `promtool` reads it."""
    text = prometheus_text(workers, [], redis_up=True, ready=True, totals=None, own=[])
    found = []
    for family in text_string_to_metric_families(text.decode() if isinstance(text, bytes) else text):
        for sample in family.samples:
            if sample.name.startswith("voxtral_model_"):
                for instance in range(instances):
                    labels = {**sample.labels, "instance": str(instance), "namespace": namespace}
                    written = ",".join(f"{name}={json.dumps(value)}" for name, value in labels.items())
                    found.append({"series": f"{sample.name}{{{written}}}", "values": f"{sample.value:g}"})
    return found


def evaluated(query: str, cases: dict[str, tuple[list[dict[str, str]], float | None]], folder: Path) -> str:
    """What `promtool` complains about if this query has other values than these; None is no value."""
    tests = []
    for name, (given, value) in cases.items():
        samples = [] if value is None else [{"labels": "{}", "value": value}]
        expected = {"expr": query, "eval_time": "0m", "exp_samples": samples}
        tests.append({"name": name, "input_series": given, "promql_expr_test": [expected]})
    path = folder / "tests.json"  # JSON is YAML
    path.write_text(json.dumps({"tests": tests}))
    done = subprocess.run(["promtool", "test", "rules", path], capture_output=True, check=False, text=True)
    return "" if done.returncode == 0 else done.stdout + done.stderr


@needs_prometheus
def test_query_is_the_share_of_slots_in_use(trigger: dict[str, Any], tmp_path: Path) -> None:
    half = report("m", 1)
    cases = {
        "two of four slots, reported by two health processes": (series([half, report("m", 1, id="b")]), 0.5),
        "a draining worker offers no slots": (series([half, report("m", 2, id="b", draining=True)]), 0.5),
        "a worker that rejects sessions is full": (series([half, report("m", 0, id="b", overloaded=True)]), 0.75),
        "separate channels take more slots": (series([report("m", 1, slots=4, slots_used=3)]), 0.75),
        "another namespace does not count": (series([half]) + series([report("m", 2)], "other"), 0.5),
        "without a worker there is no value": (series([]), None),
    }
    assert evaluated(trigger["metadata"]["query"], cases, tmp_path) == ""
    assert "got" in evaluated(trigger["metadata"]["query"], {"wrong": (series([half]), 0.7)}, tmp_path)


def test_no_value_changes_nothing(scaled: dict[str, Any], trigger: dict[str, Any]) -> None:
    assert trigger["metadata"]["ignoreNullValues"] == "false", "else an outage of Prometheus would remove workers"
    assert scaled["minReplicaCount"] >= 1
    assert "replicas" not in rendering("everything").of("Deployment")[f"{RELEASE}-worker"]["spec"]
    assert scaled["scaleTargetRef"]["name"] in rendering("everything").of("Deployment")


def test_threshold_is_a_share_of_the_replicas(trigger: dict[str, Any]) -> None:
    """Kubernetes multiplies the ready replicas by value and threshold only for this type of metric."""
    assert trigger["metricType"] == "Value"
    assert 0 < float(trigger["metadata"]["threshold"]) < 1


def test_workers_leave_one_at_a_time_after_their_sessions_have_moved(scaled: dict[str, Any]) -> None:
    behaviour = scaled["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
    [policy] = behaviour["scaleDown"]["policies"]
    assert (policy["type"], policy["value"]) == ("Pods", 1)
    drain_s = 59.5  # of these values
    assert policy["periodSeconds"] > drain_s > Settings().session.drain_timeout_s
    assert behaviour["scaleDown"]["stabilizationWindowSeconds"] > policy["periodSeconds"]
    assert behaviour["scaleUp"]["stabilizationWindowSeconds"] == 0
