"""HTTP requests are counted by method, template of the route, and status, whatever clients send."""

from collections.abc import AsyncIterator, Iterator

import pytest
from fastapi import APIRouter, FastAPI
from starlette.responses import StreamingResponse
from starlette.staticfiles import StaticFiles
from starlette.testclient import TestClient

from frontend.api.request_metrics import RequestMetrics
from shared.metrics.families import HTTP_DURATION, HTTP_REQUESTS
from shared.metrics.metrics import Metrics


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def client(metrics: Metrics, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    app, router = FastAPI(), APIRouter(prefix="/v1/sessions/{session_id}")

    @router.get("/events")
    async def events(session_id: str) -> StreamingResponse:
        async def body() -> AsyncIterator[bytes]:
            yield session_id.encode()

        return StreamingResponse(body())

    @app.post("/fails")
    async def fails() -> None:
        raise RuntimeError("a fault of ours")

    app.include_router(router)
    app.mount("/", StaticFiles(directory=tmp_path_factory.mktemp("page")))
    app.add_middleware(RequestMetrics, metrics=metrics)
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


def counted(metrics: Metrics) -> dict[bytes, float]:
    return {field: count for field, count in metrics.take().items() if HTTP_REQUESTS.name.encode() in field}


def test_route_is_the_template(client: TestClient, metrics: Metrics) -> None:
    for session_id in ("a", "b"):
        assert client.get(f"/v1/sessions/{session_id}/events").text == session_id
    assert counted(metrics) == {b'["voxtral_http_requests","GET","/v1/sessions/{session_id}/events","200"]': 2}


def test_unknown_addresses_and_methods_share_one_series(client: TestClient, metrics: Metrics) -> None:
    for number in range(3):
        client.get(f"/nothing/{number}")
        client.request(f"METHOD{number}", f"/nothing/{number}")
    assert counted(metrics) == {
        b'["voxtral_http_requests","GET","/*","404"]': 3,
        b'["voxtral_http_requests","other","/*","405"]': 3,
    }


def test_failure_is_counted_as_500(client: TestClient, metrics: Metrics) -> None:
    client.post("/fails")
    assert counted(metrics) == {b'["voxtral_http_requests","POST","/fails","500"]': 1}


async def test_client_that_leaves_before_the_response_is_counted_as_499(metrics: Metrics) -> None:
    async def leaves(*_: object) -> None:
        return

    await RequestMetrics(leaves, metrics)({"type": "http", "method": "GET"}, leaves, leaves)
    assert counted(metrics) == {b'["voxtral_http_requests","GET","/*","499"]': 1}


def test_duration_is_measured(client: TestClient, metrics: Metrics) -> None:
    client.get("/v1/sessions/a/events")
    fields = [field for field in metrics.take() if HTTP_DURATION.name.encode() in field]
    assert len(fields) == 2, "one bucket and the sum"
