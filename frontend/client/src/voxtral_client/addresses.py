"""The address of a service, in every form that people write: one names all of its ports' protocols.

    http://host:8000   https://voice.example   ws://host:8765   wss://voice.example/ws   host:8000

The native protocol is at `/ws` of the page's port, and at every path of the WebSocket port.
"""

import re
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from voxtral_client.wire import WS_PATH

ALLOWED: Final = "http://host:port, https://host, ws://host:port, wss://host or host:port"
_SCHEMES: Final = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}
_WITHOUT_SCHEME: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s/:@\[\]]+):\d+(/.*)?")


class AddressError(ValueError):
    """The text is not an address of a service. The message is one sentence."""

    def __init__(self, address: str) -> None:
        shown = re.sub(r".*@", "…@", address, flags=re.DOTALL)  # a password may be in it
        super().__init__(f"{shown!r} is not an address of a service; allowed: {ALLOWED}.")


def websocket_url(address: str) -> str:
    """The WebSocket URL of the native protocol. Raises AddressError."""
    url = f"http://{address}" if _WITHOUT_SCHEME.fullmatch(address) else address
    try:
        parts = urlsplit(url)
        scheme, _, _ = _SCHEMES.get(parts.scheme), parts.port, (parts.hostname or "").encode("idna")
    except ValueError:
        raise AddressError(address) from None
    if scheme is None or not parts.hostname or parts.query or parts.fragment:
        raise AddressError(address)
    path = parts.path.rstrip("/")
    if not path or (parts.scheme in ("http", "https") and not path.endswith(WS_PATH)):
        path += WS_PATH
    return f"{scheme}://{parts.netloc}{path}"


def http_url(address: str) -> str:
    """The base URL of the HTTP APIs, without a trailing slash. Raises AddressError."""
    url = websocket_url(address)
    return f"http{url.removeprefix('ws').removesuffix(WS_PATH)}"


def is_loopback(host: str) -> bool:
    """Whether a host name or address means this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost" or host.lower().endswith(".localhost")


def proxy_for(url: str) -> str | None:
    """The proxy that the environment names for this URL. This machine is never reached through a proxy.

    A proxy for `https:` also serves `wss:`, and one for `http:` serves `ws:`.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    if is_loopback(host) or proxy_bypass(parts.netloc.rpartition("@")[2]):
        return None
    proxies = getproxies()
    schemes = {"ws": ("ws", "socks", "http", "all"), "wss": ("wss", "socks", "https", "all")}
    known = (proxies.get(scheme) for scheme in schemes.get(parts.scheme, (parts.scheme, "all")))
    return next((proxy if "://" in proxy else f"http://{proxy}" for proxy in known if proxy), None)


def without_password(url: str) -> str:
    """The URL as it may be shown."""
    return re.sub(r"(?<=://)[^/?#]*@", "", url, count=1)
