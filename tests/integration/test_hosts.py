"""Host names and origins at the doors of a running service, where a browser says them."""

import http.client
import json
import socket
from urllib.parse import urlsplit

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.integration.native_clients import ask, open_client
from tests.limits import limit_s
from tests.stack import Stack

EVIL = "evil.example:8000"
PAGES = ("/", "/config.json", "/captions", "/v1/models", "/openapi.json", "/v1/sessions/none/events")


def got(url: str, path: str, **headers: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=limit_s(5))
    try:
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def test_no_http_door_answers_to_another_host(stack: Stack) -> None:
    for url, paths in ((stack.web_url, PAGES), (stack.health_url, ("/health", "/ready", "/status", "/metrics"))):
        for path in paths:
            status, body = got(url, path, Host=EVIL, Origin=f"http://{EVIL}")
            assert (status, "'evil.example:8000'; allowed: 127.0.0.1, localhost, [::1]" in body) == (403, True), path
            assert got(url, path, Host="localhost")[0] != 403


def test_refused_host_is_told_in_the_shape_of_the_api(stack: Stack) -> None:
    status, body = got(stack.web_url, "/v1/models", Host=EVIL)
    assert (status, json.loads(body)["error"]["code"]) == (403, "forbidden")
    status, body = got(stack.health_url, "/status", Host=EVIL)
    assert "server.hosts" in json.loads(body)["detail"]


@pytest.mark.parametrize("frontend", ["websocket", "web"])
def test_no_websocket_is_opened_for_another_host(stack: Stack, frontend: str) -> None:
    port = {"websocket": stack.settings.websocket_port, "web": stack.settings.server.http_port}[frontend]
    paths = ("/ws", "/v1/realtime", "/v1/audio/transcriptions/realtime", "/v2/listen") if frontend == "web" else ("/",)
    for path in paths:
        # As of a page whose name has been pointed at this machine.
        with socket.create_connection(("127.0.0.1", port)) as to_this_machine, pytest.raises(InvalidStatus) as refused:
            connect(f"ws://evil.example:{port}{path}", sock=to_this_machine, origin=f"http://evil.example:{port}")  # type: ignore[arg-type]
        assert refused.value.response.status_code == 403
        assert b"server.hosts" in refused.value.response.body


def test_port_without_a_page_lets_the_page_in_and_no_other(stack: Stack) -> None:
    page = f"http://localhost:{stack.settings.server.http_port}"
    for origin in (None, page, stack.web_url):
        client = open_client(stack, "websocket", origin=origin)
        assert ask(client, type="ping")["type"] == "pong"
        client.close()
    for origin, reason in (
        ("https://evil.example", "Pages of the origin 'https://evil.example' may not use the service"),
        ("http://localhost:3000", "access.origins"),
        ("null", "A page opened from a file has the origin null, as any site can"),
    ):
        with pytest.raises(InvalidStatus) as refused:
            open_client(stack, "websocket", origin=origin)
        assert refused.value.response.status_code == 403
        assert reason in refused.value.response.body.decode()


def test_listed_origins_do_not_shut_the_page_out(keyed_stack: Stack) -> None:
    for origin in ("https://voice.example", keyed_stack.web_url):
        open_client(keyed_stack, "websocket", origin=origin).close()
