"""What operators and their tools see, with everything running and with parts of it missing."""

import json
import os
import re
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from redis import Redis
from websockets.sync.client import connect

from shared.version import VERSION
from tests.command import run
from tests.limits import limit_s
from tests.stack import Stack, listens, wait_until


@pytest.fixture
def bare_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A service of one's own, to take apart: Redis, a worker and the health server."""
    service = Stack(tmp_path_factory.mktemp("bare"), model={"slots": 1})
    try:
        service.spawn("redis")
        wait_until(lambda: listens(service.settings.redis.port), "Redis listens")
        service.spawn("worker")
        service.spawn("health")
        wait_until(service.is_ready, "the service is ready", 60, service.check_alive)
        yield service
    finally:
        for process in service.processes.values():
            process.send_signal(signal.SIGCONT)
        service.stop_all()


def test_health_says_the_process_is_alive(stack: Stack) -> None:
    status, answer = get_json(f"{stack.health_url}/health")
    assert status == 200
    assert answer["status"] == "ok"
    assert answer["version"] == VERSION
    assert answer["uptime_s"] > 0


def test_ready_counts_free_slots(stack: Stack) -> None:
    wait_until(stack.is_ready, "it is ready, and not overloaded by an earlier test")
    status, answer = get_json(f"{stack.health_url}/ready")
    assert (status, answer["status"]) == (200, "ready")
    assert 0 < answer["slots_free"] <= stack.settings.model.slots


def test_status_holds_everything(stack: Stack) -> None:
    with connect(stack.ws_url) as client:
        client.send(json.dumps({"type": "start", "sample_rate": 16000, "encoding": "pcm_s16le"}))
        client.send(bytes(32000))
        while json.loads(client.recv(timeout=limit_s(10)))["type"] != "partial":
            pass
        status: dict[str, Any] = {}

        def is_counted() -> bool:
            status.update(stack.status())
            is_counted = min(status["sessions"], status["connections"], status["slots_free"]) >= 1
            return is_counted and bool(status["latency_ms"]) and len(status["frontends"]) == 3

        wait_until(is_counted, "it is counted, its latency is known, and every process is reported")
    assert (status["status"], status["reason"], status["version"]) == ("ready", None, VERSION)
    slots = {"slots": status["slots"], "slots_free": status["slots_free"]}
    modes = ["transcribe", "understand", "general", "translate"]
    assert status["models"] == [{"model": "echo", "engine": "echo", "modes": modes, "workers": 1, **slots}]
    assert status["devices"] == ["cpu"]
    assert status["slots"] == stack.settings.model.slots
    assert status["slots_free"] <= status["slots"] - status["sessions"], "a session may have several slots"
    assert status["redis"]["answer_ms"] < 800
    assert set(status["latency_ms"]) == {"queue", "model", "total"}
    assert {frontend["kind"] for frontend in status["frontends"]} == {"websocket", "tcp", "web"}
    [worker] = status["workers"]
    assert worker["gpu_memory_used_bytes"] is None
    assert worker["rss_bytes"] > 1e6
    assert status["lag_ms"] >= 0
    assert status["settings"]["server"]["health_port"] == stack.settings.server.health_port


def test_status_counts_errors_by_code(stack: Stack) -> None:
    before = stack.status()["errors"]["by_code"].get("unknown_type", 0)
    with connect(stack.ws_url) as client:
        client.send('{"type": "nonsense"}')
        assert json.loads(client.recv(timeout=limit_s(10)))["code"] == "unknown_type"
    wait_until(lambda: stack.status()["errors"]["by_code"].get("unknown_type", 0) > before, "it is counted")


def test_metrics_are_prometheus_text(stack: Stack) -> None:
    stack.report()
    with urllib.request.urlopen(f"{stack.health_url}/metrics", timeout=limit_s(2)) as response:
        assert response.headers["content-type"].startswith("text/plain")
        lines = response.read().decode().splitlines()
    assert "voxtral_ready 1.0" in lines
    assert any(line.startswith("voxtral_worker_slots{") and line.endswith(" 32.0") for line in lines)
    assert any(line.startswith("voxtral_worker_step_seconds{") for line in lines)
    assert any(line.startswith("voxtral_frontend_connections{") and 'kind="tcp"' in line for line in lines)


def test_event_loops_of_workers_and_frontends_are_measured(stack: Stack) -> None:
    def measured() -> set[str]:
        with urllib.request.urlopen(f"{stack.health_url}/metrics", timeout=limit_s(2)) as response:
            text = response.read().decode()
        delays = re.findall(r'^voxtral_event_loop_delay_seconds{kind="(\w+)",.*} (.*)$', text, re.MULTILINE)
        return {kind for kind, delay_s in delays if float(delay_s) > 0}

    wait_until(lambda: measured() == {"worker", "websocket", "tcp", "web"}, "each loop has been late once", 30)


