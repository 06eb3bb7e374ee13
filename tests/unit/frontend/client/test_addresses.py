"""Addresses as people write them, and the proxies that lead there."""

import pytest

from voxtral_client import AddressError, KeyFormatError, TranscriptionClient, UnreachableError
from voxtral_client.addresses import http_url, proxy_for, websocket_url
from voxtral_client.servers import Servers


@pytest.mark.parametrize(
    ("address", "websocket", "http"),
    [
        ("http://host:8000", "ws://host:8000/ws", "http://host:8000"),
        ("http://host:8000/", "ws://host:8000/ws", "http://host:8000"),
        ("https://voice.example", "wss://voice.example/ws", "https://voice.example"),
        ("https://voice.example/speech/", "wss://voice.example/speech/ws", "https://voice.example/speech"),
        ("ws://host:8765", "ws://host:8765/ws", "http://host:8765"),
        ("wss://voice.example/ws", "wss://voice.example/ws", "https://voice.example"),
        ("wss://voice.example/native", "wss://voice.example/native", "https://voice.example/native"),
        ("127.0.0.1:8000", "ws://127.0.0.1:8000/ws", "http://127.0.0.1:8000"),
        ("[::1]:8765", "ws://[::1]:8765/ws", "http://[::1]:8765"),
        ("localhost:8765/ws", "ws://localhost:8765/ws", "http://localhost:8765"),
    ],
)
def test_one_address_names_all_protocols(address: str, websocket: str, http: str) -> None:
    assert (websocket_url(address), http_url(address)) == (websocket, http)


@pytest.mark.parametrize(
    "address",
    [
        "",
        "host",
        "ftp://host",
        "ws://",
        "http://host:port",
        "http://host:99999",
        "http://[::1",
        "a b:1",
        "http://a..b:80",
    ],
)
def test_other_texts_are_rejected(address: str) -> None:
    with pytest.raises(AddressError, match="allowed: http://host:port"):
        TranscriptionClient(address)


@pytest.fixture
def proxies(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    return monkeypatch


@pytest.mark.parametrize("url", ["ws://127.0.0.1:8000/ws", "ws://localhost:1", "http://[::1]:8000", "ws://127.9.9.9"])
def test_this_machine_is_never_reached_through_a_proxy(proxies: pytest.MonkeyPatch, url: str) -> None:
    proxies.setenv("http_proxy", "http://proxy:3128")
    proxies.setenv("all_proxy", "http://proxy:3128")

    assert proxy_for(url) is None


def test_other_machines_are_reached_through_the_proxy_of_the_environment(proxies: pytest.MonkeyPatch) -> None:
    proxies.setenv("http_proxy", "proxy:3128")
    proxies.setenv("https_proxy", "http://secure:3128")
    proxies.setenv("no_proxy", "inside.example")

    assert proxy_for("ws://voice.example/ws") == proxy_for("http://voice.example") == "http://proxy:3128"
    assert proxy_for("wss://voice.example/ws") == proxy_for("https://voice.example") == "http://secure:3128"
    assert proxy_for("wss://inside.example/ws") is None


def test_error_names_the_address_and_the_proxy_without_passwords() -> None:
    error = UnreachableError("wss://bo:hush@voice.example/ws", "refused", proxy="http://anna:secret@proxy:3128")

    assert "at wss://voice.example/ws through the proxy http://proxy:3128 (refused)" in str(error)


def test_error_for_a_text_that_is_no_address_shows_no_password() -> None:
    with pytest.raises(AddressError) as caught:
        TranscriptionClient("http://anna:sec/ret@host:8000")

    assert "'…@host:8000' is not an address" in str(caught.value)


@pytest.mark.parametrize("key", ["vox_se\rcret", "vox_se\ncret", "vox_se cret", "vox_se\x00cret", "vox_sécret"])
def test_text_that_cannot_be_a_key_is_rejected_and_not_shown(key: str) -> None:
    with pytest.raises(KeyFormatError) as caught:
        TranscriptionClient("http://127.0.0.1:8000", key=key)

    assert "vox" not in str(caught.value)


@pytest.mark.parametrize(("key", "headers"), [("vox_1\r\n", {"Authorization": "Bearer vox_1"}), (" ", {}), ("", {})])
def test_white_space_around_a_key_is_no_part_of_it(key: str, headers: dict[str, str]) -> None:
    assert Servers("http://127.0.0.1:8000", key=key).headers == headers
