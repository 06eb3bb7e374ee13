"""Rejected requests and handshakes: each is one more error, and has the shape of its API."""

from collections.abc import Iterator
from typing import Any, cast

import orjson
import pytest
from starlette.testclient import TestClient, WebSocketDenialResponse

from frontend.access.access import Access
from frontend.api.app import create_app
from frontend.monitoring.process_report import Tally
from frontend.protocols.error_statuses import STATUSES
from shared.config.settings import Settings
from shared.metrics.families import ERRORS
from shared.metrics.metrics import Metrics

UNUSED: Any = cast("Any", None)


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def client(metrics: Metrics) -> Iterator[TestClient]:
    settings = Settings()
    app = create_app(
        settings,
        UNUSED,
        access=Access(settings, UNUSED),
        connections=UNUSED,
        recordings=UNUSED,
        viewers=UNUSED,
        erasure=UNUSED,
        tally=Tally("web", UNUSED, (), metrics),
    )
    with TestClient(app, headers={"host": "localhost"}) as client:
        yield client


def errors_in(metrics: Metrics) -> dict[str, float]:
    """How many clients have received each code."""
    counted = {tuple(orjson.loads(name)): count for name, count in metrics.take().items()}
    return {labels[1]: count for labels, count in counted.items() if labels[0] == ERRORS.name and count}


@pytest.mark.parametrize(
    ("address", "headers", "code"),
    [
        ("/v1/realtime?viewer_token=x", {}, "invalid_field"),
        ("/v1/audio/transcriptions/realtime?viewer_token=x", {}, "invalid_field"),
        ("/v1/listen?encoding=foo", {}, "invalid_field"),
        ("/v2/listen?eot_threshold=7", {}, "invalid_field"),
        ("/v1/sessions/x/events?last_event_id=x", {}, "invalid_field"),
        ("/v1/realtime", {"origin": "https://evil.example"}, "forbidden"),
        ("/ws", {"origin": "https://evil.example"}, "forbidden"),
        ("/ws", {"host": "evil.example"}, "forbidden"),
    ],
)
def test_each_rejected_handshake_is_one_error(
    client: TestClient, metrics: Metrics, address: str, headers: dict[str, str], code: str
) -> None:
    with pytest.raises(WebSocketDenialResponse) as denied, client.websocket_connect(address, headers=headers):
        pass
    assert denied.value.status_code == STATUSES[code].status
    assert errors_in(metrics) == {code: 1}


def test_each_wrong_parameter_of_a_request_is_one_error(client: TestClient, metrics: Metrics) -> None:
    assert client.get("/v1/models?dialect=x").status_code == 400
    assert errors_in(metrics) == {"invalid_field": 1}


def test_a_handshake_without_upgrade_is_told_to_upgrade_also_where_recordings_are_sent(client: TestClient) -> None:
    answer = client.get("/v1/listen?encoding=linear16")
    assert (answer.status_code, answer.headers["upgrade"]) == (426, "websocket")
    assert answer.json()["err_msg"].startswith("/v1/listen is the address of a WebSocket: use ws://")
    assert client.put("/v1/listen").headers["allow"] == "POST"


def test_the_body_of_a_request_is_called_a_body(client: TestClient) -> None:
    answer = client.post("/v1/chat/completions", content="[]", headers={"content-type": "application/json"})
    assert answer.json()["error"]["message"] == "The body is []; it must be a JSON object."


@pytest.mark.parametrize(("method", "address"), [("GET", "/v1/listen"), ("PUT", "/v1/listen"), ("POST", "/v2/listen")])
def test_every_error_of_deepgram_has_its_headers(client: TestClient, method: str, address: str) -> None:
    answer = client.request(method, address)
    assert answer.headers["dg-error"] == answer.json()["err_msg"]
    assert answer.headers["dg-request-id"] == answer.json()["request_id"] == answer.headers["x-request-id"]


def test_rejected_handshake_has_the_shape_of_its_api(client: TestClient) -> None:
    def answer(address: str) -> Any:
        with pytest.raises(WebSocketDenialResponse) as denied, client.websocket_connect(f"{address}?viewer_token=x"):
            pass
        return denied.value.json()

    assert answer("/v1/realtime").keys() == {"error"}
    assert answer("/v1/audio/transcriptions/realtime")["object"] == "error"
    assert answer("/v1/listen").keys() == {"err_code", "err_msg", "request_id"}
