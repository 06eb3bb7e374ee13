"""Debian's Prometheus scrapes a running service: the conventions of `/metrics`, the alert rules, and the dashboard."""

import json
import re
import shutil
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
import yaml
from websockets.sync.client import connect

from tests.integration.api_clients import openai_of, wav_of
from tests.limits import limit_s
from tests.stack import PROJECT, Stack, free_ports, http_status, wait_until

GRAFANA: Final = PROJECT / "compose" / "grafana"
ALERT_TESTS: Final = Path(__file__).parent / "alert_tests.yaml"
DASHBOARD: Final[dict[str, Any]] = json.loads((GRAFANA / "dashboard.json").read_text())
VARIABLES: Final = {"$__rate_interval": "10s", "$__range": "1m", "$model": ".*", "$key": ".*"}
needs_prometheus = pytest.mark.skipif(
    not shutil.which("prometheus"), reason="Prometheus is not installed (Debian and Ubuntu: apt install prometheus)"
)
NO_GPU: Final = "voxtral_worker_gpu_memory_"


class Prometheus:
    """The server, with its HTTP API."""

    def __init__(self, url: str) -> None:
        self._url = url

    def get(self, path: str, **query: str) -> Any:
        """The `data` of an answer; fails with Prometheus' own message if it rejects the request."""
        address = f"{self._url}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        try:
            with urllib.request.urlopen(address, timeout=limit_s(5)) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            with error:
                pytest.fail(f"{query}: {error.read().decode()}")

    def has_result(self, expression: str) -> bool:
        return bool(self.get("query", query=expression)["result"])


@pytest.fixture(scope="module")
def prometheus(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """Runs with our scrape configuration, on the stack, each second; two addresses stand for two health processes."""
    folder = tmp_path_factory.mktemp("prometheus")
    config = yaml.safe_load((GRAFANA / "prometheus.yaml").read_text())
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["rule_files"] = [str(GRAFANA / name) for name in config["rule_files"]]
    [job] = config["scrape_configs"]
    target = stack.health_url.removeprefix("http://")
    job["static_configs"] = [{"targets": [target, target.replace("127.0.0.1", "localhost")]}]
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(config))
    address = f"127.0.0.1:{free_ports(1)[0]}"
    command = ["prometheus", f"--config.file={folder}/prometheus.yaml", f"--storage.tsdb.path={folder}/data"]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen([*command, f"--web.listen-address={address}"], stdout=log, stderr=log)
    try:
        wait_until(lambda: http_status(f"http://{address}/-/ready") == 200, "Prometheus is ready", 30, pause_s=0.1)
        yield Prometheus(f"http://{address}")
    finally:
        server.terminate()
        server.wait()


def queries() -> list[str]:
    """All expressions of the dashboard, with values for its variables."""
    found = []
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            expression = target["expr"]
            for variable, value in VARIABLES.items():
                expression = expression.replace(variable, value)
            found.append(expression)
    return found


def use(stack: Stack) -> None:
    """A live session, a recording, and an error."""
    with connect(stack.ws_url) as client:
        client.send('{"type": "nonsense"}')
        client.send('{"type": "start", "sample_rate": 16000, "encoding": "pcm_s16le"}')
        client.send(bytes(32_000))
        client.send('{"type": "stop"}')
        while json.loads(client.recv(timeout=limit_s(10)))["type"] != "done":
            pass
    with openai_of(stack) as client:
        client.audio.transcriptions.create(model="echo", file=("a.wav", wav_of(np.zeros(16_000, np.float32))))


def metrics_of(stack: Stack) -> bytes:
    with urllib.request.urlopen(f"{stack.health_url}/metrics", timeout=limit_s(5)) as answer:
        text: bytes = answer.read()
        return text


