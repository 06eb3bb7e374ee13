"""The addresses on which the processes of this service listen."""

import socket
from dataclasses import dataclass
from typing import Final

from shared.config.settings import Settings

WILDCARDS: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 -- compared, not bound
"""Wildcard addresses, and the address at which the same machine reaches such a server."""


@dataclass(frozen=True, slots=True)
class Listener:
    """An address on which one of the processes will listen."""

    what: str
    host: str
    port: int
    setting: str


def listeners(settings: Settings) -> list[Listener]:
    server, flower = settings.server, settings.flower
    flower_host = server.host if flower.basic_auth else "127.0.0.1"
    found = [
        Listener("page", server.host, server.http_port, "server.http_port"),
        Listener("health", server.host, server.health_port, "server.health_port"),
        Listener("websocket", server.host, settings.websocket_port, "server.tcp_ports"),
        Listener("tcp", server.host, settings.tcp_port, "server.tcp_ports"),
        Listener("flower", flower_host, flower.port, "flower.port"),
    ]
    if settings.speaks_wyoming:
        found.append(Listener("wyoming", settings.wyoming.host, settings.wyoming.port, "wyoming.port"))
    if settings.redis_is_embedded:
        found.append(Listener("redis", "127.0.0.1", settings.redis.port, "redis.port"))
    return found


def clash(wanted: list[Listener]) -> str | None:
    """The sentence about the first port that two settings name; None if each has its own."""
    seen: dict[int, Listener] = {}
    for listener in wanted:
        other = seen.setdefault(listener.port, listener)
        if other is not listener:
            return f"Settings {other.setting} and {listener.setting} both name port {listener.port}."
    return None


def listening(host: str, port: int, backlog: int | None = None) -> socket.socket:
    """A listening socket. Raises `OSError`, whose `strerror` is the same for all ports of a bad address."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=backlog)
    except OSError as error:
        reason = (error.strerror or str(error)).partition(" (while ")[0]  # what follows names the port
        raise OSError(error.errno, reason) from None


def reachable(host: str) -> str:
    """The host at which this machine reaches a server that listens on `host`."""
    return WILDCARDS.get(host, host)


def authority(host: str, port: int) -> str:
    """`host:port` of a URL at which this machine reaches a server that listens on this host."""
    host = reachable(host)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
