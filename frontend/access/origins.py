"""Whether a request comes from our own page: the protection against cross-site WebSocket hijacking.

A browser opens a WebSocket to any host for any page, with the access that the user's network position gives. It also
sends the origin of that page (`Origin`), and no script can forge that header or the others that are read here. Host
names that their owner points at this machine (DNS rebinding) are rejected by `hosts`.
"""

from collections.abc import Collection, Mapping
from typing import Final
from urllib.parse import urlsplit

DEFAULT_PORTS: Final = {80, 443}
LOOPBACK_NAMES: Final = ("127.0.0.1", "localhost", "::1")

Host = tuple[str, int | None]
"""Name and port; no port if it is a default one."""


def is_same_origin(headers: Mapping[str, str]) -> bool:
    """True for the page that this server delivered, and for clients that are not browsers (they send no `Origin`).

    The origin's host is compared with `Host`, and with `X-Forwarded-Host` for proxies that rewrite `Host`. Scheme and
    default ports are left out: a proxy that ends TLS changes both. `headers` has lower-case names.
    """
    origin = headers.get("origin")
    return origin is None or host_of(origin) in _ours(headers)


def is_own_page(headers: Mapping[str, str], page_port: int) -> bool:
    """The same for a port without a page: ours is on `page_port` of the same machine, or behind the same proxy."""
    origin = headers.get("origin")
    if origin is None:
        return True
    source, ours = host_of(origin), _ours(headers)
    if source is None or source in ours:
        return source is not None
    name, port = source
    if name in LOOPBACK_NAMES:  # other programs may have pages on the default ports
        return port == _port(page_port) and any(host[0] in LOOPBACK_NAMES for host in ours)
    return port in (None, _port(page_port)) and any(host[0] == name for host in ours)


def is_allowed_origin(headers: Mapping[str, str], allowed: Collection[str], page_port: int | None = None) -> bool:
    """True for our own page, for clients that are not browsers, and for the origins that `access.origins` allows.

    `*` in `allowed` allows every page. `page_port` is the port of our page, if the request came to another one.
    """
    own = is_same_origin(headers) if page_port is None else is_own_page(headers, page_port)
    return "*" in allowed or own or headers["origin"] in allowed


def host_of(url: str) -> Host | None:
    """The host of a URL; None for a value that names no host (`Origin: null`)."""
    try:
        parts = urlsplit(url)
        name, port = parts.hostname, parts.port
    except ValueError:
        return None
    return (name, _port(port)) if name else None


def _ours(headers: Mapping[str, str]) -> set[Host]:
    sources = (headers.get("host", ""), *headers.get("x-forwarded-host", "").split(","))
    return {host for source in sources if (host := host_of(f"//{source.strip()}"))}


def _port(port: int | None) -> int | None:
    return None if port in DEFAULT_PORTS else port