@needs_prometheus
def test_dashboard_and_alerts_are_evaluated_on_a_running_service(stack: Stack, prometheus: Prometheus) -> None:
    missing = queries()
    assert len(missing) > 35

    def all_have_results() -> bool:
        use(stack)
        missing[:] = [one for one in missing if not prometheus.has_result(one) and NO_GPU not in one]
        return not missing

    try:
        wait_until(all_have_results, "each query of the dashboard has a result", 30, pause_s=0.5)
    except AssertionError:
        pytest.fail(f"These have no result: {missing}")
    for variable in DASHBOARD["templating"]["list"]:
        if variable["type"] == "query":
            metric, label = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["definition"]).groups()  # type: ignore[union-attr]
            assert prometheus.get(f"label/{label}/values", **{"match[]": metric}), variable["definition"]
    targets = prometheus.get("targets")["activeTargets"]
    assert [(target["health"], target["lastError"]) for target in targets] == [("up", "")] * 2
    rules = [rule for group in prometheus.get("rules")["groups"] for rule in group["rules"]]
    assert [rule["name"] for rule in rules if rule["health"] != "ok" or rule.get("lastError")] == []


@needs_prometheus
def test_several_health_processes_count_nothing_twice(stack: Stack, prometheus: Prometheus) -> None:
    [free] = [query for query in queries() if "sum(" in query and "slots_free" in query]
    [connected] = [query for query in queries() if "frontend_connections" in query]

    def value(query: str) -> float:
        return sum(float(series["value"][1]) for series in prometheus.get("query", query=query)["result"])

    def one_is_connected() -> bool:
        both = prometheus.get("query", query="voxtral_model_slots_free")["result"]
        return (len(both), value(free), value(connected)) == (2, stack.settings.model.slots, 1)

    with connect(stack.ws_url):
        wait_until(one_is_connected, "each slot and connection is counted once", 30, pause_s=0.5)


@needs_prometheus
def test_names_and_types_of_a_running_service_follow_the_conventions(stack: Stack) -> None:
    use(stack)
    wait_until(lambda: b"voxtral_upload_real_time_factor_sum" in metrics_of(stack), "the recording is counted")
    promtool = subprocess.run(
        ["promtool", "check", "metrics"], input=metrics_of(stack), capture_output=True, check=False
    )
    assert (promtool.returncode, promtool.stdout + promtool.stderr) == (0, b"")


def test_routes_are_templates(stack: Stack) -> None:
    http_status(f"{stack.web_url}/v1/sessions/no-such-session/transcript.txt")
    wanted = (
        b'voxtral_http_requests_total{method="GET",route="/v1/sessions/{session_id}/transcript.{form}"',
        b'voxtral_http_requests_total{method="POST",route="/v1/audio/transcriptions",status="200"}',
    )
    use(stack)
    wait_until(lambda: all(name in metrics_of(stack) for name in wanted), "the requests are counted by route")
    assert b"no-such-session" not in metrics_of(stack)


@needs_prometheus
def test_alerts_are_raised_when_they_should_be(tmp_path: Path) -> None:
    tests = tmp_path / "tests.yaml"
    tests.write_text(ALERT_TESTS.read_text().replace("ALERTS", str(GRAFANA / "alerts.yaml")))
    promtool = subprocess.run(["promtool", "test", "rules", tests], capture_output=True, check=False, text=True)
    assert promtool.returncode == 0, promtool.stdout + promtool.stderr


def test_each_alert_has_a_test_that_raises_it() -> None:
    rules = yaml.safe_load((GRAFANA / "alerts.yaml").read_text())["groups"][0]["rules"]
    tests = yaml.safe_load(ALERT_TESTS.read_text())["tests"]
    raised = {one["alertname"] for test in tests for one in test["alert_rule_test"] if one.get("exp_alerts")}
    assert raised == {rule["alert"] for rule in rules}
    quiet = {one["alertname"] for one in tests[0]["alert_rule_test"]}
    assert quiet == raised


def test_panels_have_a_description_and_ids_of_their_own() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert [panel["title"] for panel in panels if panel["type"] != "row" and not panel["description"]] == []


def test_queries_use_metrics_that_exist_and_are_not_deprecated(stack: Stack) -> None:
    text = metrics_of(stack).decode()
    deprecated = set(re.findall(r"^# HELP (\w+) Deprecated", text, re.MULTILINE))
    exposed = set(re.findall(r"^# TYPE (\w+)", text, re.MULTILINE)) - deprecated
    used = set(re.findall(r"\b(?:voxtral|process)_\w+", " ".join(queries()) + (GRAFANA / "alerts.yaml").read_text()))
    used = {re.sub(r"_(bucket|sum|count)$", "", name) for name in used}
    assert used <= exposed
    assert deprecated
