"""The operators' page: what it shows, who may see it, and what operators can request."""

import json
import signal
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest
from redis import Redis
from websockets.sync.client import ClientConnection, connect

from shared.bus import keys
from shared.celery_config import celery_app
from tests.keys import KeyList
from tests.limits import limit_s
from tests.stack import Stack, listens, wait_until


def ask(url: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, Any]]:
    """Status and JSON. `headers` have `_` for `-`."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(url, method=method, headers=named)
    try:
        with urllib.request.urlopen(request, timeout=limit_s(10)) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


@contextmanager
def session(stack: Stack, key: str | None = None) -> Iterator[tuple[ClientConnection, str]]:
    """A live session, and its id."""
    with connect(stack.ws_url, additional_headers=bearer(key) if key else {}) as client:
        client.send(json.dumps({"type": "start", "sample_rate": 16000, "encoding": "pcm_s16le", "language": "de"}))
        client.send(bytes(32000))
        event = json.loads(client.recv(timeout=limit_s(10)))
        while event["type"] != "ready":
            event = json.loads(client.recv(timeout=limit_s(10)))
        yield client, event["session_id"]


def shown(stack: Stack, session_id: str, **headers: str) -> dict[str, Any] | None:
    state = ask(f"{stack.health_url}/operator/state", **headers)[1]
    return next((one for one in state["sessions"] if one["id"] == session_id), None)


def slots_used(stack: Stack, worker_id: str) -> int:
    state = ask(f"{stack.health_url}/operator/state")[1]
    return next((int(worker["slots_used"]) for worker in state["workers"] if worker["id"] == worker_id), 0)


def test_task_of_a_live_session_names_its_key_model_and_language(keyed_stack: Stack, key_list: KeyList) -> None:
    with session(keyed_stack, key_list.keys["anna"]) as (_, session_id), celery_app(keyed_stack.settings) as app:
        active = app.control.inspect(timeout=limit_s(3), limit=1).active()
        (task,) = (task for tasks in active.values() for task in tasks if task["id"] == session_id)
    assert (task["name"], task["kwargs"]["key"]) == ("voxtral.session", "anna")
    assert (task["kwargs"]["options"]["model"], task["kwargs"]["options"]["language"]) == ("echo", "de")


def test_page_shows_sessions_and_workers_but_changes_nothing_without_keys(stack: Stack) -> None:
    with session(stack) as (_, session_id):
        wait_until(lambda: shown(stack, session_id), "the session is shown")
        one = shown(stack, session_id)
        assert one is not None
        assert (one["model"], one["language"], one["recording"]) == ("echo", "de", False)
        assert one["age_s"] >= 0
        status, state = ask(f"{stack.health_url}/operator/state")
        assert (status, state["can_change"]) == (200, False)
        worker = next(worker for worker in state["workers"] if worker["id"] == one["worker"])
        wait_until(lambda: slots_used(stack, worker["id"]) >= 1, "its slot is shown with the next heartbeat")
        assert worker["gone_s"] is None
        assert set(worker["step_ms"]) == {"p50", "p99"}
        for method, path in (("DELETE", f"sessions/{session_id}"), ("POST", f"workers/{worker['id']}/drain")):
            status, answer = ask(f"{stack.health_url}/operator/{path}", method)
            assert status == 403
            assert "operator: true" in answer["detail"]


def test_page_runs_no_foreign_code_and_cannot_be_framed(stack: Stack) -> None:
    with urllib.request.urlopen(f"{stack.health_url}/", timeout=limit_s(10)) as page:
        policy = page.headers["content-security-policy"]
        assert page.headers.get_content_type() == "text/html"
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy


def test_page_has_the_colours_of_the_web_page(stack: Stack) -> None:
    served = []
    for url in (f"{stack.web_url}/colours.css", f"{stack.health_url}/operator/colours.css"):
        with urllib.request.urlopen(url, timeout=limit_s(10)) as colours:
            assert colours.headers.get_content_type() == "text/css"
            served.append(colours.read())
    assert served[0] == served[1]


def test_state_needs_an_operators_key_if_keys_are_on(keyed_stack: Stack, key_list: KeyList) -> None:
    url = f"{keyed_stack.health_url}/operator/state"
    assert ask(url)[0] == 401
    assert ask(url, **bearer("vox_wrong"))[0] == 401
    status, answer = ask(url, **bearer(key_list.keys["anna"]))
    assert status == 403
    assert "anna" in answer["detail"]
    status, state = ask(url, **bearer(key_list.keys["operating"]))
    assert (status, state["can_change"]) == (200, True)


def test_other_sites_can_send_no_request(keyed_stack: Stack, key_list: KeyList) -> None:
    held = bearer(key_list.keys["operating"])
    url = f"{keyed_stack.health_url}/operator/workers/any/drain"
    assert ask(url, "POST", origin="https://evil.example", **held)[0] == 403
    assert ask(url, "POST", cookie=f"key={key_list.keys['operating']}")[0] == 401
    assert ask(url, "POST", **held)[0] == 404


def test_operator_ends_a_session_and_its_text_stays(keyed_stack: Stack, key_list: KeyList) -> None:
    held = bearer(key_list.keys["operating"])
    with session(keyed_stack, key_list.keys["anna"]) as (client, session_id):
        wait_until(lambda: shown(keyed_stack, session_id, **held), "the session is shown")
        one = shown(keyed_stack, session_id, **held)
        assert one is not None
        assert one["key"] == "anna"
        url = f"{keyed_stack.health_url}/operator/sessions/{session_id}"
        assert ask(url, "DELETE", **bearer(key_list.keys["anna"]))[0] == 403
        assert ask(url, "DELETE", **held)[0] == 202
        event = json.loads(client.recv(timeout=limit_s(10)))
        while event["type"] != "error":
            event = json.loads(client.recv(timeout=limit_s(10)))
        assert event["code"] == "session_expired"
        assert "operator" in event["message"]
    with closing(Redis.from_url(keyed_stack.redis_url)) as redis:
        wait_until(lambda: redis.hget(keys.session(session_id), "state") == b"failed", "the session has ended")
        assert redis.exists(keys.events(session_id))
    assert ask(url, "DELETE", **held)[0] == 404


@pytest.fixture
def own_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A service of one's own with an operator's key, two workers and the health server."""
    folder = tmp_path_factory.mktemp("operated")
    listed = KeyList(folder / "keys.yaml")
    listed.add("operating", operator="true")
    listed.write()
    service = Stack(folder, model={"slots": 2}, access={"keys_file": str(listed.path)})
    service.operating = bearer(listed.keys["operating"])  # type: ignore[attr-defined]
    try:
        service.spawn("redis")
        wait_until(lambda: listens(service.settings.redis.port), "Redis listens")
        service.spawn("worker")
        service.spawn("worker", "worker-2")
        service.spawn("health")
        wait_until(service.is_ready, "the service is ready", 60, service.check_alive)
        yield service
    finally:
        service.stop_all()


def test_operator_drains_a_worker_and_a_killed_one_is_shown_as_gone(own_stack: Stack) -> None:
    held: dict[str, str] = own_stack.operating  # type: ignore[attr-defined]

    def workers() -> list[dict[str, Any]]:
        return list(ask(f"{own_stack.health_url}/operator/state", **held)[1]["workers"])

    wait_until(lambda: len(workers()) == 2, "both workers are shown")
    drained, other = workers()
    by_pid = {process.pid: label for label, process in own_stack.processes.items()}
    label = by_pid[int(drained["id"].split("-")[-2])]
    assert ask(f"{own_stack.health_url}/operator/workers/{drained['id']}/drain", "POST", **held)[0] == 202
    assert own_stack.wait(label) == 0
    wait_until(lambda: [one["id"] for one in workers()] == [other["id"]], "one is left")
    own_stack.processes[by_pid[int(other["id"].split("-")[-2])]].send_signal(signal.SIGKILL)
    wait_until(lambda: any(one["id"] == other["id"] and one["gone_s"] is not None for one in workers()), "it is gone")
