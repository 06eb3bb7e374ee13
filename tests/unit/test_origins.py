"""Which pages may open a WebSocket here."""

import pytest

from frontend.origins import is_same_origin


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


def _headers(origin: str | None, host: str, forwarded_host: str | None) -> dict[str, str]:
    named = {"origin": origin, "host": host, "x-forwarded-host": forwarded_host}
    return {name: value for name, value in named.items() if value is not None}
