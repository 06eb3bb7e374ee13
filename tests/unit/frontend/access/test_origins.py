"""Which pages may open a WebSocket here."""

import pytest

from frontend.access.origins import is_own_page, is_same_origin


@pytest.mark.parametrize(
    ("origin", "host", "forwarded_host"),
    [
        (None, "voice.example", None),  # no browser
        ("http://localhost:8000", "localhost:8000", None),
        ("http://[::1]:8000", "[::1]:8000", None),
        ("https://abc-8000.proxy.runpod.net", "abc-8000.proxy.runpod.net", None),
        ("https://voice.example", "voice.example:443", None),  # a proxy that ends TLS and says so
        ("https://voice.example", "Voice.Example", None),
        ("https://voice.example", "127.0.0.1:8000", "voice.example"),
        ("https://voice.example", "127.0.0.1:8000", "voice.example, inner.example"),
    ],
)
def test_is_same_origin_lets_own_page_in(origin: str | None, host: str, forwarded_host: str | None) -> None:
    assert is_same_origin(_headers(origin, host, forwarded_host))


@pytest.mark.parametrize(
    ("origin", "host", "forwarded_host"),
    [
        ("https://evil.example", "voice.example", None),
        ("http://localhost:3000", "localhost:8000", None),
        ("https://voice.example.evil.example", "voice.example", None),
        ("https://voice.example@evil.example", "voice.example", None),
        ("https://evil.example", "127.0.0.1:8000", "voice.example"),
        ("null", "voice.example", None),
        ("", "voice.example", None),
        ("", "", None),
        ("http://[broken", "voice.example", None),
        ("https://voice.example:99999", "voice.example", None),
        ("null", "", "null"),
    ],
)
def test_is_same_origin_keeps_foreign_pages_out(origin: str, host: str, forwarded_host: str | None) -> None:
    assert not is_same_origin(_headers(origin, host, forwarded_host))


@pytest.mark.parametrize(
    ("origin", "host", "forwarded_host"),
    [
        (None, "127.0.0.1:8765", None),
        ("http://127.0.0.1:8000", "127.0.0.1:8765", None),
        ("http://localhost:8000", "127.0.0.1:8765", None),
        ("http://127.0.0.1:8765", "127.0.0.1:8765", None),
        ("http://voice.example:8000", "voice.example:8765", None),
        ("https://voice.example", "voice.example:8765", None),
        ("https://voice.example", "127.0.0.1:8765", "voice.example:8765"),
    ],
)
def test_is_own_page_knows_the_page_of_another_port(origin: str | None, host: str, forwarded_host: str | None) -> None:
    assert is_own_page(_headers(origin, host, forwarded_host), 8000)


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://localhost:3000", "127.0.0.1:8765"),
        ("http://localhost", "127.0.0.1:8765"),
        ("http://voice.example:3000", "voice.example:8765"),
        ("http://evil.example:8000", "127.0.0.1:8765"),
        ("http://127.0.0.1:8000", "voice.example:8765"),
        ("null", "127.0.0.1:8765"),
        ("null", ""),
        ("https://voice.example, https://evil.example", "voice.example:8765"),
    ],
)
def test_is_own_page_keeps_other_pages_out(origin: str, host: str) -> None:
    assert not is_own_page(_headers(origin, host, None), 8000)


def test_is_own_page_on_a_default_port() -> None:
    assert is_own_page(_headers("http://localhost", "localhost:8765", None), 80)


def _headers(origin: str | None, host: str, forwarded_host: str | None) -> dict[str, str]:
    named = {"origin": origin, "host": host, "x-forwarded-host": forwarded_host}
    return {name: value for name, value in named.items() if value is not None}
