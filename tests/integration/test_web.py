"""The web server: what it delivers, whom it lets in, and how it starts and stops."""

import http.client
import json
import signal
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from frontend.api.app import CLIENT_DIR, STATIC_DIR
from tests.limits import limit_s
from tests.stack import Stack, listens, wait_until

CONTENT_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".yaml": "application/yaml",
    ".webmanifest": "application/manifest+json",
}
FILES = {
    **{f"/{file.name}": file for file in sorted(STATIC_DIR.iterdir())},
    **{f"/lib/{file.name}": file for file in sorted(CLIENT_DIR.iterdir())},
}


@pytest.mark.parametrize(("path", "file"), FILES.items(), ids=FILES)
def test_each_file_has_its_type_and_the_security_headers(stack: Stack, path: str, file: Path) -> None:
    response, body = get(stack, path)
    assert (response.status, response.headers["content-type"]) == (200, CONTENT_TYPES[file.suffix])
    assert body == file.read_bytes()
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["referrer-policy"] == "no-referrer"
    policy = response.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy


def test_page_needs_no_other_host_and_no_absolute_path() -> None:
    page = (STATIC_DIR / "index.html").read_text()
    assert "//" not in page.replace("<!doctype", "")
    assert 'src="/' not in page
    assert 'href="/' not in page
    assert "style=" not in page


def test_unchanged_files_are_not_sent_again(stack: Stack) -> None:
    response, _ = get(stack, "/app.js")
    assert response.headers["cache-control"] == "no-cache"
    again, body = get(stack, "/app.js", {"if-none-match": response.headers["etag"]})
    assert (again.status, body) == (304, b"")


def test_config_tells_what_the_server_can_do(stack: Stack) -> None:
    response, body = get(stack, "/config.json")
    assert response.headers["cache-control"] == "no-store"
    config = json.loads(body)
    assert (config["sample_rate"], config["chunk_size"], config["model"]) == (16000, 1024, "echo")
    assert {mode["name"]: mode["available"] for mode in config["modes"]} == {
        "transcribe": True,
        "translate": True,
        "understand": True,
        "general": True,
    }
    assert config["revises"] is False
    assert config["max_file_bytes"] * 4 / 3 < stack.settings.server.max_message_bytes


def test_ws_speaks_the_native_protocol(stack: Stack) -> None:
    with connect(socket_url(stack)) as client:
        client.send('{"type": "ping"}')
        assert json.loads(client.recv(timeout=limit_s(5)))["type"] == "pong"


@pytest.mark.parametrize("headers", [{}, {"X-Forwarded-Host": "voice.example"}], ids=["direct", "proxied"])
def test_ws_lets_its_own_page_in(stack: Stack, headers: dict[str, str]) -> None:
    origin = "https://voice.example" if headers else stack.web_url
    with connect(socket_url(stack), origin=origin, additional_headers=headers) as client:
        client.send('{"type": "ping"}')
        assert json.loads(client.recv(timeout=limit_s(5)))["type"] == "pong"


def test_ws_refuses_foreign_pages(stack: Stack) -> None:
    with pytest.raises(InvalidStatus) as refused, connect(socket_url(stack), origin="https://evil.example"):
        pass
    assert refused.value.response.status_code == 403


def test_ws_lets_its_own_page_in_behind_a_proxy_that_hides_the_host(stack: Stack) -> None:
    token = json.loads(get(stack, "/config.json")[1])["page_token"]
    with connect(f"{socket_url(stack)}?page={token}", origin="https://voice.example") as client:
        client.send('{"type": "ping"}')
        assert json.loads(client.recv(timeout=limit_s(5)))["type"] == "pong"


def test_ws_refuses_foreign_pages_with_a_wrong_token(stack: Stack) -> None:
    url = f"{socket_url(stack)}?page=guess-%C3%A9"
    with pytest.raises(InvalidStatus), connect(url, origin="https://evil.example"):
        pass


def test_port_in_use_is_one_sentence_and_status_78(stack: Stack) -> None:
    second = stack.spawn("web", "second-web")
    try:
        assert second.wait(20) == 78
    finally:
        stack.processes.pop("second-web")
    port, output = stack.settings.server.http_port, stack.output("second-web")
    assert f"Port {port} on 127.0.0.1 (server.http_port) cannot be used: Address already in use." in output
    assert "Traceback" not in output


def test_web_stops_within_three_seconds_with_clients_connected(stack: Stack) -> None:
    with connect(socket_url(stack)) as client:
        client.send('{"type": "start"}')
        assert json.loads(client.recv(timeout=limit_s(10)))["type"] == "ready"
        started_s = time.monotonic()
        assert stack.stop("web", signal.SIGTERM) == 0
        assert time.monotonic() - started_s < limit_s(3)
    assert "Warning" not in stack.output("web")
    stack.spawn("web")
    wait_until(lambda: listens(stack.settings.server.http_port), "the web server listens again", 30)


def socket_url(stack: Stack) -> str:
    return f"{stack.web_url.replace('http', 'ws', 1)}/ws"


def get(stack: Stack, path: str, headers: dict[str, str] | None = None) -> tuple[http.client.HTTPResponse, bytes]:
    connection = http.client.HTTPConnection(urlsplit(stack.web_url).netloc, timeout=limit_s(5))
    try:
        connection.request("GET", path, headers=headers or {})
        response = connection.getresponse()
        return response, response.read()
    finally:
        connection.close()
