"""The addresses of the service: from the one that the user gives (`--url`), or from the settings."""

import click

from shared.config.settings import Settings, load_settings
from shared.ports import authority
from voxtral_client.addresses import AddressError, http_url
from voxtral_client.addresses import websocket_url as given_websocket_url


def websocket_url(url: str | None) -> str:
    """The address of the native protocol. Raises `click.BadParameter` for a text that is no address."""
    if url is None:
        return own_websocket_url(load_settings())
    try:
        return given_websocket_url(url)
    except AddressError as error:
        raise click.BadParameter(str(error), param_hint="--url") from None


def base_url(url: str | None) -> str:
    """The base URL of the web page and of the HTTP APIs, without a trailing slash. Raises `click.BadParameter`."""
    return own_page_url(load_settings()) if url is None else http_url(websocket_url(url))


def own_websocket_url(settings: Settings) -> str:
    return f"ws{_s(settings)}://{authority(settings.server.host, settings.websocket_port)}/ws"


def own_page_url(settings: Settings) -> str:
    return f"http{_s(settings)}://{authority(settings.server.host, settings.server.http_port)}"


def own_health_url(settings: Settings) -> str:
    return f"http{_s(settings)}://{authority(settings.server.host, settings.server.health_port)}"


def _s(settings: Settings) -> str:
    return "" if settings.server.tls_certificate is None else "s"