def test_ready_names_the_missing_worker(bare_stack: Stack) -> None:
    bare_stack.stop("worker")
    wait_until(lambda: not bare_stack.is_ready(), "it is not ready")
    assert _refusal(bare_stack) == "No worker is running with a warm model."
    bare_stack.spawn("worker")
    wait_until(bare_stack.is_ready, "it is ready again", 30)


def test_ready_notices_a_worker_that_died(bare_stack: Stack) -> None:
    bare_stack.stop("worker", signal.SIGKILL)
    wait_until(lambda: not bare_stack.is_ready(), "it is not ready", 6)


def test_ready_names_the_missing_redis_and_recovers(bare_stack: Stack) -> None:
    bare_stack.stop("redis")
    assert "Redis at redis://127.0.0.1:" in _refusal(bare_stack)
    assert get_json(f"{bare_stack.health_url}/health")[0] == 200
    status = bare_stack.status()
    assert (status["status"], status["redis"]["answer_ms"], status["workers"]) == ("not_ready", None, [])
    shown = run(bare_stack, "status").stdout
    assert "unknown while Redis does not answer" in shown
    assert "0 of 0" not in shown
    bare_stack.spawn("redis")
    wait_until(bare_stack.is_ready, "it is ready again", 30)


def test_everything_is_answered_within_a_second_while_redis_hangs(bare_stack: Stack) -> None:
    redis_group = bare_stack.processes["redis"].pid
    os.killpg(redis_group, signal.SIGSTOP)
    try:
        for path, expected in {"/health": 200, "/ready": 503, "/status": 200, "/metrics": 200}.items():
            started_s = time.monotonic()
            status, _ = get(f"{bare_stack.health_url}{path}")
            assert status == expected
            assert time.monotonic() - started_s < limit_s(1)
    finally:
        os.killpg(redis_group, signal.SIGCONT)
    wait_until(bare_stack.is_ready, "it is ready again", 30)


def test_ready_says_that_all_slots_are_taken(bare_stack: Stack) -> None:
    bare_stack.spawn("websocket")
    wait_until(lambda: listens(bare_stack.settings.websocket_port), "the WebSocket server listens", 30)
    with connect(bare_stack.ws_url) as client:
        client.send('{"type": "start"}')
        assert json.loads(client.recv(timeout=limit_s(10)))["type"] == "ready"
        wait_until(lambda: not bare_stack.is_ready(), "it is not ready")
        assert _refusal(bare_stack) == "All 1 slots are in use."
        client.send('{"type": "cancel"}')
        wait_until(bare_stack.is_ready, "it is ready again")


def test_each_model_has_slots_of_its_own(bare_stack: Stack) -> None:
    bare_stack.spawn("worker", "worker b", VOXTRAL_MODEL__NAME="echo:b")
    bare_stack.spawn("websocket")
    wait_until(lambda: len(bare_stack.status()["models"]) == 2, "both models run", 30)
    wait_until(lambda: listens(bare_stack.settings.websocket_port), "the WebSocket server listens", 30)
    with connect(bare_stack.ws_url) as client:
        client.send('{"type": "start", "model": "echo"}')
        assert json.loads(client.recv(timeout=limit_s(10)))["model"] == "echo"
        wait_until(lambda: [model["slots_free"] for model in bare_stack.status()["models"]] == [0, 1], "it is counted")
        assert get_json(f"{bare_stack.health_url}/ready") == (200, {"status": "ready", "slots_free": 1})
        shown = run(bare_stack, "status").stdout
    for expected in ("echo, echo:b on cpu", "1 (1 of 2 slots free)", "echo: transcribe", "(0 of 1 slots free)"):
        assert expected in shown


def test_status_shows_no_secret(bare_stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(Redis(port=bare_stack.settings.redis.port)) as redis:
        redis.acl_setuser(
            "somebody", enabled=True, passwords=["+hush"], categories=["+@all"], keys=["*"], channels=["*"]
        )
    bare_stack.stop("health")
    monkeypatch.setattr(
        type(bare_stack),
        "env",
        bare_stack.env
        | {
            "REDIS_URL": f"redis://somebody:hush@127.0.0.1:{bare_stack.settings.redis.port}/0",
            "VOXTRAL_FLOWER__BASIC_AUTH": "me:sesame",
        },
    )
    bare_stack.spawn("health")
    wait_until(lambda: listens(bare_stack.settings.server.health_port), "it listens", 30)
    status, text = get(f"{bare_stack.health_url}/status")
    assert status == 200
    assert "hush" not in text
    assert "sesame" not in text


def get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=limit_s(5)) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def get_json(url: str) -> tuple[int, dict]:
    status, text = get(url)
    return status, json.loads(text)


def _refusal(stack: Stack) -> str:
    status, answer = get_json(f"{stack.health_url}/ready")
    assert (status, answer["status"]) == (503, "not_ready")
    return answer["reason"]
