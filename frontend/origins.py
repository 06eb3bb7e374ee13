"""Whether a WebSocket handshake comes from our own page: the guard against cross-site WebSocket hijacking.

A browser opens a WebSocket for any page to any host, and sends along what the user's network position is worth. It
also says which page asked (`Origin`), and no script can forge that or the other headers that are read here. This does
not guard against a name that its owner points at this machine (DNS rebinding); a proxy with a fixed host name does.
"""

from collections.abc import Collection, Mapping
from urllib.parse import urlsplit

DEFAULT_PORTS = {80, 443}


def is_same_origin(headers: Mapping[str, str]) -> bool:
    """True for the page that this server delivered, and for clients that are no browsers (they send no `Origin`).

    The origin's host is compared with `Host`, and with `X-Forwarded-Host` for proxies that rewrite `Host`. Scheme and
    default ports are left out: a proxy that ends TLS changes both. `headers` has lower-case names.
    """
    origin = headers.get("origin")
    if origin is None:
        return True
    sources = (headers.get("host", ""), *headers.get("x-forwarded-host", "").split(","))
    ours = {_host(f"//{source.strip()}") for source in sources} - {None}
    return _host(origin) in ours


def is_allowed_origin(headers: Mapping[str, str], allowed: Collection[str]) -> bool:
    """True for our own page, for clients that are no browsers, and for the origins that an operator allows.

    `*` among `allowed` stands for every page.
    """
    return "*" in allowed or is_same_origin(headers) or headers["origin"] in allowed


def _host(url: str) -> tuple[str, int | None] | None:
    """Name and port, without the port where it is a default one; None for what names no host (`Origin: null`)."""
    try:
        parts = urlsplit(url)
        name, port = parts.hostname, parts.port
    except ValueError:
        return None
    return (name, None if port in DEFAULT_PORTS else port) if name else None
