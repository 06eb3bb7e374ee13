"""The addresses of the service: from `--url` and `--captions`, or from the settings."""

from urllib.parse import urlsplit

import click

from shared.config import Settings, load_settings

WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 - compared, not bound
"""Wildcard addresses, and the address at which the same machine reaches such a server."""


def websocket_url(url: str | None) -> str:
    """The address of the native protocol."""
    return own_websocket_url(load_settings()) if url is None else _checked(url, ("ws", "wss"))


def health_url(url: str | None) -> str:
    """The address of the health service, without a trailing slash."""
    return own_health_url(load_settings()) if url is None else _checked(url, ("http", "https")).rstrip("/")


def page_url(url: str) -> str:
    """The public base URL of the web page, without a trailing slash."""
    return _checked(url, ("http", "https"), "--captions").rstrip("/")


def own_websocket_url(settings: Settings) -> str:
    return f"ws{_s(settings)}://{authority(settings.server.host, settings.websocket_port)}"


def own_health_url(settings: Settings) -> str:
    return f"http{_s(settings)}://{authority(settings.server.host, settings.server.health_port)}"


def _s(settings: Settings) -> str:
    return "" if settings.server.tls_certificate is None else "s"


def authority(host: str, port: int) -> str:
    """`host:port` to connect to, for a server that listens on this host."""
    host = WILDCARDS.get(host, host)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _checked(url: str, schemes: tuple[str, str], option: str = "--url") -> str:
    parts = urlsplit(url)
    if parts.scheme not in schemes or not parts.netloc:
        allowed = f"{schemes[0]}://host:port or {schemes[1]}://host"
        raise click.BadParameter(f"{url!r} is not an address of this service; write {allowed}.", param_hint=option)
    return url
